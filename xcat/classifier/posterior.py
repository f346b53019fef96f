"""Posterior probabilities, and the evidence behind them.

The log score of a class is its prior and what every term adds (`contribution`); the terms are log-likelihoods, looked
up in the model's tables. With weights by category and sharpness 1 it is the formula of Tranin et al. 2022 (A&A 657,
A138) as the poster prints it,

    ln P(c) = ln prior_c + sharpness * sum_t alpha_t l_t(c) / sum_t alpha_t + const,

where l_t(c) is the sum of the terms of category t; with sharpness T and equal weights it is plain naive Bayes. The
sharpness between them is fitted, as the temperature of Guo et al. 2017 (ICML, PMLR 70, 1321) is for networks.

A source with several counterpart hypotheses h has the posterior sum_h p_h P(c | h).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import Table, levels
from xcat.classifier.model import Model
from xcat.classifier.priors import reweighted
from xcat.classifier.sample import Sample
from xcat.classifier.scales import column_to_scale

LEAST_P_TAIL = 0.01
"""A source is an outlier if fewer members of its class than this are as far out."""
FARTHEST = 100.0
"""A value this many lengths of its table beyond the end, or farther, counts as that far."""


@dataclass(frozen=True, eq=False)
class Classification:
    """What the model says of N sources.

    Attributes
    ----------
    p : (N, K) float64
        Posterior probabilities.
    class_index : (N,) int64
        Most probable class, from 0.
    margin : (N,) float64
        Its probability minus that of the second.
    outlier : (N,) float64
        Decades by which the source is less likely than the most typical member of its most probable class.
    p_tail : (N,) float64
        Probability that a member of that class is as outlying as this or more; NaN if the model does not know.
    n_missing : (N,) int64
        Properties without a value.
    class_without : (N, T) int64
        Most probable class when the category is left out.
    evidence : (N, P + Q, K) float32
        Natural-log likelihood terms with the accepted counterpart; see `evidence`.
    """

    p: FloatArray
    class_index: IntArray
    margin: FloatArray
    outlier: FloatArray
    p_tail: FloatArray
    n_missing: IntArray
    class_without: IntArray
    evidence: NDArray[np.float32]


def evidence(model: Model, sample: Sample) -> NDArray[np.float32]:
    """Log-likelihood of every term and class, (N, P + Q, K) float32; hypotheses are not looked at.

    Of a property: log_present + log density where there is a value (with an error: of the density blurred by it),
    log_present + log of the probability beyond it where there is a lower limit, log_missing where there is nothing, 0
    where nobody has looked. Densities are interpolated in the table, and fall beyond its ends by the property's
    tail_slope. Of a pair: see `PairTable`.

    Raises
    ------
    ValueError
        When the properties of the sample are not those of the model.
    """
    _check(model, sample)
    n_properties = len(model.properties)
    terms = np.empty((len(sample), n_properties + len(model.pairs), len(model.classes)), dtype=np.float32)
    scaled = [column_to_scale(sample.values[:, j], p) for j, p in enumerate(sample.properties)]
    for j, table in enumerate(model.tables):
        inside, tail = _look_up(table, scaled[j], _column(sample.errors, j), _column(sample.limits, j))
        terms[:, j] = inside - tail[:, None]
    for q, (pair, (i, j)) in enumerate(zip(model.pairs, model.pair_columns, strict=True)):
        terms[:, n_properties + q] = pair.term(scaled[i], scaled[j])
    return terms


def contribution(terms: NDArray[np.floating], mixing: FloatArray) -> FloatArray:
    """What terms add to the score of every class: sum over k of mixing[c, k] (term_k - mean of the terms over k).

    Parameters
    ----------
    terms : (..., K) array
        Log-likelihoods of one term.
    mixing : (K, K) float64
        `Model.mixing` of that term.

    Returns
    -------
    (..., K) float64
        Only ratios of the classes' densities count, not the unit of the property.
    """
    # a row of the mixing less its mean says of log-likelihoods what the row says of their advantages
    centred = mixing - mixing.mean(axis=1, keepdims=True)
    # no matrix product: the threads of a BLAS cost more than so small a product is worth
    return np.asarray(np.einsum("...k,ck->...c", np.asarray(terms, dtype=np.float64), centred))


def contributions(model: Model, terms: NDArray[np.floating]) -> FloatArray:
    """What every term of `evidence` (..., terms, K) adds to the score of every class; see `contribution`."""
    wide = np.asarray(terms, dtype=np.float64)
    advantage = wide - wide.mean(axis=-1, keepdims=True)
    return np.asarray(np.einsum("...tk,tck->...tc", advantage, model.mixing))


def classify(
    model: Model, sample: Sample, prior_ratio: FloatArray | None = None, prior_category: int | None = None
) -> Classification:
    """Classify sources. Memory is some kilobyte a source; give it pieces of about 50,000.

    Parameters
    ----------
    model : Model
    sample : Sample
        With hypotheses the posterior is their mean, weighted by their probabilities; without, that of the values.
    prior_ratio : (N, K) array, optional
        Priors of each source over those of the model: the probabilities are `reweighted` by it, and all that is made of
        them follows.
    prior_category : int, optional
        Number of the category that these priors belong to; they are left out with it.

    Returns
    -------
    Classification

    Raises
    ------
    ValueError
        When the properties of the sample are not those of the model.

    Notes
    -----
    `class_without` leaves out what a category adds to the scores: the other categories keep their weights, so a change
    of class says that this category decided, not that the others were turned up.

    The outlier measure of a source with most probable class c is sum_p w_p (best_p(c) - term_p(c)) / ln 10.
    The best term of a property with a value is the peak of its density, blurred by its error; its being there, or
    missing, counts against the more common case. w_p = alpha_t / mean(alpha). It is zero for a source at the mode of
    its class in everything, and positive for all others. Beyond the ends of a table all classes fall alike, so a
    value that moves outwards leaves the class as it is and can only make the source more outlying. (The least
    over all classes would be no measure: a class of few members has flat tables, in which nothing is an
    outlier.) `p_tail` is the share of the reference sample's members of c, out of fold, that are as far out; it
    falls for ever as the measure grows.
    """
    _check(model, sample)
    n, n_terms = len(sample), len(model.term_names)
    n_properties, n_classes = len(model.properties), len(model.classes)
    category = model.category_index
    typical = (model.weights / model.weights.mean())[category]

    terms = np.empty((n, n_terms, n_classes), dtype=np.float32)
    fixed, varying = _split(model, sample)
    said = np.zeros((len(model.categories), n, n_classes))  # by the terms that are the same for all hypotheses
    typical_sum = np.zeros((n, n_classes))
    best = np.zeros((n, n_classes))
    beyond = np.zeros(n)
    n_missing = np.zeros(n, dtype=np.int64)
    scaled = [column_to_scale(sample.values[:, j], p) for j, p in enumerate(sample.properties)]
    for j, table in enumerate(model.tables):
        error, limit = _column(sample.errors, j), _column(sample.limits, j)
        inside, tail = _look_up(table, scaled[j], error, limit)
        terms[:, j] = inside - tail[:, None]
        if j in fixed:
            said[category[j]] += contribution(inside, model.mixing[j])
        absent = np.isnan(scaled[j])
        there = ~absent & (scaled[j] != np.inf)
        typical_sum += typical[j] * inside
        common = np.maximum(table.log_present, table.log_missing)
        top = np.where(there[:, None], common + _peak(table, error), common)
        if limit is not None:
            top[absent & ~np.isnan(limit)] = table.log_present
        best += typical[j] * np.where((there | absent)[:, None], top, 0.0)
        beyond += typical[j] * tail
        n_missing += ~there
    for q, (pair, (i, j)) in enumerate(zip(model.pairs, model.pair_columns, strict=True)):
        t = n_properties + q
        inside = pair.term(scaled[i], scaled[j])
        terms[:, t] = inside
        if t in fixed:
            said[category[t]] += contribution(inside, model.mixing[t])

    p, p_without = _posterior(model, sample, said, varying)
    if prior_ratio is not None:
        one = np.ones(1)
        if sample.hypotheses is None:
            p_without = [softmax(score) for score in p_without]
        p = reweighted(p, one, prior_ratio)
        p_without = [q if t == prior_category else reweighted(q, one, prior_ratio) for t, q in enumerate(p_without)]
    class_index = np.argmax(p, axis=1)
    without = np.stack([np.argmax(each, axis=1) for each in p_without], axis=1)
    shortfall = np.take_along_axis(best - typical_sum, class_index[:, None], axis=1)[:, 0]
    # below zero only by rounding
    outlier = (np.maximum(shortfall, 0.0) + beyond) / np.log(10.0)
    p_tail = tail_probability(model, outlier, class_index)
    return Classification(p, class_index, _margin(p), outlier, p_tail, n_missing, without, terms)


def _posterior(
    model: Model, sample: Sample, said: FloatArray, varying: Sequence[int]
) -> tuple[FloatArray, list[FloatArray]]:
    """Posterior, and the one without each category in turn; the mean over the hypotheses if there are any.

    Without hypotheses the latter are left as log scores, whose largest is that of the same class.
    """
    total = said.sum(axis=0) + model.log_prior
    if sample.hypotheses is None:
        return softmax(total), [total - each for each in said]
    rows, weight, source = sample.rows()
    by_category = np.zeros((len(said), source.size, len(model.classes)))
    scaled = {
        int(j): column_to_scale(rows.values[:, j], model.properties[j])
        for t in varying
        for j in ([t] if t < len(model.properties) else model.pair_columns[t - len(model.properties)])
    }
    category = model.category_index
    for t in varying:
        if t < len(model.properties):
            inside, _ = _look_up(model.tables[t], scaled[t], _column(rows.errors, t), _column(rows.limits, t))
        else:
            i, j = model.pair_columns[t - len(model.properties)]
            inside = model.pairs[t - len(model.properties)].term(scaled[int(i)], scaled[int(j)])
        by_category[category[t]] += contribution(inside, model.mixing[t])
    score = total[source] + by_category.sum(axis=0)
    start = np.searchsorted(source, np.arange(len(sample)))

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(weight[:, None] * softmax(of), start, axis=0))

    return mean(score), [mean(score - said[t][source] - by_category[t]) for t in range(len(said))]


def _split(model: Model, sample: Sample) -> tuple[set[int], list[int]]:
    """Terms that are the same for all hypotheses of a source, and those that are not."""
    n_properties = len(model.properties)
    columns = set() if sample.hypotheses is None else {int(c) for c in sample.hypotheses.columns}
    varying = sorted(columns)
    varying += [n_properties + q for q, pair in enumerate(model.pair_columns) if columns & {int(c) for c in pair}]
    return set(range(n_properties + len(model.pairs))) - set(varying), varying


def tail_probability(model: Model, outlier: FloatArray, class_index: IntArray) -> FloatArray:
    """Probability that a member of the class has this outlier measure or a larger one, (N,).

    Between the levels of the model its logarithm is interpolated; beyond the last it falls on as steeply as it does
    among the last tenth of the members.
    """
    p = np.full(outlier.shape, np.nan)
    log_p = np.log(model.outlier_p)
    tenth = min(int(np.searchsorted(-model.outlier_p, -0.1)), log_p.size - 2)
    for k, level in enumerate(model.outlier_levels):
        of = class_index == k
        last = level[-1]
        # of members that are equally far out, all are as far out as this or more: the first of equal levels
        level_of, first = np.unique(level, return_index=True)
        slope = (log_p[-1] - log_p[tenth]) / max(float(last - level[tenth]), 1e-6)
        inside = np.interp(outlier[of], level_of, log_p[first])
        p[of] = np.exp(inside + slope * np.maximum(outlier[of] - last, 0.0))
    return p


def softmax(score: FloatArray) -> FloatArray:
    """Probabilities from log scores, (N, K), safe against overflow."""
    # class by class: NumPy is slow along a short last axis
    p = np.exp(score - reduce(np.maximum, score.T)[:, None])
    p /= reduce(np.add, p.T)[:, None]
    return p


def _margin(p: FloatArray) -> FloatArray:
    """Largest minus second largest probability; 1 when there is one class only."""
    if p.shape[1] == 1:
        return np.ones(p.shape[0])
    largest = np.partition(p, -2, axis=1)[:, -2:]
    return largest[:, 1] - largest[:, 0]


def _check(model: Model, sample: Sample) -> None:
    given, wanted = [p.name for p in sample.properties], [p.name for p in model.properties]
    if given != wanted:
        raise ValueError(f"the sample has the properties {', '.join(given)}, the model {', '.join(wanted)}")


def _peak(table: Table, error: NDArray[np.floating] | None) -> FloatArray:
    """Largest log density that a value with this error can have, (K,), or (N, K) with errors."""
    if table.log_smeared is None or error is None:
        return table.log_peak
    peak = np.concatenate([table.log_density[None], table.log_smeared]).max(axis=1)
    if table.log_atoms is not None:
        peak = np.maximum(peak, table.log_atoms.max(axis=0))
    return np.asarray(peak[levels(error, table.step, table.typical_error)])


def _column(of: NDArray[np.floating] | None, j: int) -> NDArray[np.floating] | None:
    return None if of is None else of[:, j]


def _look_up(
    table: Table,
    x_scaled: FloatArray,
    error: NDArray[np.floating] | None,
    limit: NDArray[np.floating] | None,
) -> tuple[FloatArray, FloatArray]:
    """Look the values of one property up.

    Returns
    -------
    inside : (N, K) float64
        The term, with the value brought back to the end of the table when it is beyond.
    tail : (N,) float64
        What the term loses beyond the end, in every class: kept apart so that it cannot touch the ratios.
    """
    absent, unknown = np.isnan(x_scaled), x_scaled == np.inf
    reach = FARTHEST * (table.high - table.low)
    x = np.clip(np.where(absent | unknown, table.low, x_scaled), table.low - reach, table.high + reach)
    tail = table.tail_slope * np.maximum(np.maximum(table.low - x, x - table.high), 0.0)

    node, part = _place(table, x)
    inside = _between(table.log_density, node, part)
    if table.log_smeared is not None and error is not None:
        level = levels(error, table.step, table.typical_error)
        noisy = np.flatnonzero((level > 0) & ~absent & ~unknown)
        at, rest, rung = node[noisy], part[noisy], level[noisy] - 1
        lower = table.log_smeared[rung, at]
        inside[noisy] = lower + rest[:, None] * (table.log_smeared[rung, at + 1] - lower)
    if table.log_atoms is not None:
        for end, wall in enumerate((table.low, table.high)):
            if table.log_atoms[end, 0] > -np.inf:
                inside[x_scaled == wall] = table.log_atoms[end]
    inside += table.log_present
    inside[absent] = table.log_missing
    if table.log_above is not None and limit is not None:
        limited = np.flatnonzero(absent & ~np.isnan(limit))
        at, rest = _place(table, np.clip(np.asarray(limit[limited], dtype=np.float64), table.low, table.high))
        inside[limited] = _between(table.log_above, at, rest) + table.log_present
    inside[unknown] = 0.0
    return inside, tail


def _place(table: Table, x: FloatArray) -> tuple[IntArray, FloatArray]:
    """Node below every value, and the part of the step beyond it; held inside the table."""
    last = table.log_density.shape[0] - 1
    position = np.clip((x - table.low) / table.step, 0.0, last)
    node = np.minimum(position.astype(np.int64), last - 1)
    return node, position - node


def _between(at_nodes: FloatArray, node: IntArray, part: FloatArray) -> FloatArray:
    """Interpolate linearly between the nodes, (N, K)."""
    found = np.take(np.diff(at_nodes, axis=0), node, axis=0)
    found *= part[:, None]
    found += np.take(at_nodes, node, axis=0)
    return found

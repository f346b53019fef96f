"""Posterior probabilities, and the evidence behind them.

The log score of a class is its log prior plus the contribution of every term (`contribution`); the terms are
log-likelihoods, looked up in the model's tables. With weights by category and sharpness 1 it is the formula of Tranin
et al. 2022 (A&A 657, A138) as the poster prints it,

    ln P(c) = ln prior_c + sharpness * sum_t alpha_t l_t(c) / sum_t alpha_t + const,

where l_t(c) is the sum of the terms of category t; with sharpness T and equal weights it is plain naive Bayes. The
sharpness between them is fitted, as the temperature of Guo et al. 2017 (ICML, PMLR 70, 1321) is for networks.

A source with several counterpart hypotheses h has the posterior sum_h p_h P(c | h). If the model's classes are kinds of
classes, the probability of a class is the sum of those of its kinds; "class" and A below are these answers
(`Model.answers`), K is the number of kinds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.bootstrap import confidence, pair_places, places, spread
from xcat.classifier.look_up import interpolated, located, looked_up, node_of, shortfall
from xcat.classifier.model import OUTLIER_P, Model
from xcat.classifier.priors import reweighted
from xcat.classifier.sample import LARGE_SHIFT, Sample, between_walls

LEAST_P_TAIL = 0.01
"""A source is an outlier if fewer members of its class than this are at least as extreme."""
FARTHEST = 100.0
"""Distance from the end of a table, in lengths of the table, at which values beyond are clipped."""

REACH, PIECES = 3.0, 12
"""Sigmas on either side of a value that gas has changed a lot, and the pieces of them in which it is blurred."""
LEAST_DENSITY = 1e-4
"""Of such a value, in units of a flat density: the column of gas is not known well enough to rule a class out."""


@dataclass(frozen=True, eq=False)
class Classification:
    """Classes of N sources.

    Attributes
    ----------
    p : (N, A) float64
        Posterior probabilities.
    class_index : (N,) int64
        Most probable class, from 0.
    kind_index : (N,) int64
        The most probable kind of that class: number of it in `Model.classes`.
    margin : (N,) float64
        Its probability minus that of the second.
    outlier : (N,) float64
        Decades by which the source is less likely than the most typical member of its most probable class; of the kind
        that is the most probable there.
    p_tail : (N,) float64
        Probability that a member of that class is at least as outlying; NaN if the model has no outlier levels.
    n_missing : (N,) int64
        Properties without a value.
    class_without : (N, T) int64
        Most probable class when the category is left out.
    evidence : (N, P + Q, K) float32
        Natural-log likelihood terms with the accepted counterpart; see `evidence`.
    p_err : (N, A) float64
        Standard deviation of each probability over the replicates of the fit; NaN if the model has none.
    stability : (N,) float64
        Share of the replicates in which the most probable class is the same; NaN if the model has none.
    familiarity : (N,) float64
        Probability that a source of the known classes looks as unlike all of them; NaN if the model has no levels.
    """

    p: FloatArray
    class_index: IntArray
    kind_index: IntArray
    margin: FloatArray
    outlier: FloatArray
    p_tail: FloatArray
    n_missing: IntArray
    class_without: IntArray
    evidence: NDArray[np.float32]
    p_err: FloatArray
    stability: FloatArray
    familiarity: FloatArray

    @property
    def confidence(self) -> FloatArray:
        """Difference of the two largest probabilities over the sum of their errors, (N,)."""
        return confidence(self.p, self.p_err)


def evidence(model: Model, sample: Sample) -> NDArray[np.float32]:
    """Log-likelihood of every term and class, (N, P + Q, K) float32, with the accepted counterparts.

    The term of a property is log_present + log density for a value (for one with an error: the density blurred by it),
    log_present + log of the probability beyond it for a lower limit, log_missing for neither, 0 where the property was
    not observed. Densities are interpolated in the table, and decrease beyond its ends with the property's tail_slope.
    The term of a pair is described in `PairTable`.

    Raises
    ------
    ValueError
        When the properties of the sample are not those of the model.
    """
    look_up = _Terms(model, sample)
    terms = np.empty((len(sample), len(model.mixing), len(model.classes)), dtype=np.float32)
    for t in range(len(model.mixing)):
        inside, tail = look_up(t)
        terms[:, t] = inside - tail[:, None]
    return terms


def contribution(terms: NDArray[np.floating], mixing: FloatArray) -> FloatArray:
    """Contribution of a term to the scores, (..., K): sum over k of mixing[c, k] (term_k - mean of the terms over k).

    The `terms` are its log-likelihoods, (..., K), and `mixing`, (K, K), is its `Model.mixing`. The contribution depends
    on ratios of the classes' densities only, not on the unit of the property.
    """
    # centring the row of the mixing is equivalent to centring the log-likelihoods
    centred = mixing - mixing.mean(axis=1, keepdims=True)
    wide = np.asarray(terms, dtype=np.float64)
    if wide.ndim == 2:  # laid out alike, and never a row alone: it would be summed in another order than among others
        wide = np.asfortranarray(wide if len(wide) > 1 else np.repeat(wide, 2, axis=0))
    # einsum, not a matrix product: the threads of a BLAS cost more than so small a product is worth
    return np.asarray(np.einsum("...k,ck->...c", wide, centred)[: len(terms)])


def contributions(model: Model, terms: NDArray[np.floating]) -> FloatArray:
    """Contribution of every term of `evidence` (..., terms, K) to the scores; see `contribution`."""
    wide = np.asarray(terms, dtype=np.float64)
    advantage = wide - wide.mean(axis=-1, keepdims=True)
    return np.asarray(np.einsum("...tk,tck->...tc", advantage, model.mixing))


def by_class(model: Model, terms: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
    """Contribution of every term of `evidence` (N, terms, K) to the scores of the answers, and the scores without any.

    Returns
    -------
    contributed : (N, terms, A) float64
        Of a class with kinds: the mean over these, weighted by their probabilities within the class.
    start : (N, A) float64
        With the contributions the log score of a class, of which that of its kinds is log-sum-exp: the mean prior of
        the kinds and the entropy of these probabilities.
    """
    contributed = contributions(model, terms)
    if model.part_of is None:
        return contributed, np.broadcast_to(model.log_prior, (len(contributed), len(model.classes)))
    score = contributed.sum(axis=-2) + model.log_prior
    index = model.answer_index
    # relative to the best kind of each class, since a class that is out of the question has kinds, too
    best = np.stack([score[:, index == a].max(axis=1) for a in range(len(model.answers))], axis=1)
    within = np.exp(score - best[:, index])
    within /= model.by_answer(within)[:, index]
    entropy = -within * np.log(np.maximum(within, 1e-300))
    return (
        model.by_answer(contributed * within[:, None]),
        model.by_answer(within * model.log_prior + entropy),
    )


def classify(
    model: Model, sample: Sample, prior_ratio: FloatArray | None = None, prior_category: int | None = None
) -> Classification:
    """Classify sources. It needs some kilobytes of memory per source: pass chunks of about 50,000.

    Parameters
    ----------
    sample : Sample
        With hypotheses the posterior is the mean over them, weighted by their probabilities.
    prior_ratio : (N, K) array, optional
        Priors of each source over those of the model. The probabilities are `reweighted` by it, and all that is derived
        from them follows.
    prior_category : int, optional
        Number of the category that these priors belong to; they are left out with it.

    Raises
    ------
    ValueError
        When the properties of the sample are not those of the model.

    Notes
    -----
    `class_without` removes the contribution of a category from the scores; the other categories keep their weights, so
    a change of class shows that this category decided, not that the others were given more weight.

    The outlier measure of a source with most probable class c is sum_p w_p (best_p(c) - term_p(c)) / ln 10.
    The best term of a property with a value is the peak of its density, blurred by its error; its presence or absence
    is compared with the more common case. w_p = alpha_t / mean(alpha). The measure is zero for a source at the mode of
    its class in all properties, and positive for all others. Beyond the ends of a table all classes decrease alike, so
    a value that moves outwards leaves the class unchanged and can only make the source more outlying. (The minimum over
    all classes would not be a measure: a class of few members has flat tables, in which nothing is an outlier.)
    `p_tail` is the fraction of the reference sample's members of c, out of fold, that are at least as outlying; it
    decreases without end as the measure grows.
    """
    look_up = _Terms(model, sample)
    n, n_properties, n_classes = len(sample), len(model.properties), len(model.classes)
    category = model.category_index
    typical = (model.weights / model.weights.mean())[category]
    varying = _varying(model, sample)

    terms = np.empty((n, len(model.mixing), n_classes), dtype=np.float32)
    by_category = _by_category(model, n)  # of the terms that are the same for all hypotheses
    beyond, n_missing = np.zeros(n), np.zeros(n, dtype=np.int64)
    for t in range(len(model.mixing)):
        inside, tail = look_up(t)
        terms[:, t] = inside - tail[:, None]
        if t not in varying:
            by_category[category[t]] += contribution(inside, model.mixing[t])
        if t < n_properties:
            beyond += typical[t] * tail
            n_missing += ~(look_up.scaled(t) < np.inf)

    of_kinds, p_without, score, look_up_rows, hypotheses = _posterior(model, sample, by_category, varying)
    if sample.hypotheses is None and (prior_ratio is not None or model.part_of is not None):
        p_without = [softmax(score) for score in p_without]
    if prior_ratio is not None:
        one = np.ones(1)
        of_kinds = reweighted(of_kinds, one, prior_ratio)
        p_without = [q if t == prior_category else reweighted(q, one, prior_ratio) for t, q in enumerate(p_without)]
    p = model.by_answer(of_kinds)
    p_without = [model.by_answer(each) for each in p_without]
    class_index = np.argmax(p, axis=1)
    without = np.stack([np.argmax(each, axis=1) for each in p_without], axis=1)
    kind = class_index
    if model.part_of is not None:
        kind = np.argmax(np.where(model.answer_index == class_index[:, None], of_kinds, -1.0), axis=1)
    below = np.zeros(n)
    for t in range(n_properties):
        below += typical[t] * look_up.shortfall(t, kind)
    # the shortfall is below zero only by rounding
    outlier = (np.maximum(below, 0.0) + beyond) / np.log(10.0)
    p_tail = tail_probability(model, outlier, kind)
    p_err, stability = np.full(p.shape, np.nan), np.full(n, np.nan)
    if model.replicates is not None and n:
        numbers = range(len(model.replicates.terms))
        rows = [t for t in varying if t in numbers] if hypotheses is not None else []
        of_source = {t: look_up.place(t) for t in numbers if t not in rows}
        of_row = {t: look_up_rows.place(t) for t in rows}
        answers = None if model.part_of is None else model.answer_index
        p_err, stability = spread(
            model.replicates, score, of_source, class_index, of_row, hypotheses, prior_ratio, answers
        )
    return Classification(
        p,
        class_index,
        kind,
        _margin(p),
        outlier,
        p_tail,
        n_missing,
        without,
        terms,
        p_err=p_err,
        stability=stability,
        familiarity=familiarity(p_tail, p, model.best_levels),
    )


def posterior(model: Model, sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Posterior (N, A), and that without each category (T, N, A), as of `classify`, which takes three times as long.

    Raises
    ------
    ValueError
        When the properties of the sample are not those of the model.
    """
    look_up, varying = _Terms(model, sample), _varying(model, sample)
    fixed = _by_category(model, len(sample))
    for t in range(len(model.mixing)):
        if t not in varying:
            fixed[model.category_index[t]] += contribution(look_up(t)[0], model.mixing[t])
    p, without, *_ = _posterior(model, sample, fixed, varying)
    each = without if sample.hypotheses is not None else [softmax(score) for score in without]
    return model.by_answer(p), np.array([model.by_answer(q) for q in each])


def _posterior(
    model: Model, sample: Sample, fixed: FloatArray, varying: Sequence[int]
) -> tuple[FloatArray, list[FloatArray], FloatArray, "_Terms", tuple[FloatArray, IntArray] | None]:
    """Posterior of the kinds, and the one without each category in turn; the mean over the hypotheses if there are any.

    Without hypotheses the latter are left as log scores: their largest is that of the same class. Then follow the log
    scores of the rows, their look-up, and with hypotheses the weight of every row and the first row of every source.
    """
    total = reduce(np.add, fixed) + model.log_prior
    if sample.hypotheses is None:
        return softmax(total), [total - each for each in fixed], total, _Terms(model, sample), None
    rows, weight, source = sample.rows()
    by_category = _by_category(model, source.size)
    look_up = _Terms(model, rows)
    for t in varying:
        by_category[model.category_index[t]] += contribution(look_up(t)[0], model.mixing[t])
    score = _of_rows(total, source) + reduce(np.add, by_category)
    start = np.searchsorted(source, np.arange(len(sample)))

    def mean(of: FloatArray) -> FloatArray:
        return np.stack([np.add.reduceat(weight * p, start) for p in softmax(of).T]).T

    without = [mean(score - _of_rows(fixed[t], source) - by_category[t]) for t in range(len(fixed))]
    return mean(score), without, score, look_up, (weight, start)


def _by_category(model: Model, n: int) -> FloatArray:
    """Zeros for the contributions of every category, (T, N, K); those to a class follow each other in memory."""
    return np.zeros((len(model.categories), len(model.classes), n)).transpose(0, 2, 1)


def _of_rows(of_sources: FloatArray, source: IntArray) -> FloatArray:
    """What the sources of rows have, (R, K), in the same order in memory."""
    return np.take(of_sources.T, source, axis=1).T


def _varying(model: Model, sample: Sample) -> list[int]:
    """Terms that depend on the hypothesis."""
    columns = set() if sample.hypotheses is None else {int(c) for c in sample.hypotheses.columns}
    pairs = enumerate(model.pair_columns, len(model.properties))
    return [*sorted(columns), *(t for t, pair in pairs if columns & {int(c) for c in pair})]


def tail_probability(model: Model, outlier: FloatArray, class_index: IntArray) -> FloatArray:
    """Probability that a member of the class, or kind, has this outlier measure or a larger one, (N,).

    Its logarithm is interpolated between the levels of the model; beyond the last one it decreases with the mean slope
    of the last tenth of the members.
    """
    p = np.full(outlier.shape, np.nan)
    log_p = np.log(model.outlier_p)
    tenth = min(int(np.searchsorted(-model.outlier_p, -0.1)), log_p.size - 2)
    for k, level in enumerate(model.outlier_levels):
        members = class_index == k
        last = level[-1]
        # for equal levels use the largest tail probability
        distinct, first = np.unique(level, return_index=True)
        slope = (log_p[-1] - log_p[tenth]) / max(float(last - level[tenth]), 1e-6)
        inside = np.interp(outlier[members], distinct, log_p[first])
        p[members] = np.exp(inside + slope * np.maximum(outlier[members] - last, 0.0))
    return p


def best_levels(p: FloatArray) -> FloatArray:
    """Largest probability that shares `OUTLIER_P` of known sources, with p (N, K) out of fold, do not exceed, (L,)."""
    return np.asarray(np.quantile(p.max(axis=1), OUTLIER_P))


def familiarity(p_tail: FloatArray, p: FloatArray, levels: FloatArray | None) -> FloatArray:
    """Probability that a source of the known classes looks as unlike all of them as this, or more, (N,).

    A source of a class that the model does not know need not be far out in any one property: it may have properties of
    two classes. Therefore the tail probability is combined, by Fisher's method, with the share of known sources whose
    largest probability is as small. NaN without the `levels` of `best_levels`.
    """
    if levels is None:
        return np.full(len(p), np.nan)
    rank = np.interp(p.max(axis=1), levels[::-1], OUTLIER_P[::-1])
    product = np.clip(p_tail * rank, 1e-300, 1.0)
    return np.asarray(product * (1.0 - np.log(product)))


def softmax(score: FloatArray) -> FloatArray:
    """Probabilities from log scores, (N, K), safe against overflow."""
    # class by class: NumPy is slow along a short last axis
    p: FloatArray = np.exp(score - reduce(np.maximum, score.T)[:, None])
    p /= reduce(np.add, p.T)[:, None]
    return p


def _margin(p: FloatArray) -> FloatArray:
    """Largest minus second largest probability; 1 for a single class."""
    if p.shape[1] == 1:
        return np.ones(p.shape[0])
    largest = np.partition(p, -2, axis=1)[:, -2:]
    return largest[:, 1] - largest[:, 0]


class _Terms:
    """Look-up of terms for a sample; every column is brought to its scale, and found in its table, once.

    Classes behind the Galaxy are looked up at the values before it: their density is p(x) |dx / d(observed x)|.
    """

    def __init__(self, model: Model, sample: Sample) -> None:
        given, wanted = [p.name for p in sample.properties], [p.name for p in model.properties]
        if given != wanted:
            raise ValueError(f"the sample has the properties {', '.join(given)}, the model {', '.join(wanted)}")
        self.model, self.sample = model, sample
        self.column = cache(lambda t: sample.column(t, model.limits_before_galaxy))
        self.before = cache(sample.column_before)
        self.at, self.at_before = (
            cache(lambda t, of=of: located(model.tables[t], of(t))) for of in (self.column, self.before)
        )
        every = np.ones(len(model.classes), dtype=bool)
        self.behind = ~every if model.behind is None or sample.shift is None else model.behind
        self.in_front = every & ~self.behind
        self.is_shifted = np.zeros(0, bool) if sample.shift is None else (sample.shift != 0.0).any(axis=0)

    def __call__(self, t: int) -> tuple[FloatArray, FloatArray]:
        """Term number t, (N, K), with values beyond the end of the table moved to the end; and its decrease, (N,).

        The decrease beyond the end is equal for all classes: kept apart, it cannot change the ratios.
        """
        q = t - len(self.model.properties)
        if q >= 0:
            return self._pair(q), np.zeros(len(self.sample))
        table, x = self.model.tables[t], self.scaled(t)
        # values without end, which stand for none, are not beyond it
        beyond = np.fmax(np.fmax(table.low - x, np.where(x < np.inf, x - table.high, 0.0)), 0.0)
        tail = table.tail_slope * np.minimum(beyond, FARTHEST * (table.high - table.low))
        if not self._is_split(t):
            return looked_up(table, self.at(t)), tail
        inside = np.empty((len(self.sample), len(self.model.classes)))
        inside[:, self.in_front] = looked_up(table, self.at(t), self.in_front)
        inside[:, self.behind] = looked_up(table, self.at_before(t), self.behind)
        for rows, by in self._hardened(t):
            inside[np.ix_(rows, self.behind)] = self._through_gas(t, rows, by)
        return inside, tail

    def scaled(self, t: int) -> FloatArray:
        """Values of property number t on its scale, (N,)."""
        return self.column(t).x

    def place(self, t: int) -> IntArray:
        """Place of every source in the replicates of term number t, (N,).

        It is that of the observed values for all classes: what a refit changes is looked up for all classes together.
        """
        q = t - len(self.model.properties)
        if q >= 0:
            i, j = self.model.pair_columns[q]
            return pair_places(self.model.pairs[q], self.scaled(int(i)), self.scaled(int(j)))
        return places(self.model.tables[t], self.at(t).row)

    def shortfall(self, t: int, class_index: IntArray) -> FloatArray:
        """By how much the term of a property is below the largest in the class of each source; see `look_up`."""
        table = self.model.tables[t]
        below = shortfall(table, self.at(t), class_index)
        if self._is_split(t):
            is_behind = self.behind[class_index]
            below = np.where(is_behind, shortfall(table, self.at_before(t), class_index), below)
            for rows, _ in self._hardened(t):  # it takes no part in the outlier measure
                below[rows[is_behind[rows]]] = 0.0
        return below

    def _is_split(self, *properties: int) -> bool:
        """Whether the values of some classes are others than those of the rest."""
        return bool(self.behind.any()) and any(self.is_shifted[j] for j in properties)

    def _pair(self, q: int) -> FloatArray:
        pair, (i, j) = self.model.pairs[q], map(int, self.model.pair_columns[q])
        is_prior = self.model.has_sky_prior and q == len(self.model.pairs) - 1  # a function of what is observed
        if is_prior or not self._is_split(i, j):
            return pair.term(self.scaled(i), self.scaled(j))
        ratio = np.empty((len(self.sample), len(self.model.classes)))
        ratio[:, self.in_front] = pair.of_classes(self.in_front).term(self.scaled(i), self.scaled(j))
        ratio[:, self.behind] = pair.of_classes(self.behind).term(self.before(i).x, self.before(j).x)
        return ratio

    def _hardened(self, t: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """Sources whose ratio between two walls the Galaxy has changed a lot, and by how much."""
        prop, shift = self.sample.properties[t], self.sample.shift
        if shift is not None and prop.bounded_low and prop.bounded_high and self.model.tables[t].log_above is not None:
            x, by = self.scaled(t), shift[:, t].astype(np.float64)
            rows = np.flatnonzero((np.abs(by) >= LARGE_SHIFT) & (x >= prop.low) & (x <= prop.high))
            if rows.size:
                yield rows, by[rows]

    def _through_gas(self, t: int, rows: IntArray, by: FloatArray) -> FloatArray:
        """Terms of such sources: the distribution before the Galaxy, brought behind it and blurred by the error.

        In the classes that lie behind it, (rows, K).

        What is blurred beyond a wall is seen on the wall: no count is left in one of the bands.
        """
        prop, table, error = self.sample.properties[t], self.model.tables[t], self.column(t).error
        x = self.scaled(t)[rows]
        sigma = np.full(rows.size, table.step) if error is None else np.nan_to_num(error[rows].astype(np.float64))
        sigma = np.maximum(sigma, table.step)
        low, high = np.maximum(x - REACH * sigma, prop.low), np.minimum(x + REACH * sigma, prop.high)
        edges = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, PIECES + 1)
        before = between_walls(edges, by[:, None], prop)[0]
        node, fraction = node_of(table, before.ravel())
        assert table.log_above is not None
        log_above = interpolated(np.ascontiguousarray(table.log_above[:, self.behind].T), node, fraction)
        above = np.exp(log_above).reshape(*edges.shape, -1)
        above[edges >= prop.high] = 0.0
        mass = np.maximum(above[:, :-1] - above[:, 1:], 0.0)
        z = ((edges[:, :-1] + edges[:, 1:]) / 2.0 - x[:, None]) / sigma[:, None]
        density = np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * sigma[:, None])
        on_wall = (x == prop.low) | (x == prop.high)
        # the logistic function stands for the integral of the normal one: they differ by 0.01 at most
        density[on_wall] = 1.0 / (1.0 + np.exp(1.702 * np.abs(z[on_wall]))) / table.step
        total = np.einsum("rj,rjk->rk", density, mass)
        if table.log_atoms is not None:
            for end, wall in enumerate((prop.low, prop.high)):
                total[x == wall] += np.exp(table.log_atoms[end, self.behind])
        return np.asarray(np.log(np.maximum(total, LEAST_DENSITY / prop.width)) + table.log_present[self.behind])

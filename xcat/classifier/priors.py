"""Priors of a catalogue, estimated from its unlabelled sources: constant, or a function of two properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from xcat.arrays import FloatArray
from xcat.classifier.model import Model
from xcat.classifier.pairs import N_BINS, PairTable, middles, pair_name
from xcat.classifier.scales import column_to_scale

ROUNDS = 500
LEAST_PRIOR = 1e-4
"""Least prior of a class: no evidence could raise the posterior of a class with prior zero."""
_SCALINGS = 200
CELLS = (6, 4)
"""Cells along each of the two properties; the prior is interpolated between their middles."""
STRENGTH = 1.0
"""Weight of the catalogue's overall prior in a cell, in units of the mean number of sources per cell. The members of a
class in one cell do not look exactly like the labelled ones, so their shares are shrunk towards the overall prior: with
half as much a list of positions, which has no hardness ratios, loses, with twice as much every catalogue does."""
COUNTS_SHARE = 0.5
"""With published counts, their part of what the estimate is pulled to; the other part is the given priors. Chosen on
simulated skies whose truth is not that of the counts: the counts alone are wrong by large factors for classes that
observers point at."""


def estimate(
    p: ArrayLike, priors: ArrayLike, strength: float | None = None, expected: ArrayLike | None = None
) -> FloatArray:
    """Estimate class shares by expectation-maximisation (Saerens, Latinne & Decaestecker 2002, Neural Comput. 14, 21).

    The posteriors `p`, (N, K), of unlabelled sources were computed with the `priors`, (K,). The estimate is pulled
    towards these, or towards the `expected` shares, (K,), with the weight `strength`, in numbers of sources; by default
    one for each class. A catalogue does not feel that. A short list has no source of most classes, and says little of
    how rare they are. The shares, (K,), have the sum 1, and each is at least `LEAST_PRIOR`. Without the pull, their
    likelihood has a single maximum, which is unbiased if the members of each class are like those of the labelled
    sample.
    """
    prior = np.asarray(priors, dtype=np.float64)
    likelihood = np.asarray(p, dtype=np.float64) / prior
    centre = prior if expected is None else np.asarray(expected, dtype=np.float64)
    shares = centre.copy()
    n = likelihood.shape[0]
    strength = float(prior.size) if strength is None else strength
    for _ in range(ROUNDS):
        joint = likelihood * shares
        members = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)).sum(axis=0)
        new = np.maximum((members + strength * centre) / max(n + strength, 1e-300), LEAST_PRIOR)
        new /= new.sum()
        if np.abs(new - shares).max() < 1e-7:
            return np.asarray(new)
        shares = new
    return shares


def reweighted(p: FloatArray, old: FloatArray, new: FloatArray) -> FloatArray:
    """Probabilities (N, K) for other priors."""
    q = p * (new / old)
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def expected_shares(density: FloatArray, priors: FloatArray) -> FloatArray:
    """Shares of the classes that published counts let expect, (N, K).

    Parameters
    ----------
    density : (N, K) float64
        Expected numbers of each class, in any unit; NaN for a class without counts, which keeps its share of the
        `priors`, (K,).
    """
    has_counts = np.isfinite(density).all(axis=0)
    if not has_counts.any():
        return np.broadcast_to(priors, density.shape)
    counted = density[:, has_counts]
    shares = np.tile(priors, (len(density), 1))
    shares[:, has_counts] = counted / counted.sum(axis=1, keepdims=True) * priors[has_counts].sum()
    return np.asarray(np.maximum(shares, LEAST_PRIOR))


def sky_prior(
    model: Model, p: FloatArray, values: ArrayLike, axes: Sequence[str], expected: FloatArray | None = None
) -> Model:
    """Make the prior a function of two properties, which replaces their own terms.

    Parameters
    ----------
    model : Model
        Fitted without these two (`FitOptions.excluded_properties`), with the priors of the whole catalogue.
    p : (N, K) float64
        Its posteriors for the catalogue's sources; of the kinds, where classes have kinds.
    values : (N, 2) array
        The two properties, named in `axes`, on their physical scales.
    expected : (N, K) float64, optional
        Shares of the classes at each source by published counts (`expected_shares`). The estimate in a cell is then
        pulled towards a mixture of their mean and the overall prior (`COUNTS_SHARE`).

    Returns
    -------
    Model
        With one more pair: log of the local prior over the overall prior. The same object if no source has both.

    Notes
    -----
    The shares are estimated in cells with equally many sources along each axis, and shrunk towards the overall prior
    (`STRENGTH`). Then they are scaled so that all cells together have that prior again: the distribution of each class
    is learned from the catalogue, its overall share is not. With expected shares nothing is scaled: the overall priors
    of the model become the sum over the cells. A source without one of the properties has the overall prior. Kinds of
    classes have priors of their own, whose sum over a cell or the catalogue is that of the class.
    """
    props = [next(q for q in model.properties if q.name == name) for name in axes]
    table = np.asarray(values, dtype=np.float64)
    scaled = [column_to_scale(table[:, i], prop) for i, prop in enumerate(props)]
    both = np.isfinite(scaled[0]) & np.isfinite(scaled[1])
    if not both.any():
        return model
    p, scaled = p[both], [x[both] for x in scaled]
    if expected is not None:
        expected = COUNTS_SHARE * expected[both] + (1.0 - COUNTS_SHARE) * model.priors
    cells, centres = [], []
    for x, n_cells in zip(scaled, CELLS, strict=True):
        edges = np.unique(np.quantile(x, np.linspace(0.0, 1.0, n_cells + 1)[1:-1]))
        edges = edges[edges > x.min()]  # keep at least one source below the first edge
        cells.append(np.searchsorted(edges, x, side="right"))
        centres.append([float(np.median(x[cells[-1] == c])) for c in range(edges.size + 1)])
    shape = (len(centres[0]), len(centres[1]))
    number = cells[0] * shape[1] + cells[1]
    size = np.bincount(number, minlength=shape[0] * shape[1])
    strength = STRENGTH * float(size.mean())
    members = [number == c for c in range(size.size)]
    pulled = [None if expected is None or not m.any() else expected[m].mean(axis=0) for m in members]
    priors = model.priors
    shares = np.array([estimate(p[m], priors, strength, to) for m, to in zip(members, pulled, strict=True)])
    if expected is None:
        for _ in range(_SCALINGS):
            overall = model.by_answer(size @ shares / size.sum())
            shares *= (model.answer_priors / overall)[model.answer_index]
            shares /= shares.sum(axis=1, keepdims=True)
    priors = size @ shares / size.sum()
    if expected is None:  # without the rounding
        priors = priors * (model.answer_priors / model.by_answer(priors))[model.answer_index]
    log_ratio = np.log(shares / priors).reshape(*shape, len(model.classes))
    # interpolate linearly from the middles of the cells to the bins of a pair
    low, step = middles(props)
    for axis, centre in enumerate(centres):
        at = low[axis] + step[axis] * np.arange(N_BINS)
        lines = np.moveaxis(log_ratio, axis, -1)
        spread = np.array([np.interp(at, centre, line) for line in lines.reshape(-1, len(centre))])
        log_ratio = np.moveaxis(spread.reshape(*lines.shape[:-1], N_BINS), -1, axis)
    names, n_present = (axes[0], axes[1]), np.full(len(model.classes), float(both.sum()))
    pair = PairTable(pair_name(names), props[0].category, names, low, step, log_ratio, n_present)
    mixing = np.concatenate([model.mixing, np.eye(len(model.classes))[None]])
    return replace(model, priors=priors, pairs=(*model.pairs, pair), mixing=mixing)

"""Priors of a catalogue: estimated from its unlabelled sources, everywhere or as a function of the sky."""

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
"""No class is given up: a prior of zero could not be mended by any evidence."""
_SCALINGS = 200
CELLS = (6, 4)
"""Cells of the prior that depends on two properties, along each; between their middles it is interpolated."""
STRENGTH = 2.0
"""What the prior of the whole catalogue counts for in a cell, in mean numbers of sources in a cell. The members of a
class in one part of the sky do not look just like the labelled ones, so what they say of the shares is not all
believed: with less, the shares of the rare classes run away where most sources are faint."""


def estimate(p: ArrayLike, priors: ArrayLike, strength: float = 0.0) -> FloatArray:
    """Estimate class shares by expectation-maximisation (Saerens, Latinne & Decaestecker 2002, Neural Comput. 14, 21).

    Parameters
    ----------
    p : (N, K) array
        Posterior probabilities of unlabelled sources.
    priors : (K,) array
        The priors that are in them.
    strength : float
        Sources that the priors themselves count for.

    Returns
    -------
    (K,) float64
        With the sum 1; none below 0.0001.

    Notes
    -----
    The likelihood of the shares has one maximum; it is right if the classes of the catalogue look like the labelled.
    """
    prior = np.asarray(priors, dtype=np.float64)
    likelihood = np.asarray(p, dtype=np.float64) / prior
    shares = prior.copy()
    n = likelihood.shape[0]
    for _ in range(ROUNDS):
        joint = likelihood * shares
        members = (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)).sum(axis=0)
        new = np.maximum((members + strength * prior) / max(n + strength, 1e-300), LEAST_PRIOR)
        new /= new.sum()
        if np.abs(new - shares).max() < 1e-7:
            return np.asarray(new)
        shares = new
    return shares


def reweighted(p: FloatArray, old: FloatArray, new: FloatArray) -> FloatArray:
    """Return probabilities (N, K) as they would be with other priors."""
    q = p * (new / old)
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def sky_prior(model: Model, p: FloatArray, values: ArrayLike, axes: Sequence[str]) -> Model:
    """Make the prior a function of two properties, in place of what they say themselves.

    Parameters
    ----------
    model : Model
        Fitted without these two (`Options.silent`), with the priors of the whole catalogue.
    p : (N, K) float64
        Its posteriors of the catalogue's sources.
    values : (N, 2) array
        The two properties, on their physical scales.
    axes : two str
        Their names.

    Returns
    -------
    Model
        With one pair more: log of the prior there over the prior everywhere. The same one if no source has both.

    Notes
    -----
    The shares are estimated in cells with equally many sources along each axis, and drawn to the prior of the whole
    catalogue (`STRENGTH`). Then they are scaled so that all cells together have that prior again: where the classes lie
    is learned from the catalogue, how many there are of each is not. A source that lacks one of the two properties has
    the prior of the whole.
    """
    props = [next(q for q in model.properties if q.name == name) for name in axes]
    table = np.asarray(values, dtype=np.float64)
    scaled = [column_to_scale(table[:, i], prop) for i, prop in enumerate(props)]
    there = np.isfinite(scaled[0]) & np.isfinite(scaled[1])
    if not there.any():
        return model
    k = len(model.classes)
    cell, centre = [], []
    for x, n_cells in zip(scaled, CELLS, strict=True):
        steps = np.linspace(0.0, 1.0, n_cells + 1)[1:-1]
        edges = np.unique(np.quantile(x[there], steps))
        edges = edges[edges > x[there].min()]  # below the first edge is somebody, too
        part = np.searchsorted(edges, x, side="right")
        cell.append(part)
        centre.append([float(np.median(x[there & (part == c)])) for c in range(edges.size + 1)])
    shape = (len(centre[0]), len(centre[1]))
    number = cell[0] * shape[1] + cell[1]
    size = np.bincount(number[there], minlength=shape[0] * shape[1])
    strength = STRENGTH * float(size.mean())
    shares = np.array([estimate(p[there & (number == c)], model.priors, strength) for c in range(size.size)])
    for _ in range(_SCALINGS):
        shares *= model.priors * size.sum() / (size @ shares)
        shares /= shares.sum(axis=1, keepdims=True)
    log_ratio = np.log(shares / model.priors).reshape(*shape, k)
    # from the middles of the cells to the bins of a pair, linearly
    for axis, (prop, middle) in enumerate(zip(props, centre, strict=True)):
        low, step = middles(prop)
        at = low + step * np.arange(N_BINS)
        lines = np.moveaxis(log_ratio, axis, -1)
        spread = np.array([np.interp(at, middle, line) for line in lines.reshape(-1, len(middle))])
        log_ratio = np.moveaxis(spread.reshape(*lines.shape[:-1], N_BINS), -1, axis)
    n_present = np.full(k, float(there.sum()))
    pair = PairTable(
        pair_name((axes[0], axes[1])), props[0].category, (axes[0], axes[1]),
        np.array([middles(q)[0] for q in props]), np.array([middles(q)[1] for q in props]), log_ratio, n_present,
    )  # fmt: skip
    mixing = np.concatenate([model.mixing, np.eye(k)[None]])
    return replace(model, pairs=(*model.pairs, pair), mixing=mixing)

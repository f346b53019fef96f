"""Two-dimensional tables: what two properties say together beyond what each says alone.

The table of a pair holds ln [p(x, y | c) / (p(x | c) p(y | c))]. Added to the terms of x and y it makes their joint
density; where one of the two is missing it says nothing. The prior as a function of two properties of the sky is a
table of the same form, and takes the place of their own terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import LEAST_FLOOR
from xcat.columns.properties import Property

N_BINS = 32
"""Bins of each axis."""
DOUBT = 10.0
"""Members of a class that would make the table half as strong as what they show: fewer are drawn to independence."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Log ratio of a joint density to the product of its margins, in K classes.

    Attributes
    ----------
    name, category : str
    axes : tuple of two str
        Names of the properties.
    low, step : (2,) float64
        Middle of the first bin and width of the bins, on the scales of the properties.
    log_ratio : (G, G, K) float64
        At the middles of the bins; bilinear between them, constant beyond the outermost.
    n_present : (K,) float64
        Labelled sources of the class that have both.
    """

    name: str
    category: str
    axes: tuple[str, str]
    low: FloatArray
    step: FloatArray
    log_ratio: FloatArray
    n_present: FloatArray

    def term(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Look values up, on the scales of the properties: (N, K), zero where one of them is not finite."""
        there = np.isfinite(x) & np.isfinite(y)
        last = np.array(self.log_ratio.shape[:2]) - 1.0
        node, rest = [], []
        for axis, value in enumerate((x, y)):
            low, step = self.low[axis], self.step[axis]
            at = (np.clip(np.where(there, value, low), low, low + last[axis] * step) - low) / step
            at = np.minimum(at, last[axis])
            node.append(np.minimum(at.astype(np.int64), int(last[axis]) - 1))
            rest.append((at - node[axis])[:, None])
        (i, j), (u, v), r = node, rest, self.log_ratio
        found = (1 - u) * ((1 - v) * r[i, j] + v * r[i, j + 1]) + u * ((1 - v) * r[i + 1, j] + v * r[i + 1, j + 1])
        found[~there] = 0.0
        return found


def bins(x_scaled: FloatArray, prop: Property) -> IntArray:
    """Bin of every value on the axis of a property; those outside the range are in the first or the last."""
    inside = np.clip(x_scaled, prop.low, prop.high)
    return np.minimum((inside - prop.low) / prop.width * N_BINS, N_BINS - 1).astype(np.int64)


def middles(prop: Property) -> tuple[float, float]:
    """Middle of the first bin, and the width of a bin."""
    return prop.low + 0.5 * prop.width / N_BINS, prop.width / N_BINS


def count_pair(
    x: FloatArray, y: FloatArray, label: IntArray, n_classes: int, axes: Sequence[Property], weight: FloatArray
) -> FloatArray:
    """Count values of two properties, on their scales, by class: (K, G, G)."""
    there = np.isfinite(x) & np.isfinite(y)
    flat = (label[there] * N_BINS + bins(x[there], axes[0])) * N_BINS + bins(y[there], axes[1])
    counted = np.bincount(flat, weight[there], n_classes * N_BINS**2)
    return np.asarray(counted, dtype=np.float64).reshape(n_classes, N_BINS, N_BINS)


def pair_table(counts: FloatArray, axes: Sequence[Property], bandwidth: FloatArray, category: str) -> PairTable:
    """Make the table of a pair.

    Parameters
    ----------
    counts : (K, G, G) float64
    axes : two Property
    bandwidth : (2, K) float64
        Those of the two properties alone; in two dimensions the best one is n^(1/30) times as wide
        (Scott 1992, Multivariate Density Estimation, eq. 6.43), and half a bin at least.
    category : str
    """
    k = counts.shape[0]
    n = counts.sum(axis=(1, 2))
    frequency = np.pi * np.arange(N_BINS) / N_BINS
    log_ratio = np.zeros((N_BINS, N_BINS, k))
    step = np.array([middles(a)[1] for a in axes])
    for c in range(k):
        if n[c] <= 0.0:
            continue
        width = np.maximum(bandwidth[:, c] * n[c] ** (1 / 30) / step, 0.5)
        damping = np.exp(-0.5 * ((frequency[:, None] * width[0]) ** 2 + (frequency[None, :] * width[1]) ** 2))
        joint = np.maximum(idctn(dctn(counts[c] / n[c]) * damping), 0.0)
        # the floor of the two tables: with a lower one, where nobody is would be more than their product takes away
        floor = max(LEAST_FLOOR, 1.0 / (n[c] + 2.0))
        joint = (1.0 - floor) * joint / joint.sum() + floor / N_BINS**2
        product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        share = n[c] / (n[c] + DOUBT)
        log_ratio[:, :, c] = np.log(share * joint / product + 1.0 - share)
    low = np.array([middles(a)[0] for a in axes])
    names = (axes[0].name, axes[1].name)
    return PairTable(pair_name(names), category, names, low, step, log_ratio, n)


def pair_name(axes: Sequence[str]) -> str:
    """Name of the pair of two properties."""
    return f"{axes[0]}*{axes[1]}"


def as_row(table: PairTable) -> NDArray[np.float64]:
    """The ratios of one class after the other, each row by row, (K, G * G): what a database row holds."""
    return np.ascontiguousarray(table.log_ratio.reshape(-1, table.log_ratio.shape[2]).T)

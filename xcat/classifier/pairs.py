"""Two-dimensional tables: the information in two properties together, beyond that of each alone.

The table of a pair holds ln [p(x, y | c) / (p(x | c) p(y | c))]. Added to the terms of x and y it makes their joint
density; it is zero where one of the two is missing. The prior as a function of two properties has a table of the same
form, which replaces their own terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import LEAST_FLOOR
from xcat.columns.properties import Property

N_BINS = 32
"""Bins of each axis."""
DOUBT = 10.0
"""Number of members with which a class keeps half of the ratio that they show; fewer shrink it towards independence."""


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
        Labelled sources of the class with both properties.
    """

    name: str
    category: str
    axes: tuple[str, str]
    low: FloatArray
    step: FloatArray
    log_ratio: FloatArray
    n_present: FloatArray

    def term(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Log ratios at values on the scales of the properties, (N, K); zero where one value is not finite."""
        both = np.isfinite(x) & np.isfinite(y)
        last = np.array(self.log_ratio.shape[:2]) - 1.0
        node, rest = [], []
        for axis, value in enumerate((x, y)):
            low, step = self.low[axis], self.step[axis]
            at = (np.clip(np.where(both, value, low), low, low + last[axis] * step) - low) / step
            at = np.minimum(at, last[axis])
            node.append(np.minimum(at.astype(np.int64), int(last[axis]) - 1))
            rest.append((at - node[axis])[:, None])
        (i, j), (u, v), r = node, rest, self.log_ratio
        ratio = (1 - u) * ((1 - v) * r[i, j] + v * r[i, j + 1]) + u * ((1 - v) * r[i + 1, j] + v * r[i + 1, j + 1])
        ratio[~both] = 0.0
        return np.asarray(ratio)

    def of_classes(self, chosen: NDArray[np.bool_]) -> "PairTable":
        """The table of some of the classes."""
        return replace(self, log_ratio=self.log_ratio[..., chosen], n_present=self.n_present[chosen])


def bins(x_scaled: FloatArray, prop: Property) -> IntArray:
    """Bin of every value on the axis of a property; values outside the range are in the first or the last bin."""
    inside = np.clip(x_scaled, prop.low, prop.high)
    return np.minimum((inside - prop.low) / prop.width * N_BINS, N_BINS - 1).astype(np.int64)


def middles(axes: Sequence[Property]) -> tuple[FloatArray, FloatArray]:
    """Middle of the first bin, and width of the bins, of each axis."""
    return np.array([a.low + 0.5 * a.width / N_BINS for a in axes]), np.array([a.width / N_BINS for a in axes])


def pair_bins(x: FloatArray, y: FloatArray, axes: Sequence[Property]) -> IntArray:
    """Bin of two properties, on their scales, (n,), from 0; N_BINS^2 where one of them has no value."""
    both = np.isfinite(x) & np.isfinite(y)
    place = np.full(x.size, N_BINS**2)
    place[both] = bins(x[both], axes[0]) * N_BINS + bins(y[both], axes[1])
    return place


def count_pair(
    x: FloatArray, y: FloatArray, label: IntArray, n_classes: int, axes: Sequence[Property], weight: FloatArray
) -> FloatArray:
    """Count values of two properties, on their scales, by class: (K, G, G)."""
    n_places = N_BINS**2 + 1
    flat = np.bincount(label * n_places + pair_bins(x, y, axes), weight, n_classes * n_places)
    counted = flat.astype(np.float64).reshape(n_classes, n_places)[:, :-1]
    return np.asarray(counted).reshape(n_classes, N_BINS, N_BINS)


def pair_table(counts: FloatArray, axes: Sequence[Property], bandwidth: FloatArray, category: str) -> PairTable:
    """Make the table of a pair from counts, (K, G, G).

    The bandwidths, (2, K), are those of the two properties alone. In two dimensions the best one is n^(1/30) times as
    wide (Scott 1992, Multivariate Density Estimation, eq. 6.43); it is at least half a bin.
    """
    from scipy.fft import dctn, idctn  # here: it takes long to load, and only a fit needs it

    k = counts.shape[0]
    n = counts.sum(axis=(1, 2))
    frequency = np.pi * np.arange(N_BINS) / N_BINS
    log_ratio = np.zeros((N_BINS, N_BINS, k))
    low, step = middles(axes)
    for c in range(k):
        if n[c] <= 0.0:
            continue
        width = np.maximum(bandwidth[:, c] * n[c] ** (1 / 30) / step, 0.5)
        damping = np.exp(-0.5 * ((frequency[:, None] * width[0]) ** 2 + (frequency[None, :] * width[1]) ** 2))
        joint = np.maximum(idctn(dctn(counts[c] / n[c]) * damping), 0.0)
        # a smaller floor than that of the two tables would let empty bins subtract more than their product does
        floor = max(LEAST_FLOOR, 1.0 / (n[c] + 2.0))
        joint = (1.0 - floor) * joint / joint.sum() + floor / N_BINS**2
        product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        share = n[c] / (n[c] + DOUBT)
        log_ratio[:, :, c] = np.log(share * joint / product + 1.0 - share)
    names = (axes[0].name, axes[1].name)
    return PairTable(pair_name(names), category, names, low, step, log_ratio, n)


def pair_name(axes: Sequence[str]) -> str:
    """Name of the pair of two properties."""
    return f"{axes[0]}*{axes[1]}"


def as_row(table: PairTable) -> NDArray[np.float64]:
    """Ratios as rows of the database hold them, (K, G * G): one row per class."""
    return np.ascontiguousarray(table.log_ratio.reshape(-1, table.log_ratio.shape[2]).T)

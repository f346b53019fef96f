"""Kernel densities of one property in one class, tabulated as natural-log density on a uniform grid of nodes.

The values are counted in cells, four to the distance between two nodes, and the counts are smoothed through
their cosine transform: a Gaussian kernel on a segment whose ends reflect is exactly a damping of the cosine
coefficients [1]_. Walls of the property are ends of that segment; at an end which is no wall the segment is
continued by half the range, so that the kernel leaves freely, and cut off afterwards. Counts are whole
numbers and add up, so the tables without a fold cost a sum and a transform, not another pass over the
sources.

The bandwidth is that of Improved Sheather-Jones [1]_, from the same coefficients. KDEpy 1.1.12's own
``improved_sheather_jones`` is not used: it solves for the bandwidth in units of its padded mesh and
multiplies by the range of the data, so that the answer is two times too small or more (its issues 199 and
201). Corrected for that it agrees, and a test says so.

References
----------
.. [1] Botev, Grotowski & Kroese 2010, "Kernel density estimation via diffusion", Ann. Statist. 38, 2916.
.. [2] Silverman 1986, "Density estimation for statistics and data analysis", eq. 3.31.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct
from scipy.optimize import brentq

from xcat.classifier.properties import FloatArray, IntArray, Property

N_NODES = 257
CELLS_PER_STEP = 4

FEW = 100
"""Below this number of values ISJ follows the noise, and Silverman's rule is used."""

LEAST_FLOOR = 0.001
"""Least share of the flat density in a table: no value may exclude a class by itself."""

TAIL_DECADES = 10.0
"""Fall of every density beyond the ends of its table, in decades for each length of the table."""


@dataclass(frozen=True, eq=False)
class Table:
    """Density of one property in one class.

    Attributes
    ----------
    log_density : (G,) float64
        Natural log of the density at the nodes, per unit of the property's scale. Interpolated linearly, it
        integrates to 1 over the range.
    bandwidth : float
        Standard deviation of the kernel, on the property's scale; the whole range when there are no values.
    n : int
        Values that it was made from.
    """

    log_density: FloatArray
    bandwidth: float
    n: int


def fit_table(x_scaled: ArrayLike, prop: Property, n_nodes: int = N_NODES) -> Table:
    """Estimate the density of one property in one class.

    Parameters
    ----------
    x_scaled : (n,) array
        Values of the class's members, on the property's scale. NaN is missing and left out; a value outside
        the range counts at the nearer end.
    prop : Property
    n_nodes : int
        Nodes of the table, both ends included.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        When there are fewer than 9 nodes.

    Notes
    -----
    The table is (1 - e) kernel density + e / range with e = max(0.001, 1 / (n + 2)): Laplace's probability
    that the next member is unlike the n seen so far. A class of three is one fifth flat, one of a hundred
    one hundredth.
    """
    x = np.asarray(x_scaled, dtype=np.float64)
    return table_of_counts(np.bincount(cells(x[~np.isnan(x)], prop, n_nodes), minlength=n_cells(n_nodes)), prop)


def n_cells(n_nodes: int) -> int:
    """Cells that a table with this many nodes is counted in."""
    if n_nodes < 9:
        raise ValueError(f"a table needs at least 9 nodes, not {n_nodes}")
    return CELLS_PER_STEP * (n_nodes - 1)


def cells(x_scaled: FloatArray, prop: Property, n_nodes: int) -> IntArray:
    """Return the cell of every value; values outside the range fall in the first or the last cell. No NaN."""
    m = n_cells(n_nodes)
    inside = np.clip(x_scaled, prop.low, prop.high)
    return np.minimum((inside - prop.low) * (m / prop.width), m - 1).astype(np.int64)


def table_of_counts(counts: NDArray[np.integer], prop: Property) -> Table:
    """Make the table from the number of values in each cell; see `fit_table`."""
    m = counts.size
    n_nodes = m // CELLS_PER_STEP + 1
    n = int(counts.sum())
    if n == 0:
        return Table(np.full(n_nodes, -np.log(prop.width)), prop.width, 0)

    half = m // 2
    before, after = half * (not prop.bounded_low), half * (not prop.bounded_high)
    segment = np.pad(counts / n, (before, after))
    length = prop.width * segment.size / m
    coefficients = dct(segment) / 2.0  # mean of cos(pi k x / length) over the values
    # Values piled up at a wall (a hardness ratio without counts in one band) are no structure to resolve: they would
    # ask for a bandwidth of one cell everywhere, so they have no say in it.
    free = counts.copy()
    free[[0, -1]] = 0
    n_free = int(free.sum())
    if n_free == 0:
        free, n_free = counts, n
    shape = dct(np.pad(free / n_free, (before, after))) / 2.0
    h = _bandwidth(free, shape, n_free, length, prop.width, prop.width / (n_nodes - 1))

    k = np.arange(segment.size + 1)
    damped = np.append(coefficients, 0.0) * np.exp(-0.5 * (np.pi * k * h / length) ** 2)
    at_cell_edges = dct(damped, type=1)  # the cosine series, summed where the nodes are
    at_nodes = at_cell_edges[before : before + m + 1 : CELLS_PER_STEP]
    kernel = np.maximum(at_nodes, 0.0)  # the series may undershoot zero by rounding
    kernel /= np.trapezoid(kernel, dx=prop.width / (n_nodes - 1))

    floor = max(LEAST_FLOOR, 1.0 / (n + 2))
    log_density = np.log((1.0 - floor) * kernel + floor / prop.width)
    return Table(log_density - np.log(integral(log_density, prop)), h, n)


def integral(log_density: FloatArray, prop: Property) -> float:
    """Integral over the range of the density whose logarithm is interpolated linearly between the nodes."""
    rise = np.diff(log_density)
    # (e^d - 1) / d is the mean of the exponential over one step, 1 in the limit of no rise
    mean = np.divide(np.expm1(rise), rise, out=np.ones_like(rise), where=np.abs(rise) > 1e-12)
    return float(np.sum(np.exp(log_density[:-1]) * mean) * prop.width / rise.size)


def tail_slope(prop: Property) -> float:
    """Decrease of log density per unit of scale beyond the ends of the tables of a property.

    It is one for all classes: far out there are no data to say which class has the longer tail, so a value
    out there makes the source more outlying and leaves the ratios of the classes as they are at the end.
    """
    return TAIL_DECADES * float(np.log(10.0)) / prop.width


def silverman(counts: NDArray[np.integer], width: float) -> float:
    """Silverman's bandwidth 0.9 min(std, IQR / 1.34) n^-1/5 [2]_, on cell counts.

    One imaginary value with a deviation of an eighth of the range joins the spread, so that one value, or
    five equal ones, do not pose as a narrow class. For tens of values it no longer matters.
    """
    n = int(counts.sum())
    centres = (np.arange(counts.size) + 0.5) * (width / counts.size)
    mean = np.average(centres, weights=counts)
    std = np.sqrt(np.average((centres - mean) ** 2, weights=counts) * n / max(n - 1, 1))
    quartiles = centres[np.searchsorted(np.cumsum(counts), [0.25 * n, 0.75 * n])]
    robust = (quartiles[1] - quartiles[0]) / 1.34
    spread = min(std, robust) if robust > 0 else std
    spread = np.sqrt(((n - 1) * spread**2 + (width / 8.0) ** 2) / n)
    return float(0.9 * spread * n**-0.2)


def improved_sheather_jones(coefficients: FloatArray, n: int, least: float, most: float) -> float | None:
    """Bandwidth by the fixed point of Botev et al. [1]_, section 5, in units of the segment.

    Parameters
    ----------
    coefficients : (M,) float64
        Means of cos(pi k x) over the values x in [0, 1], k = 0 ... M-1.
    n : int
        Number of values.
    least, most : float
        Where to look for it.

    Returns
    -------
    float or None
        The smallest solution; `least` when it is below that, None when there is none below `most`.
    """
    frequency = (np.pi * np.arange(1, coefficients.size)) ** 2
    power = coefficients[1:] ** 2

    def excess(time: float) -> float:
        """Return the time (squared bandwidth) minus the one that it leads to."""
        following = time
        for order in range(7, 1, -1):
            # squared norm of the derivative of this order, of the density smoothed for that time
            roughness = 2.0 * float(np.sum(frequency**order * power * np.exp(-frequency * following)))
            if roughness <= 0.0 or not np.isfinite(roughness):
                return -time  # no structure left to smooth: look further out
            if order == 2:
                return time - (2.0 * n * np.sqrt(np.pi) * roughness) ** -0.4
            s = order - 1
            odd = float(np.prod(np.arange(1, 2 * s, 2))) / np.sqrt(2.0 * np.pi)
            gain = 2.0 * (1.0 + 0.5 ** (s + 0.5)) / 3.0 * odd
            following = (gain / (n * roughness)) ** (2.0 / (3.0 + 2.0 * s))
        raise AssertionError("unreachable")

    low, last = least**2, most**2
    if excess(low) >= 0.0:
        return least
    while low < last:  # outwards in small strides: of several solutions the smallest is meant
        high = min(2.0 * low, last)
        if excess(high) > 0.0:
            return float(np.sqrt(brentq(excess, low, high, rtol=1e-3)))
        low = high
    return None


def _bandwidth(
    counts: NDArray[np.integer], coefficients: FloatArray, n: int, length: float, width: float, step: float
) -> float:
    """Bandwidth on the property's scale: ISJ where it can be trusted, else Silverman; one step at least."""
    most = width / 4.0
    found = improved_sheather_jones(coefficients, n, step / length, most / length) if n >= FEW else None
    h = silverman(counts, width) if found is None else found * length
    return float(np.clip(h, step, most))

"""Bandwidths of kernel densities, from cell counts and their cosine coefficients.

KDEpy 1.1.12's ``improved_sheather_jones`` is not used: it solves for the bandwidth in units of its padded mesh and
multiplies by the range of the data, so that the result is too small by a factor of two or more (its issues 199 and
201). Corrected for that it agrees, as a test checks.

References
----------
.. [1] Botev, Grotowski & Kroese 2010, "Kernel density estimation via diffusion", Ann. Statist. 38, 2916.
.. [2] Silverman 1986, "Density estimation for statistics and data analysis", eq. 3.31.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray


def silverman(counts: NDArray[np.number], width: float) -> float:
    """Silverman's bandwidth 0.9 min(std, IQR / 1.34) n^-1/5 [2]_, on cell counts.

    One imaginary value with a deviation of an eighth of the range is added, so that one value, or five equal ones, do
    not make a narrow class. For tens of values it no longer matters.
    """
    n = float(counts.sum())
    centres = (np.arange(counts.size) + 0.5) * (width / counts.size)
    mean = (centres * counts).sum() / n
    std = np.sqrt(((centres - mean) ** 2 * counts).sum() / n * n / max(n - 1, 1.0))
    quartiles = centres[np.searchsorted(np.cumsum(counts), [0.25 * n, 0.75 * n])]
    robust = (quartiles[1] - quartiles[0]) / 1.34
    spread = min(std, robust) if robust > 0 else std
    spread = np.sqrt((max(n - 1, 0.0) * spread**2 + (width / 8.0) ** 2) / max(n, 1.0))
    return float(0.9 * spread * max(n, 1.0) ** -0.2)


_GAIN = {
    s + 1: float(2.0 * (1.0 + 0.5 ** (s + 0.5)) / 3.0 * (np.prod(np.arange(1, 2 * s, 2)) / np.sqrt(2.0 * np.pi)))
    for s in range(2, 7)
}
"""Factors of the fixed-point equation, by the order of the derivative."""
_EXP_IS_ZERO = 746.0  # exp(-746) is zero in double precision


@cache
def _powers_of_frequency(size: int) -> tuple[FloatArray, FloatArray]:
    """Minus the squared frequencies 1 ... size - 1, and their powers 0 to 7, (8, size - 1)."""
    frequency = np.asarray((np.pi * np.arange(1, size)) ** 2, dtype=np.float64)
    return -frequency, np.asarray(frequency ** np.arange(8)[:, None], dtype=np.float64)


def improved_sheather_jones(coefficients: FloatArray, n: float, least: float, most: float) -> float | None:
    """Bandwidth by the fixed point of Botev et al. [1]_, section 5, in units of the segment.

    The coefficients, (M,), are means of cos(pi k x) over n values x in [0, 1], k = 0 ... M-1. The smallest solution is
    returned; `least` when it is below that, None without a solution below `most`.
    """
    minus_frequency, powers = _powers_of_frequency(coefficients.size)
    weighted = coefficients[1:] ** 2 * powers
    damping = np.empty(minus_frequency.size)

    def excess(time: float) -> float:
        """Time (squared bandwidth) minus the next iterate of the fixed-point equation."""
        following, roughness = time, 0.0
        for order in range(7, 1, -1):
            # beyond these the exponential is zero; but all are summed: the order of summation must not change
            active = damping[: int(np.sqrt(_EXP_IS_ZERO / following) / np.pi) + 1]
            np.exp(np.multiply(minus_frequency[: active.size], following, out=active), out=active)
            damping[active.size :] = 0.0
            # squared norm of the derivative of this order, of the density smoothed for that time
            roughness = 2.0 * float(weighted[order] @ damping)
            if not 0.0 < roughness < np.inf:
                return -time  # no structure left to smooth: search at larger bandwidths
            if order == 2:
                break
            following = (_GAIN[order] / (n * roughness)) ** (2.0 / (3.0 + 2.0 * (order - 1)))
        return float(time - (2.0 * n * np.sqrt(np.pi) * roughness) ** -0.4)

    from scipy.optimize import brentq  # here: it takes long to load, and only a fit needs it

    low, last = least**2, most**2
    if excess(low) >= 0.0:
        return least
    while low < last:  # in small steps: the smallest of several solutions is wanted
        high = min(2.0 * low, last)
        if excess(high) > 0.0:
            return float(np.sqrt(brentq(excess, low, high, rtol=1e-3)))
        low = high
    return None

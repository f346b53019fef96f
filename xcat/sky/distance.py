"""Distances in the sky maps of gravitational waves.

If the event is in a cell, its distance r is distributed as r^2 times a Gaussian of mean DISTMU and deviation DISTSIGMA
(Singer et al. 2016, ApJL 829, L15, eq. 1). So DISTMU is not the mean distance, and may be far below 0.
"""

from __future__ import annotations

import numpy as np

from xcat.arrays import FloatArray

_FAR = -4.0  # below this ratio the recurrence loses its digits, and the tail is nearly exponential
_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(48)


def conditional_moments(mu: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of r > 0 distributed as r^2 exp(-(r - mu)^2 / (2 sigma^2)).

    Parameters
    ----------
    mu, sigma : ndarray, shape (n,)
        DISTMU and DISTSIGMA, in one unit.

    Returns
    -------
    mean, std : ndarray, shape (n,)
        In that unit; NaN where the parameters give no distribution.
    """
    mean, std = np.full(len(mu), np.nan), np.full(len(mu), np.nan)
    known = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0)
    x = mu[known] / sigma[known]
    one, two = np.where(x > _FAR, _by_recurrence(np.maximum(x, _FAR)), _by_quadrature(np.minimum(x, _FAR)))
    mean[known], std[known] = sigma[known] * one, sigma[known] * np.sqrt(np.maximum(two - one**2, 0.0))
    return mean, std


def _by_recurrence(x: FloatArray) -> FloatArray:
    """First and second moment in units of sigma, from the integrals of r^k exp(-(r - x)^2 / 2)."""
    from scipy.special import ndtr

    edge = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    m0 = ndtr(x)
    m1 = x * m0 + edge
    m2 = x * m1 + m0
    m3 = x * m2 + 2 * m1
    m4 = x * m3 + 3 * m2
    return np.stack([m3 / m2, m4 / m2])


def _by_quadrature(x: FloatArray) -> FloatArray:
    """The same for x far below 0: with t = |x| r, of t^k exp(-t) exp(-t^2 / (2 x^2)), by Gauss and Laguerre."""
    weight = _WEIGHTS * np.exp(-((_NODES / x[:, None]) ** 2) / 2)
    m2, m3, m4 = ((weight * _NODES**k).sum(axis=1) for k in (2, 3, 4))
    return np.stack([m3 / m2 / -x, m4 / m2 / x**2])

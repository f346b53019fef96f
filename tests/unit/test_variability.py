"""Variability of light curves: what is constant is said to be so, a flare is found, numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xcat.ingest import variability
from xcat.ingest.product_files import Curve


def _curve(rate: Any, error: Any, width_s: float = 100.0, n_counts: float | None = None) -> Curve:
    rate = np.asarray(rate, float)
    n = len(rate)
    error = np.broadcast_to(np.asarray(error, float), n)
    no, nan = np.zeros(n, bool), np.full(n, np.nan)
    time = 55000 + (np.arange(n) + 0.5) * width_s / 86400
    return Curve(
        np.arange(1, n + 1), time, np.full(n, width_s), rate, error, error, nan, no.copy(), no.copy(), n_counts=n_counts
    )  # fmt: skip


def _counted(counts: Any) -> Curve:
    counts = np.asarray(counts, float)
    return _curve(counts / 100, 0.1, n_counts=float(counts.sum()))


def test_constant_curves_have_one_block():
    rng = np.random.default_rng(1)
    n = 12
    several = [len(variability.blocks(_counted(rng.poisson(mean, 60)))) > 1 for mean in [0.3] * n + [8] * n]
    several += [len(variability.blocks(_curve(rng.normal(5, 1, 60), 1.0))) > 1 for _ in range(n)]
    assert sum(several) <= 2  # 1 of 100 is expected


def test_a_flare_among_empty_bins_is_found_where_it_is():
    counts = np.zeros(50)
    counts[30:34] = 6
    found = variability.blocks(_counted(counts))
    assert [b.rate_cps for b in found] == pytest.approx([0, 0.06, 0])
    edges = [round((b.mjd_low - 55000) * 86400 / 100, 6) for b in found]
    assert edges == pytest.approx([0, 30, 34], abs=1e-4)
    assert found[-1].mjd_high == pytest.approx(55000 + 5000 / 86400)


def test_the_bins_of_a_curve_that_is_finer_than_its_counts_are_joined():
    counts = np.zeros(5000)
    counts[2000:2500] = 0.2
    assert [round(b.rate_cps, 4) for b in variability.blocks(_counted(counts))][1] == pytest.approx(0.002, rel=0.1)


def test_a_step_in_rates_with_errors_is_found_and_limits_are_left_out():
    rng = np.random.default_rng(2)
    curve = _curve(np.concatenate([rng.normal(1, 0.1, 20), rng.normal(2, 0.1, 20)]), 0.1)
    curve.rate_cps[5], curve.is_limit[5] = 50.0, True
    low, high = variability.blocks(curve)
    assert low.rate_cps == pytest.approx(1, abs=0.1) and high.rate_cps == pytest.approx(2, abs=0.1)
    assert low.rate_err_cps == pytest.approx(0.1 / 19**0.5)
    assert low.mjd_high == high.mjd_low == pytest.approx(55000 + 2000 / 86400)


def test_the_excess_variance_is_that_of_vaughan():
    # mean 2, sample variance 1, mean squared error 0.25: (1 - 0.25) / 4
    rate = np.array([1.0, 3.0, 2.0, 1.0, 3.0])
    found = variability.excess(rate, np.full(5, 0.5), 100.0)
    assert found.value == pytest.approx(0.1875)
    of_noise, of_signal = (2 / 5) ** 0.5 * 0.25 / 4, (0.25 / 5) ** 0.5 * 2 * 0.1875**0.5 / 2
    assert found.error == pytest.approx(np.hypot(of_noise, of_signal))
    # stingray 2.3.2, excess_variance(normalization="norm_xs"), gives 0.1375: it divides by n where the paper has n - 1
    assert found.value + (rate.var() - rate.var(ddof=1)) / 4 == pytest.approx(0.1375)
    assert variability.excess(rate[:4], np.full(4, 0.5), 100.0) is None
    assert variability.excess(-rate, np.full(5, 0.5), 100.0) is None


def test_counted_photons_are_joined_before_a_variance_is_taken():
    rng = np.random.default_rng(3)
    constant = variability.variance(_counted(rng.poisson(2, 1000)))
    assert abs(constant.value) < 4 * constant.error and constant.bin_s == pytest.approx(1000, rel=0.1)
    rate = 2 * (1 + 0.6 * np.sin(np.arange(1000) / 60))
    varying = variability.variance(_counted(rng.poisson(rate)))
    assert varying.value == pytest.approx(rate.var() / rate.mean() ** 2, abs=0.05) and varying.value > 5 * varying.error
    assert variability.variance(_counted([20, 20, 20, 20])) is None

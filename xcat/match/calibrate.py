"""How often a position without a counterpart is given one, measured at shifted positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from xcat.match.targets import Parts, Targets
from xcat.sky import geometry
from xcat.sky.density_map import DensityMap

# 20,000 positions know a rate of 5 % to 0.15 %, and parts of the sky with a twentieth of them to 0.7 %
_WANTED = 20_000
_MOST_PER_SOURCE = 5
_FEWEST = 200  # positions that a part needs for a cutoff of its own
_TRIES = 8
_GRID = np.linspace(0, 1, 101)


def shifted(
    targets: Targets,
    maps: Sequence[DensityMap],
    around_arcsec: float | None,
    radius_arcsec: float,
    seed: int | None,
) -> tuple[Targets, np.ndarray]:
    """Positions near the sources that are no sources, with their errors and epochs.

    A position is moved along a great circle, which takes care of cos(dec), RA = 0 and the poles, by 2 to 12 search
    radii (60 arcsec at least). It keeps two radii from every source, and stays where all catalogues have been observed.

    Parameters
    ----------
    targets : Targets
    maps : sequence of DensityMap
        Footprints to stay on.
    around_arcsec : float, optional
        Radius of the cut-outs around the sources to stay in, with the whole search circle.
    radius_arcsec : float
    seed : int, optional
        Without, nothing is known of any catalogue and nothing is returned.

    Returns
    -------
    shifted : Targets
        20,000 or, if there are few sources, 5 for each; fewer where no free place is found in eight tries.
    origin : ndarray of int
        The target that each was made of.
    """
    inner, outer = 2 * radius_arcsec, max(12 * radius_arcsec, 60.0)
    if around_arcsec is not None:
        outer = min(outer, around_arcsec - radius_arcsec)
    if seed is None or not len(targets) or outer <= inner:
        none = np.zeros(0, np.int64)
        return targets.take(none), none
    rng = np.random.default_rng(seed)
    n = len(targets)
    per_source = min(-(-_WANTED // n), _MOST_PER_SOURCE)
    source = rng.permutation(n)[:_WANTED] if per_source == 1 else np.repeat(np.arange(n), per_source)[:_WANTED]
    tree = cKDTree(targets.unit_vectors())
    apart = 2 * np.sin(np.radians(2 * radius_arcsec / 3600) / 2)
    ra, dec = targets.ra[source].astype(float), targets.dec[source].astype(float)
    free = np.zeros(len(source), bool)
    for _ in range(_TRIES):
        todo = np.flatnonzero(~free)
        if not len(todo):
            break
        away = np.radians(np.sqrt(rng.uniform(inner**2, outer**2, len(todo))) / 3600)
        new_ra, new_dec = geometry.along(
            targets.ra[source[todo]], targets.dec[source[todo]], away, rng.uniform(0, 2 * np.pi, len(todo))
        )
        ok = tree.query(geometry.to_vector(new_ra, new_dec))[0] > apart
        for density_map in maps:
            ok &= density_map.covers(new_ra, new_dec)
        ra[todo[ok]], dec[todo[ok]] = new_ra[ok], new_dec[ok]
        free[todo[ok]] = True
    return targets.take(source[free]).moved_to(ra[free], dec[free]), source[free]


@dataclass(frozen=True)
class Calibration:
    """False matches against the cutoff of p_any, by catalogue k (0: all together) and part of the sky (0: all).

    Attributes
    ----------
    k, part : ndarray of int, shape (n,)
    cutoff : ndarray, shape (n,)
    is_chosen : ndarray of bool, shape (n,)
        The cutoff in use; the others are a grid from 0 to 1.
    n_sources, n_sources_above, n_shifted, n_shifted_above : ndarray of int, shape (n,)
    false_rate : ndarray, shape (n,)
        n_shifted_above / n_shifted; 0 without shifted positions.
    contamination : ndarray, shape (n,)
        Mean of 1 - p_any of the sources above, NaN if there are none.
    density_low_per_deg2, density_high_per_deg2 : ndarray, shape (n,)
    """

    k: np.ndarray
    part: np.ndarray
    cutoff: np.ndarray
    is_chosen: np.ndarray
    n_sources: np.ndarray
    n_sources_above: np.ndarray
    n_shifted: np.ndarray
    n_shifted_above: np.ndarray
    false_rate: np.ndarray
    contamination: np.ndarray
    density_low_per_deg2: np.ndarray
    density_high_per_deg2: np.ndarray

    @classmethod
    def none(cls, n_catalogues: int, min_p_any: float) -> Calibration:
        """Nothing measured."""
        n = n_catalogues + 1
        zero, nan = np.zeros(n, np.int64), np.full(n, np.nan)
        return cls(
            np.arange(n), zero, np.full(n, min_p_any), np.ones(n, bool), zero, zero, zero, zero, nan, nan, nan, nan
        )

    def cutoff_of(self, k: int, part: int = 0) -> float:
        """The cutoff in use for a catalogue and part."""
        return float(self.cutoff[self.is_chosen & (self.k == k) & (self.part == part)][0])

    def cuts(self) -> list[tuple[int, int, float]]:
        """The cutoffs in use: catalogue, part, p_any."""
        chosen = self.is_chosen & (self.part > 0)
        return list(zip(self.k[chosen].tolist(), self.part[chosen].tolist(), self.cutoff[chosen].tolist(), strict=True))


def calibrate(
    p_any: np.ndarray, parts: Parts, measured: Sequence[bool], false_rate: float, min_p_any: float
) -> Calibration:
    """Count sources and shifted positions above each cutoff, and choose one.

    Parameters
    ----------
    p_any : ndarray, shape (n_catalogues + 1, n_targets)
        Row 0 for all catalogues together.
    parts : Parts
    measured : sequence of bool
        Whether shifted positions mean anything for a row.
    false_rate : float
        The chosen cutoff lets this share of the shifted positions pass, or less.
    min_p_any : float
        The chosen cutoff is not below this.

    Returns
    -------
    Calibration
        A part with fewer than 200 shifted positions has the cutoff of all parts.
    """
    rows = []
    for k, p in enumerate(p_any):
        chosen_of_all = min_p_any
        for part in range(parts.n_parts + 1):
            here = slice(None) if part == 0 else parts.part == part
            source = np.sort(p[here][parts.is_source[here]])
            moved = np.sort(p[here][~parts.is_source[here]]) if measured[k] else np.zeros(0)
            density = parts.density[here]
            chosen = chosen_of_all
            if len(moved) >= (1 if part == 0 else _FEWEST):
                # the smallest number that no more than the wanted share of the shifted positions reaches
                last_refused = moved[len(moved) - 1 - int(false_rate * len(moved))] if false_rate < 1 else 0.0
                chosen = float(min(max(np.nextafter(last_refused, 2), min_p_any), 1.0))
            if part == 0:
                chosen_of_all = chosen
            cutoff = np.append(_GRID, chosen)
            above, moved_above = (len(x) - np.searchsorted(x, cutoff) for x in (source, moved))
            rest = np.append(np.cumsum((1 - source)[::-1])[::-1], 0.0)[np.searchsorted(source, cutoff)]
            n = len(cutoff)
            rows.append((
                np.full(n, k), np.full(n, part), cutoff, np.arange(n) == n - 1, np.full(n, len(source)), above,
                np.full(n, len(moved)), moved_above, moved_above / max(len(moved), 1),
                np.where(above > 0, rest / np.maximum(above, 1), np.nan),
                np.full(n, density.min() if len(density) else 0.0), np.full(n, density.max() if len(density) else 0.0),
            ))  # fmt: skip
    return Calibration(*(np.concatenate(column) for column in zip(*rows, strict=True)))

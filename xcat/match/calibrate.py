"""Rate of false matches, measured at shifted positions, and the cutoff of p_any that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xcat.match.targets import Parts, Targets
from xcat.sky import geometry
from xcat.sky.footprint import Footprint

# 20,000 positions measure a rate of 5 % to +-0.15 %, and a part of the sky with a twentieth of them to +-0.7 %
_N_SHIFTED = 20_000
_MOST_PER_SOURCE = 5
_FEWEST = 200  # shifted positions that a part of the sky needs for its own cutoff
_TRIES = 8
_SEED = 1
_GRID = np.linspace(0, 1, 101)


def shifted(
    targets: Targets,
    footprints: Sequence[tuple[Footprint, np.ndarray]],
    around_arcsec: float | None,
    radius_arcsec: float,
) -> tuple[Targets, np.ndarray]:
    """Positions near the sources that are not sources, with their errors and epochs.

    A position is moved along a great circle, which takes care of cos(dec), RA = 0 and the poles, by 2 to 12 search
    radii (60 arcsec at least). It keeps two radii from every source, and is on the area of the catalogues that
    have searched around the source, and off that of the others.

    Parameters
    ----------
    footprints : sequence of (Footprint, ndarray of bool)
        Of each catalogue, and whether it has searched around each target.
    around_arcsec : float, optional
        Radius of the cut-outs around the sources to stay in, with the whole search circle.

    Returns
    -------
    shifted : Targets
        20,000 or, if there are few sources, 5 for each; fewer where eight tries find no free position.
    origin : ndarray of int
        Index of the target that each was made from.
    """
    inner, outer = 2 * radius_arcsec, max(12 * radius_arcsec, 60.0)
    if around_arcsec is not None:
        outer = min(outer, around_arcsec - radius_arcsec)
    searched = np.flatnonzero(np.any([has_searched for _, has_searched in footprints], axis=0))
    n = len(searched)
    if not n or outer <= inner:
        return targets.take(np.zeros(0, np.int64)), np.zeros(0, np.int64)
    rng = np.random.default_rng(_SEED)
    per_source = min(-(-_N_SHIFTED // n), _MOST_PER_SOURCE)
    source = rng.permutation(n)[:_N_SHIFTED] if per_source == 1 else np.repeat(np.arange(n), per_source)[:_N_SHIFTED]
    source = searched[source]
    from scipy.spatial import cKDTree

    tree = cKDTree(targets.unit_vectors())
    apart = 2 * np.sin(np.radians(2 * radius_arcsec / 3600) / 2)
    ra, dec = targets.ra[source].astype(float), targets.dec[source].astype(float)
    free = np.zeros(len(source), bool)
    for _ in range(_TRIES):
        todo = np.flatnonzero(~free)
        if not len(todo):
            break
        start = source[todo]
        away = np.radians(np.sqrt(rng.uniform(inner**2, outer**2, len(todo))) / 3600)
        direction = rng.uniform(0, 2 * np.pi, len(todo))
        new_ra, new_dec = geometry.along(targets.ra[start], targets.dec[start], away, direction)
        ok = tree.query(geometry.to_vector(new_ra, new_dec))[0] > apart
        for footprint, has_searched in footprints:
            ok &= footprint.contains(new_ra, new_dec) == has_searched[start]
        ra[todo[ok]], dec[todo[ok]] = new_ra[ok], new_dec[ok]
        free[todo[ok]] = True
    return targets.take(source[free]).moved_to(ra[free], dec[free]), source[free]


@dataclass(frozen=True)
class Calibration:
    """False matches against the cutoff of p_any; the columns have the shape (n,)."""

    k: np.ndarray  #: catalogue, 0 for all together
    part: np.ndarray  #: part of the sky, 0 for all
    cutoff: np.ndarray
    is_chosen: np.ndarray  #: whether the cutoff is in use; the others are a grid from 0 to 1
    n_sources: np.ndarray
    n_sources_above: np.ndarray
    n_shifted: np.ndarray
    n_shifted_above: np.ndarray
    false_rate: np.ndarray  #: n_shifted_above / n_shifted; 0 without shifted positions
    contamination: np.ndarray  #: mean of 1 - p_any of the sources above, NaN if there are none
    density_low_per_deg2: np.ndarray
    density_high_per_deg2: np.ndarray

    @classmethod
    def none(cls, n_catalogues: int, min_p_any: float) -> Calibration:
        """Without shifted positions: the same cutoff everywhere."""
        n = n_catalogues + 1
        zero, nan = np.zeros(n, np.int64), np.full(n, np.nan)
        return cls(
            np.arange(n), zero, np.full(n, min_p_any), np.ones(n, bool), zero, zero, zero, zero, nan, nan, nan, nan
        )

    def cutoff_of(self, k: int, part: int = 0) -> float:
        """The cutoff in use for a catalogue and part."""
        return float(self.cutoff[self.is_chosen & (self.k == k) & (self.part == part)][0])

    def cutoffs(self, n_catalogues: int, n_parts: int) -> np.ndarray:
        """The cutoffs in use, shape (n_catalogues + 1, n_parts + 1)."""
        cutoff = np.zeros((n_catalogues + 1, n_parts + 1))
        cutoff[self.k[self.is_chosen], self.part[self.is_chosen]] = self.cutoff[self.is_chosen]
        return cutoff


def calibrate(
    p_any: np.ndarray, parts: Parts, measured: Sequence[bool], false_rate: float, min_p_any: float
) -> Calibration:
    """Count sources and shifted positions above each cutoff, and choose one.

    A part with fewer than 200 shifted positions has the cutoff of all parts. For a catalogue only those targets count
    that it has searched around.

    Parameters
    ----------
    p_any : ndarray, shape (n_catalogues + 1, n_targets)
        Row 0 for all catalogues together.
    measured : sequence of bool
        Whether shifted positions are meaningful for a row of `p_any`.
    false_rate : float
        Largest share of the shifted positions that may reach the chosen cutoff.
    min_p_any : float
        The chosen cutoff is not below this.
    """
    rows: list[dict[str, np.ndarray]] = []
    for k, p in enumerate(p_any):
        chosen_of_all = min_p_any
        has_searched = parts.searched > 0 if k == 0 else (parts.searched >> (k - 1)) & 1 == 1
        for part in range(parts.n_parts + 1):
            inside = has_searched & ((part == 0) | (parts.part == part))
            source = np.sort(p[inside][parts.is_source[inside]])
            moved = np.sort(p[inside][~parts.is_source[inside]]) if measured[k] else np.zeros(0)
            density = parts.density[inside] if inside.any() else np.zeros(1)
            chosen = chosen_of_all
            if len(moved) >= (1 if part == 0 else _FEWEST):
                # the smallest number that at most this share of the shifted positions reaches
                last_refused = moved[len(moved) - 1 - int(false_rate * len(moved))] if false_rate < 1 else 0.0
                chosen = float(min(max(np.nextafter(last_refused, 2), min_p_any), 1.0))
            if part == 0:
                chosen_of_all = chosen
            cutoff = np.append(_GRID, chosen)
            above, moved_above = (len(x) - np.searchsorted(x, cutoff) for x in (source, moved))
            without = np.append(np.cumsum((1 - source)[::-1])[::-1], 0.0)[np.searchsorted(source, cutoff)]
            row = {
                "k": k,
                "part": part,
                "cutoff": cutoff,
                "is_chosen": np.arange(len(cutoff)) == len(_GRID),
                "n_sources": len(source),
                "n_sources_above": above,
                "n_shifted": len(moved),
                "n_shifted_above": moved_above,
                "false_rate": moved_above / max(len(moved), 1),
                "contamination": np.where(above > 0, without / np.maximum(above, 1), np.nan),
                "density_low_per_deg2": density.min(),
                "density_high_per_deg2": density.max(),
            }
            rows.append({name: np.broadcast_to(value, cutoff.shape) for name, value in row.items()})
    return Calibration(**{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})

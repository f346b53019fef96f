"""Positions to be matched, and the parts that they fall into."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from xcat.errors import ConfigError
from xcat.sky import geometry
from xcat.sky.density_map import cells

# What the sources are, and so how many have a counterpart and how bright it is, differs between the plane and the poles
# and between bright and faint sources, as their positional errors tell. A kind has about this many sources, ...
_SOURCES_PER_KIND = 500
_MOST_DENSITIES = 8
_MOST_ERRORS = 4
SKY_DEG2 = 41252.96124941928
_SKY_ORDER = 12  # HEALPix order by which targets are sorted: neighbours on the sky are neighbours on disk


@dataclass(frozen=True)
class Targets:
    """Positions with errors, one array a quantity, all of shape (n,).

    Attributes
    ----------
    id : ndarray of int
    ra, dec : ndarray
        ICRS, deg.
    err_arcsec : ndarray
        1 sigma per axis, for targets without an ellipse.
    err_maj_arcsec, err_min_arcsec, err_pa_deg : ndarray
        1 sigma semi-axes and position angle east of north; NaN where the error is circular.
    epoch_yr : ndarray
        NaN where unknown: nothing is moved then.
    group : ndarray of int
        Missions, which are told apart.
    is_shifted : ndarray of bool
        Positions that are no sources.
    """

    id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    err_arcsec: np.ndarray
    err_maj_arcsec: np.ndarray
    err_min_arcsec: np.ndarray
    err_pa_deg: np.ndarray
    epoch_yr: np.ndarray
    group: np.ndarray
    is_shifted: np.ndarray

    @classmethod
    def of(cls, rows: Mapping[str, np.ndarray]) -> Targets:
        """Make targets of columns; id, ra, dec and err_arcsec are needed.

        Parameters
        ----------
        rows : mapping
            Name of an attribute to its values.

        Raises
        ------
        ConfigError
            A position or an error is none; names the first.
        """
        n = len(rows["id"])
        nothing = {"group": np.zeros(n, np.int64), "is_shifted": np.zeros(n, bool)}
        names = [f.name for f in fields(cls)]
        targets = cls(**{name: np.asarray(rows[name]) if name in rows else nothing.get(name, np.full(n, np.nan))
                         for name in names})  # fmt: skip
        # squares would hide the sign, and comparisons with NaN are false
        ellipse = np.isnan(targets.err_maj_arcsec) | (targets.err_min_arcsec > 0)
        good = {
            "right ascension": (targets.ra >= 0) & (targets.ra < 360),
            "declination": np.abs(targets.dec) <= 90,
            "positional error": (targets.err_arcsec > 0) & (targets.err_arcsec < 3600) & ellipse,
        }
        for what, ok in good.items():
            if not ok.all():
                raise ConfigError(f"target {targets.id[np.argmin(ok)]} has no usable {what}")
        return targets

    def __len__(self) -> int:
        return len(self.id)

    def take(self, index: np.ndarray) -> Targets:
        """Some of the targets."""
        return Targets(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def moved_to(self, ra: np.ndarray, dec: np.ndarray) -> Targets:
        """The same at other positions, which are no sources."""
        return replace(self, ra=ra, dec=dec, is_shifted=np.ones(len(self), bool))

    def with_shifted(self, others: Targets) -> Targets:
        """Both together."""
        return Targets(**{
            f.name: np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)
        })  # fmt: skip

    def unit_vectors(self) -> np.ndarray:
        """Positions on the unit sphere, shape (n, 3)."""
        return geometry.to_vector(self.ra, self.dec)

    def covariance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariance of the positions along east and north: xx, xy, yy in arcsec^2."""
        major = np.where(np.isnan(self.err_maj_arcsec), self.err_arcsec, self.err_maj_arcsec).astype(float)
        minor = np.where(np.isnan(self.err_maj_arcsec), self.err_arcsec, self.err_min_arcsec).astype(float)
        angle = np.radians(np.where(np.isnan(self.err_pa_deg), 0.0, self.err_pa_deg))
        s, c = np.sin(angle), np.cos(angle)
        return (
            (major * s) ** 2 + (minor * c) ** 2,
            (major**2 - minor**2) * s * c,
            (major * c) ** 2 + (minor * s) ** 2,
        )

    def columns(self, parts: Parts, log_nu: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of the temporary table ``target``, numbered from 1 in the order of the sky."""
        cxx, cxy, cyy = self.covariance()
        columns = {
            "id": self.id, "is_shifted": self.is_shifted, "ra": self.ra, "dec": self.dec,
            "sin_dec": np.sin(np.radians(self.dec)), "cos_dec": np.cos(np.radians(self.dec)),
            "cxx": cxx, "cxy": cxy, "cyy": cyy, "epoch_yr": self.epoch_yr, "log_nu": log_nu,
        }  # fmt: skip
        ordered = {name: values[parts.order] for name, values in columns.items()}
        return {"no": np.arange(1, len(self) + 1, dtype=np.int32), **ordered, "part": parts.part, "kin": parts.kin + 1}


@dataclass(frozen=True)
class Parts:
    """What the targets fall into; the arrays are in the order of the targets' numbers.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        Target of each number, less one.
    is_source : ndarray of bool, shape (n,)
    part : ndarray of int, shape (n,)
        Mission and density of the catalogues, from 1.
    kin : ndarray of int, shape (n,)
        Part and positional error, from 0.
    part_of : ndarray of int, shape (n_kin,)
        Part of each kind.
    n_kin, n_parts, n_targets : int
    n_sources, n_shifted : ndarray of int, shape (n_parts + 1,)
        By part; entry 0 counts nothing.
    density : ndarray, shape (n,)
        Objects of the catalogues per square degree, geometric mean.
    """

    order: np.ndarray
    is_source: np.ndarray
    part: np.ndarray
    kin: np.ndarray
    density: np.ndarray
    part_of: np.ndarray
    n_kin: int
    n_parts: int

    @property
    def n_targets(self) -> int:
        """Sources and shifted positions."""
        return len(self.order)

    @property
    def n_sources(self) -> np.ndarray:
        """Sources by part."""
        return np.bincount(self.part[self.is_source], minlength=self.n_parts + 1)

    @property
    def n_shifted(self) -> np.ndarray:
        """Shifted positions by part."""
        return np.bincount(self.part[~self.is_source], minlength=self.n_parts + 1)


def parts_of(targets: Targets, log_nu: np.ndarray) -> Parts:
    """Divide targets by mission and density, and again by positional error.

    Parameters
    ----------
    targets : Targets
    log_nu : ndarray, shape (n, n_catalogues)
        Natural log of the number of objects on a sky of the local density.

    Returns
    -------
    Parts
    """
    density = log_nu.mean(axis=1) if len(targets) else np.zeros(0)
    cxx, cxy, cyy = targets.covariance()
    error = (cxx * cyy - cxy**2) ** 0.25
    part, kin = np.zeros(len(targets), np.int64), np.zeros(len(targets), np.int64)
    n_parts = n_kin = 0
    part_of: list[int] = []
    for group in np.unique(targets.group):
        here = np.flatnonzero(targets.group == group)
        source = here[~targets.is_shifted[here]]
        n = max(len(source) // _SOURCES_PER_KIND, 1)
        n_errors = min(math.isqrt(n), _MOST_ERRORS)
        bins = _binned(density[here], density[source], min(n // n_errors, _MOST_DENSITIES))
        for bin_ in np.unique(bins):
            inside = here[bins == bin_]
            n_parts += 1
            part[inside] = n_parts
            kinds = _binned(error[inside], error[inside[~targets.is_shifted[inside]]], n_errors)
            kin[inside] = n_kin + kinds
            n_kin += int(kinds.max()) + 1
            part_of += [n_parts] * (n_kin - len(part_of))
    order = np.lexsort((targets.is_shifted, cells(targets.ra, targets.dec, _SKY_ORDER)))
    return Parts(
        order, ~targets.is_shifted[order], part[order], kin[order],
        np.exp(density[order]) / SKY_DEG2, np.array(part_of, dtype=np.int64), n_kin, n_parts,
    )  # fmt: skip


def _binned(values: np.ndarray, reference: np.ndarray, n_bins: int) -> np.ndarray:
    """Number of the bin of each value, bins of about equal size in the reference; equal values stay together."""
    if n_bins < 2 or not len(reference):
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.unique(np.digitize(values, edges), return_inverse=True)[1].astype(np.int64)

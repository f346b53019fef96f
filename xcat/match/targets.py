"""Positions to be matched, and the parts of the sky and strata that they belong to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from xcat.errors import ConfigError
from xcat.sky import geometry
from xcat.sky.density_map import cells

# Sources are stratified by mission, catalogue density and positional error (which follows the X-ray brightness):
# the share that has a counterpart, and its magnitude, differ with them. A stratum has about this many sources.
_SOURCES_PER_STRATUM = 500
_MOST_DENSITIES = 8
_MOST_ERRORS = 4
SKY_DEG2 = 41252.96124941928
_SKY_ORDER = 12  # HEALPix order by which targets are sorted: neighbours on the sky are neighbours on disk


@dataclass(frozen=True)
class Targets:
    """Positions with errors, one array per quantity, all of shape (n,)."""

    id: np.ndarray
    ra: np.ndarray  #: ICRS, deg
    dec: np.ndarray
    err_arcsec: np.ndarray  #: 1 sigma per axis, for targets without an ellipse
    err_maj_arcsec: np.ndarray  #: 1 sigma semi-axis; NaN where the error is circular
    err_min_arcsec: np.ndarray
    err_pa_deg: np.ndarray  #: position angle of the major axis, east of north
    epoch_yr: np.ndarray  #: NaN where unknown: no object is then moved to it
    group: np.ndarray  #: mission; every mission has strata of its own
    is_shifted: np.ndarray  #: whether the position is not a source

    @classmethod
    def of(cls, rows: Mapping[str, np.ndarray]) -> Targets:
        """Make targets of columns, by attribute name; id, ra, dec and err_arcsec are needed.

        Raises
        ------
        ConfigError
            A position or an error is invalid; names the first.
        """
        n = len(rows["id"])
        defaults = dict.fromkeys((f.name for f in fields(cls)), np.full(n, np.nan))
        defaults |= {"group": np.zeros(n, np.int64), "is_shifted": np.zeros(n, bool)}
        targets = cls(**{name: np.asarray(rows.get(name, default)) for name, default in defaults.items()})
        # squares would hide the sign, and comparisons with NaN are false
        is_good_ellipse = np.isnan(targets.err_maj_arcsec) | (targets.err_min_arcsec > 0)
        good = {
            "right ascension": (targets.ra >= 0) & (targets.ra < 360),
            "declination": np.abs(targets.dec) <= 90,
            "positional error": (targets.err_arcsec > 0) & (targets.err_arcsec < 3600) & is_good_ellipse,
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
        """The same at other positions, which are not sources."""
        return replace(self, ra=ra, dec=dec, is_shifted=np.ones(len(self), bool))

    def with_shifted(self, shifted: Targets) -> Targets:
        """Sources and shifted positions together."""
        both = {f.name: (getattr(self, f.name), getattr(shifted, f.name)) for f in fields(self)}
        return Targets(**{name: np.concatenate(pair) for name, pair in both.items()})

    def unit_vectors(self) -> np.ndarray:
        """Positions on the unit sphere, shape (n, 3)."""
        return geometry.to_vector(self.ra, self.dec)

    def covariance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariance of the positions along east and north: xx, xy, yy in arcsec^2."""
        is_circle = np.isnan(self.err_maj_arcsec)
        major = np.where(is_circle, self.err_arcsec, self.err_maj_arcsec).astype(float)
        minor = np.where(is_circle, self.err_arcsec, self.err_min_arcsec).astype(float)
        angle = np.radians(np.where(np.isnan(self.err_pa_deg), 0.0, self.err_pa_deg))
        s, c = np.sin(angle), np.cos(angle)
        xx, yy = (major * s) ** 2 + (minor * c) ** 2, (major * c) ** 2 + (minor * s) ** 2
        return xx, (major**2 - minor**2) * s * c, yy

    def columns(self, parts: Parts, log_nu: np.ndarray, epoch_of_stratum: bool) -> dict[str, np.ndarray]:
        """Rows of the temporary table ``target``, numbered from 1 in the order of the sky.

        With `epoch_of_stratum` a target without an epoch has that of its stratum, with its uncertainty.
        """
        columns = {name: getattr(self, name) for name in ("id", "is_shifted", "ra", "dec", "epoch_yr")}
        columns |= {"sin_dec": np.sin(np.radians(self.dec)), "cos_dec": np.cos(np.radians(self.dec)), "log_nu": log_nu}
        columns |= dict(zip(("cxx", "cxy", "cyy"), self.covariance(), strict=True))
        ordered = {name: values[parts.order] for name, values in columns.items()}
        number = np.arange(1, len(self) + 1, dtype=np.int32)
        epoch_err = np.zeros(len(self))
        if epoch_of_stratum:
            unknown = np.isnan(ordered["epoch_yr"])
            ordered["epoch_yr"] = np.where(unknown, parts.strata.epoch_yr[parts.stratum], ordered["epoch_yr"])
            epoch_err = np.where(unknown, np.nan_to_num(parts.strata.epoch_err_yr[parts.stratum]), 0.0)
        places = {"part": parts.part, "stratum": parts.stratum + 1}
        return {"no": number, **ordered, "epoch_err_yr": epoch_err, **places}


@dataclass(frozen=True)
class Strata:
    """Where the strata of a match end; arrays of shape (n_strata,), by group, catalogues, density and error."""

    group: np.ndarray  #: mission
    part: np.ndarray  #: mission, catalogues and density, from 1
    log_nu_low: np.ndarray  #: least log of the number of objects on a sky of the part's density; -inf for the first
    err_low_arcsec: np.ndarray  #: least positional error of the stratum, as of a circle; -inf for the first of a part
    err_typical_arcsec: np.ndarray  #: median of the sources' positional errors; NaN without sources
    epoch_yr: np.ndarray  #: mean epoch of the sources; NaN where none has one
    epoch_err_yr: np.ndarray  #: standard deviation of their epochs
    #: catalogues that searched around the sources, bit k - 1 for k; by default the same around all, which need no name
    searched: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.searched) != len(self.group):
            object.__setattr__(self, "searched", np.zeros(len(self.group), np.int64))

    def nearest_searched(self, group: np.ndarray, searched: np.ndarray) -> np.ndarray:
        """The catalogues of the strata to which targets belong that were searched for by these, shape (n,).

        If no source of their mission (of any mission, for a target of none) was searched for by the same catalogues,
        those that have the most in common with them; of equal ones the fewest.
        """
        nearest = searched.copy()
        for of_group, of_target in _pairs(group, searched):
            is_of_group = self.group == of_group
            choices = np.unique(self.searched[is_of_group] if is_of_group.any() else self.searched)
            best = max(choices.tolist(), key=lambda c: ((c & of_target).bit_count(), -c.bit_count(), -c))
            nearest[(group == of_group) & (searched == of_target)] = best
        return nearest

    def assign(
        self, group: np.ndarray, log_nu: np.ndarray, error: np.ndarray, searched: np.ndarray | None = None
    ) -> np.ndarray:
        """Stratum of targets, from 0, shape (n,), by their mission, mean log density, error in arcsec, and catalogues.

        A target of another group, as -1, which is of none of the missions, goes to the stratum of its density whose
        typical error is nearest to its own. The catalogues are of `nearest_searched`.
        """
        if searched is None:
            searched = np.full(len(error), self.searched[0])
        is_of_none = ~np.isin(group, self.group)
        stratum = np.zeros(len(error), np.int64)
        best = np.full(len(error), np.inf)
        for number, of_strata in _pairs(self.group, self.searched):
            # each group begins with a part and a stratum that are open below
            strata = np.flatnonzero((self.group == number) & (self.searched == of_strata))
            parts, first = np.unique(self.part[strata], return_index=True)
            part = parts[np.searchsorted(self.log_nu_low[strata][first], log_nu, side="right") - 1]
            belongs = ((group == number) | is_of_none) & (searched == of_strata)
            for each in parts:
                of_part = np.flatnonzero(self.part == each)
                inside = np.flatnonzero((part == each) & belongs)
                place = of_part[np.searchsorted(self.err_low_arcsec[of_part], error[inside], side="right") - 1]
                away = np.abs(np.log(error[inside] / self.err_typical_arcsec[place]))
                away = np.where(group[inside] == number, -1.0, np.nan_to_num(away, nan=1e300))
                nearer = away < best[inside]
                stratum[inside[nearer]], best[inside[nearer]] = place[nearer], away[nearer]
        return stratum


@dataclass(frozen=True)
class Parts:
    """Parts of the sky and strata of the targets; arrays of shape (n,), in the order of the targets' numbers."""

    order: np.ndarray  #: target of each number, less one
    is_source: np.ndarray
    part: np.ndarray  #: mission, catalogues that searched, and their density, from 1
    stratum: np.ndarray  #: part and positional error, from 0
    density: np.ndarray  #: objects of the catalogues per square degree, geometric mean
    searched: np.ndarray  #: catalogues that searched around the target, bit k - 1 for k
    strata: Strata

    @property
    def part_of(self) -> np.ndarray:
        """Part of each stratum, shape (n_strata,)."""
        return self.strata.part

    @property
    def n_strata(self) -> int:
        """Number of strata."""
        return len(self.part_of)

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return int(self.part_of.max(initial=0))

    @property
    def n_targets(self) -> int:
        """Number of sources and shifted positions."""
        return len(self.order)

    @property
    def n_sources(self) -> np.ndarray:
        """Sources by part, shape (n_parts + 1,); entry 0 is zero."""
        return np.bincount(self.part[self.is_source], minlength=self.n_parts + 1)

    @property
    def n_shifted(self) -> np.ndarray:
        """Shifted positions by part, shape (n_parts + 1,); entry 0 is zero."""
        return np.bincount(self.part[~self.is_source], minlength=self.n_parts + 1)


def parts_of(targets: Targets, log_nu: np.ndarray, strata: Strata | None = None) -> Parts:
    """Divide targets into parts by mission, catalogues and density, and into strata by positional error.

    `log_nu`, shape (n, n_catalogues), is the natural log of the number of objects on a sky of the local density; NaN
    where the catalogue did not search. With `strata` of an earlier match the targets are put into these.
    """
    has_searched = ~np.isnan(log_nu)
    searched = has_searched @ (1 << np.arange(log_nu.shape[1]))
    density = np.where(has_searched, log_nu, 0.0).sum(axis=1) / np.maximum(has_searched.sum(axis=1), 1)
    cxx, cxy, cyy = targets.covariance()
    error = (cxx * cyy - cxy**2) ** 0.25
    if strata is None:
        strata = _strata(targets, searched, density, error)
    of_strata = strata.nearest_searched(targets.group, searched) if len(targets) else searched
    stratum = strata.assign(targets.group, density, error, of_strata)
    order = np.lexsort((targets.is_shifted, cells(targets.ra, targets.dec, _SKY_ORDER)))
    density_per_deg2 = np.exp(density[order]) / SKY_DEG2
    stratum = stratum[order]
    return Parts(
        order, ~targets.is_shifted[order], strata.part[stratum], stratum, density_per_deg2, searched[order], strata
    )


def _strata(targets: Targets, searched: np.ndarray, density: np.ndarray, error: np.ndarray) -> Strata:
    """Strata of about equal numbers of sources."""
    rows: list[tuple[float, ...]] = []
    part = 0
    for group, of_group in _pairs(targets.group, searched):
        members = np.flatnonzero((targets.group == group) & (searched == of_group))
        sources = members[~targets.is_shifted[members]]
        n = max(len(sources) // _SOURCES_PER_STRATUM, 1)
        n_errors = min(math.isqrt(n), _MOST_ERRORS)
        bins, lows = _binned(density[members], density[sources], min(n // n_errors, _MOST_DENSITIES))
        for bin_, low in enumerate(lows):
            inside = members[bins == bin_]
            part += 1
            of_sources = error[inside[~targets.is_shifted[inside]]]
            of_bin, ends = _binned(error[inside], of_sources, n_errors)
            for i, end in enumerate(ends):
                chosen = inside[(of_bin == i) & ~targets.is_shifted[inside]]
                epoch = targets.epoch_yr[chosen]
                epoch = epoch[np.isfinite(epoch)]
                of_epoch = (epoch.mean(), epoch.std()) if len(epoch) else (np.nan, np.nan)
                typical = np.median(error[chosen]) if len(chosen) else np.nan
                rows.append((group, part, low, end, typical, *of_epoch, of_group))
    columns = np.array(rows, dtype=float).reshape(-1, 8).T
    group, part, searched = (columns[i].astype(np.int64) for i in (0, 1, 7))
    low, err_low, err_typical, epoch_yr, epoch_err_yr = columns[2:7]
    return Strata(group, part, low, err_low, err_typical, epoch_yr, epoch_err_yr, searched)


def _pairs(group: np.ndarray, searched: np.ndarray) -> list[tuple[int, int]]:
    """All pairs of a group and of catalogues that occur, ascending."""
    return [(g, s) for g in np.unique(group).tolist() for s in np.unique(searched[group == g]).tolist()]


def _binned(values: np.ndarray, reference: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the bin of each value, bins of about equal size in the reference; and the lower end of each bin.

    Equal values stay together, and bins without values are left out; the first is open below.
    """
    if n_bins < 2 or not len(reference):
        return np.zeros(len(values), np.int64), np.full(1, -np.inf)
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, n_bins + 1)[1:-1]))
    used, bins = np.unique(np.digitize(values, edges), return_inverse=True)
    low = np.append(-np.inf, edges)[used]
    low[0] = -np.inf
    return bins.astype(np.int64), low

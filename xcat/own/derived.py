"""The formulas that make properties of the fluxes, magnitudes and positions of a table of one's own.

They are those of sql/jobs/merge.sql and sql/jobs/properties.sql, which a test runs on the same sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xcat.arrays import FloatArray
from xcat.catalogues.definition import Definition, ReadOptions, load
from xcat.errors import InputError
from xcat.ingest.readers import RawChunk
from xcat.ingest.rows import Rows
from xcat.properties.compute import ZERO
from xcat.tables.guess import Position, guess_position
from xcat.tables.quantities import Chosen, Quantities
from xcat.tables.vocabulary import NULLS, Quantity, band_of, is_words

#: Catalogues whose terms say how magnitudes stand for the bands of the ratios, in the order of priority.
_COLOUR_TERMS = ("gaia_dr3", "panstarrs1", "allwise", "twomass")
_POLE_RA_DEG, _POLE_DEC_DEG, _NODE_L_DEG = 192.85948, 27.12825, 122.93192  # as sql/functions/galactic.sql
_FAINTEST, _BRIGHTEST = 90.0, -30.0  # magnitudes beyond are marks such as 99.99
_POSSIBLE_FLUX = (1e-22, 1e-4)  # erg/(s cm2), of a median
_CM2_PER_PC2 = float((u.pc**2).to(u.cm**2))


@dataclass
class Found:
    """Values with the formula that made them."""

    values: FloatArray
    formula: str
    error: FloatArray | None = None


@cache
def _terms(band: str) -> tuple[tuple[str, float], ...]:
    """Magnitudes that stand for a band, with what to add, the best first."""
    # two catalogues may have the same band
    return tuple(dict.fromkeys(term for name in _COLOUR_TERMS for term in load(name).colour_terms(band)))


@dataclass
class Deriving(Quantities):
    """The rows of a table on their way to properties.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        All n rows.
    band : (float, float), optional
        Energies of the flux that the user gave, keV.
    n_bad : dict
        Grows with the values that cannot be used: rows by reason.
    """

    batch: pa.RecordBatch | None = None
    band: tuple[float, float] | None = None
    n: int = 0
    n_bad: dict[str, int] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)
    _read: dict[Any, Any] = field(default_factory=dict)

    def derive(self, entry: dict[str, Any]) -> Found | None:
        """Values of a property, or None, which is told."""
        name = entry["name"]
        self.lacking.clear()
        found = self._as_it_is(entry) or self._derived(name)
        if found is None:
            lacking = f" (no {', no '.join(dict.fromkeys(self.lacking))})" if self.lacking else ""
            self.say(f"{name}: not in the table{lacking}, so it says nothing")
            return None
        low, high = (end if wall else limit for end, wall, limit in zip(
            entry["range"], entry["bounded"], (-np.inf, np.inf), strict=True))  # fmt: skip
        if entry["scale"] == "log10":
            low, high = np.nextafter(0, 1), np.inf
        outside = (found.values < low) | (found.values > high)
        what = "zero or negative" if entry["scale"] == "log10" else f"outside {low:g} to {high:g}"
        self.bad(f"{name} {what}", outside)
        found.values = np.where(outside, np.nan, found.values)
        if found.error is not None and all(entry["bounded"]):
            found.error = np.minimum(found.error, (high - low) / 2)  # worse than knowing nothing it cannot be
        self.say(f"{name} = {found.formula}: {np.isfinite(found.values).sum():,} of {self.n:,} rows")
        return found

    def bad(self, reason: str, rows: NDArray[np.bool_]) -> None:
        """Count rows whose value cannot be used."""
        if rows.any() and reason not in self.n_bad:
            self.n_bad[reason], self._first[reason] = int(rows.sum()), int(rows.argmax()) + 1

    def tell_bad(self) -> None:
        """Say how many values could not be used, and why."""
        for reason, count in self.n_bad.items():
            self.say(f"{count:,} rows without a value: {reason} (first in row {self._first[reason]:,})")

    # --- values of columns ---

    def numbers(self, column: str) -> FloatArray:
        """A column as numbers; NaN where there is none, or something else, which is counted."""
        if column not in self._read:
            rows = self._rows(column)
            self._read[column] = rows.numbers(column)
            self._count_rejects(rows)
        return self._read[column]

    def _rows(self, *columns: str) -> Rows:
        assert self.batch is not None
        taken = pa.record_batch([self.batch.column(c) for c in columns], names=list(columns))
        definition = Definition.model_construct(nulls=NULLS, columns={}, position_error=None, read=ReadOptions())
        return Rows(RawChunk(taken, 1), definition)

    def _count_rejects(self, rows: Rows) -> None:
        rejects = rows.rejects()
        for column, reason in dict.fromkeys(zip(rejects.column_name, rejects.reason, strict=True)):
            here = [c == column and r == reason for c, r in zip(rejects.column_name, rejects.reason, strict=True)]
            wrong = np.zeros(self.n, dtype=bool)
            wrong[rejects.row_number[here] - 1] = True
            self.bad(f"{column}: {reason}", wrong)

    def of(self, chosen: Chosen) -> FloatArray:
        """Values of a quantity in its own unit."""
        values = self.numbers(chosen.column) * chosen.factor
        if chosen.quantity.unit == "mag":  # 99.99 is not bad, it says "none"
            values = np.where((values < _FAINTEST) & (values > _BRIGHTEST), values, np.nan)
        return values

    def value(self, name: str) -> Found | None:
        """Values of a quantity by its name, with the column as formula."""
        chosen = self.find(name)
        return None if chosen is None else Found(self.of(chosen), str(chosen))

    # --- properties ---

    def _as_it_is(self, entry: dict[str, Any]) -> Found | None:
        """A column that bears the property's name, or that the user gave for it."""
        name = entry["name"]
        quantity = Quantity(name, entry["unit"], entry["about"])
        if self._is_given(name):
            chosen = self._of_user(quantity)
        else:
            column = self.facts.column(name)
            chosen = None if column is None or is_words(column) else self._chosen(quantity, column, "name")
        if chosen is None:
            return None
        error = self.error_of(chosen) if "error" in entry else None
        return Found(self.of(chosen), str(chosen), None if error is None else self._positive(error))

    def _derived(self, name: str) -> Found | None:
        recipe = _RECIPES.get(name)
        return None if recipe is None or self.given_columns.get(name) == "" else recipe(self)

    def _positive(self, chosen: Chosen) -> FloatArray:
        """Errors; zero and below mark "none"."""
        values = self.of(chosen)
        return np.where(values > 0, values, np.nan)

    @property
    def position(self) -> Position | None:
        """How the columns become a position."""
        if "position" not in self._read:
            ra, dec = (self.given_columns.get(x) for x in ("ra", "dec"))
            self._read["position"] = found = guess_position(self.facts, ra, dec)
            self.lines += [] if found is None else found.lines
        return self._read["position"]

    @property
    def place(self) -> tuple[FloatArray, FloatArray]:
        """RA and Dec in degrees; NaN where a row has no position, or none on the sky."""
        if "place" not in self._read:
            found = self.position
            if found is None:
                self._read["place"] = tuple(np.full((2, self.n), np.nan))
            else:
                rows = self._rows(*found.ra.from_, *found.dec.from_)
                ra, dec = rows.quantity("ra", found.ra), rows.quantity("dec", found.dec)
                with np.errstate(invalid="ignore"):
                    rows.reject((ra < 0) | (ra > 360), found.ra.from_, "right ascension outside 0 to 360 degrees")
                    rows.reject(np.abs(dec) > 90, found.dec.from_, "declination outside -90 to 90 degrees")
                self._count_rejects(rows)
                nowhere = ~rows.live | np.isnan(ra) | np.isnan(dec)
                self.bad(f"{found.ra.from_[0]}, {found.dec.from_[0]}: no position", nowhere & rows.live)
                self._read["place"] = tuple(np.where(nowhere, np.nan, x) for x in (ra, dec))
        return self._read["place"]

    def galactic(self) -> tuple[FloatArray, FloatArray, str] | None:
        """Galactic longitude (0 to 360) and latitude, deg."""
        position = self.position
        if position is None:
            self.lacking.append("position")
        else:
            lon, lat = galactic(*self.place)
            return lon, lat, f"{position.ra.from_[0]}, {position.dec.from_[0]}"
        lat_found, lon_found = self.value("glat"), self.value("glon")
        if lat_found is None:
            return None
        lon = np.full(self.n, np.nan) if lon_found is None else np.mod(lon_found.values, 360.0)
        return lon, lat_found.values, lat_found.formula if lon_found is None else lon_found.formula

    def abs_b(self) -> Found | None:
        """See registry.yaml."""
        found = self.galactic()
        return None if found is None else Found(np.abs(found[1]), f"galactic latitude of {found[2]}, its sign left out")

    def abs_l(self) -> Found | None:
        """See registry.yaml."""
        found = self.galactic()
        if found is None or np.isnan(found[0]).all():
            return None
        return Found(np.minimum(found[0], 360 - found[0]), f"galactic longitude of {found[2]}, folded at the centre")

    def flux(self) -> Found | None:
        """Flux in 0.2-12 keV, erg/(s cm2), above 0, with its error."""
        if "flux" not in self._read:
            self._read["flux"] = self._flux()
        return self._read["flux"]

    def _flux(self) -> Found | None:
        chosen = self.find("flux_std_cgs")
        factor, text = 1.0, ""
        if chosen is None:
            chosen = self.find("flux_cgs")
            if chosen is None:
                return None
            low, high = self._band_of(chosen)
            factor = Definition.model_construct(flux_band_kev=(low, high)).standard_flux_factor()
            text = "" if (low, high) == (0.2, 12.0) else f" x {factor:.4f} (from {low:g}-{high:g} to 0.2-12 keV)"
        flux = self.of(chosen)
        median = np.nanmedian(flux[flux > 0]) if (flux > 0).any() else np.nan
        if chosen.assumed and not (np.isnan(median) or _POSSIBLE_FLUX[0] < median < _POSSIBLE_FLUX[1]):
            raise InputError(
                f"{self.facts.path}: column '{chosen.column}' has no unit, and with a median of {median:.3g} it is no "
                f"flux in erg/(s cm2). Say its unit, --column flux_cgs={chosen.column}@UNIT, or name another column"
            )
        self.bad(f"{chosen.column} zero or negative, so no flux ratio", flux <= 0)
        flux = np.where(flux > 0, flux * factor, np.nan)
        error = self.error_of(chosen)
        sigma = None if error is None else self._positive(error) * factor
        return Found(flux, f"{chosen}{text}", sigma)

    def _band_of(self, chosen: Chosen) -> tuple[float, float]:
        if self.band is not None:
            self.say(f"{chosen.column} is the flux in {self.band[0]:g}-{self.band[1]:g} keV (given)")
            return self.band
        column = self.facts.column(chosen.column)
        found = None if column is None else band_of(column, chosen.quantity)
        if found is None:
            raise InputError(
                f"{self.facts.path}: which energies has the flux of column '{chosen.column}'? Neither its name nor its "
                f"description says it. Give --band LOW-HIGH in keV, or go without it, --column flux_cgs="
            )
        low, high, who = found
        self.say(f"{chosen.column} is the flux in {low:g}-{high:g} keV ({who}; --band says otherwise)")
        return low, high

    def log_fx(self) -> Found | None:
        """See registry.yaml."""
        flux = self.flux()
        if flux is None:
            return None
        error = None if flux.error is None else flux.error / (flux.values * np.log(10))
        return Found(np.log10(flux.values), f"log10({flux.formula})", error)

    def magnitude(self, band: str) -> Found | None:
        """Magnitude in a band of the ratios, from the best column that a row has."""
        before = len(self.lacking)
        found = [(offset, self.value(term)) for term, offset in _terms(band)]
        there = [(offset, value) for offset, value in found if value is not None]
        if not there:
            return None
        del self.lacking[before:]  # one is enough
        values, texts = np.full(self.n, np.nan), []
        for offset, value in there:
            values = np.where(np.isnan(values), value.values + offset, values)
            texts.append(f"{value.formula} {'+' if offset > 0 else '-'} {abs(offset):g}" if offset else value.formula)
        return Found(values, ", else ".join(texts))

    def ratio(self, band: str) -> Found | None:
        """X-ray flux over the flux in a band."""
        flux, mag = self.log_fx(), self.magnitude(band)
        if flux is None or mag is None:
            return None
        zero = ZERO[band]
        formula = f"{flux.formula} + {zero} + {band.upper()} / 2.5, {band.upper()}: {mag.formula}"
        return Found(flux.values + zero + mag.values / 2.5, formula, flux.error)

    def colour(self, blue: str, red: str) -> Found | None:
        """Difference of two magnitudes."""
        one = self.magnitude("r") if blue == "r" else self.value(f"mag_{blue}")
        other = self.value(f"mag_{red}")
        if one is None or other is None:
            return None
        first = f"({one.formula})" if "," in one.formula else one.formula
        return Found(one.values - other.values, f"{first} - {other.formula}")

    def hardness(self, name: str, low: str, high: str) -> Found | None:
        """Hardness ratio: the column of the mission, else from fluxes, else from count rates."""
        chosen = self.find(name)
        if chosen is not None:
            error = self.error_of(chosen)
            return Found(self.of(chosen), str(chosen), None if error is None else self._positive(error))
        for pattern in ("flux_{}_cgs", "rate_{}"):
            pair = [self.find(pattern.format(b)) for b in (low, high)]
            if pair[0] is None or pair[1] is None:
                continue
            soft, hard = (np.maximum(self.of(c), 0.0) for c in pair if c is not None)  # NaN stays NaN
            errors = [self.error_of(c) for c in pair if c is not None]
            total = np.where(soft + hard > 0, soft + hard, np.nan)
            self.bad(f"{pair[0].column}, {pair[1].column} both zero or negative, so no {name}", soft + hard == 0)
            sigma = None
            if errors[0] is not None and errors[1] is not None:
                d_soft, d_hard = self._positive(errors[0]), self._positive(errors[1])
                sigma = 2 * np.hypot(soft * d_hard, hard * d_soft) / total**2
            a, b = pair[1], pair[0]
            return Found((hard - soft) / total, f"({a} - {b}) / ({a} + {b}), negative as 0", sigma)
        return None

    def motion(self) -> Found | None:
        """Total proper motion, mas/yr."""
        total = self.value("pm_mas_yr")
        if total is not None:
            return total
        pmra, pmdec = self.value("pmra_mas_yr"), self.value("pmdec_mas_yr")
        if pmra is None or pmdec is None:
            return None
        return Found(np.hypot(pmra.values, pmdec.values), f"sqrt({pmra.formula}^2 + {pmdec.formula}^2)")

    def parallax(self) -> Found | None:
        """Parallax over its error."""
        chosen = self.find("parallax_mas")
        error = None if chosen is None else self.error_of(chosen)
        if chosen is None or error is None:
            return self.value("parallax_sigma")
        return Found(self.of(chosen) / self._positive(error), f"{chosen} / {error}")

    def luminosity(self) -> Found | None:
        """Log of the luminosity at the counterpart's distance, erg/s."""
        flux, distance = self.log_fx(), self.value("distance_pc")
        if flux is None or distance is None:
            return None
        pc = np.where(distance.values > 0, distance.values, np.nan)
        formula = f"{flux.formula} + log10(4 pi {distance.formula}^2)"
        return Found(flux.values + np.log10(4 * np.pi * _CM2_PER_PC2 * pc**2), formula)

    def p_variable(self) -> Found | None:
        """Probability of variability within an observation."""
        found = self.value("p_variable")
        if found is None and (constant := self.value("p_constant")) is not None:
            found = Found(1 - constant.values, f"1 - {constant.formula}")
        return found


_RECIPES: dict[str, Callable[[Deriving], Found | None]] = {
    "abs_b": Deriving.abs_b,
    "abs_l": Deriving.abs_l,
    "pm_mas_yr": Deriving.motion,
    "parallax_sigma": Deriving.parallax,
    "distance_pc": lambda d: d.value("distance_pc"),
    "log_lx_counterpart": Deriving.luminosity,
    "hr1": lambda d: d.hardness("hr1", "soft", "medium"),
    "hr2": lambda d: d.hardness("hr2", "medium", "hard"),
    "gamma": lambda d: d.value("gamma"),
    "log_fx": Deriving.log_fx,
    "log_fx_fb": lambda d: d.ratio("b"),
    "log_fx_fr": lambda d: d.ratio("r"),
    "log_fx_fw1": lambda d: d.ratio("w1"),
    "log_fx_fw2": lambda d: d.ratio("w2"),
    "log_fx_fj": lambda d: d.ratio("j"),
    "bp_rp": lambda d: d.colour("gaia_bp", "gaia_rp"),
    "r_w1": lambda d: d.colour("r", "w1"),
    "j_k": lambda d: d.colour("j", "k"),
    "h_k": lambda d: d.colour("h", "k"),
    "j_w1": lambda d: d.colour("j", "w1"),
    "w1_w2": lambda d: d.colour("w1", "w2"),
    "w2_w3": lambda d: d.colour("w2", "w3"),
    "p_variable": Deriving.p_variable,
    "p_variable_long": lambda d: d.value("p_variable_long"),
}


def galactic(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Galactic longitude (0 to 360) and latitude of ICRS positions, all in degrees; as sql/functions/galactic.sql."""
    away, north, pole = np.radians(ra - _POLE_RA_DEG), np.radians(dec), np.radians(_POLE_DEC_DEG)
    sine = np.sin(north) * np.sin(pole) + np.cos(north) * np.cos(pole) * np.cos(away)
    across = np.cos(north) * np.sin(away)
    along = np.sin(north) * np.cos(pole) - np.cos(north) * np.sin(pole) * np.cos(away)
    lon = np.mod(_NODE_L_DEG - np.degrees(np.arctan2(across, along)), 360.0)
    return lon, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))

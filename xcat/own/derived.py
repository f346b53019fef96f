"""The formulas that derive properties from the fluxes, magnitudes and positions of a user's table.

They are those of sql/jobs/merge.sql and sql/jobs/properties.sql; a test runs both on the same sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import methodcaller
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa

from xcat.arrays import BoolArray, FloatArray
from xcat.catalogues.definition import Definition, ReadOptions, load
from xcat.catalogues.grammar import ColumnSpec
from xcat.ingest import frames
from xcat.ingest.opened import ColumnFacts, RawChunk
from xcat.ingest.rows import Rows
from xcat.properties.compute import ZERO
from xcat.tables.guess import guess_position
from xcat.tables.matched import Matched
from xcat.tables.quantities import Chosen, Quantities, touch
from xcat.tables.vocabulary import BAND_FLUXES, COUNTERPART, NULLS, POSSIBLE_FLUX, Quantity, is_words

#: Catalogues whose colour terms convert magnitudes to the bands of the ratios, in the order of priority.
_COLOUR_TERMS = ("gaia_dr3", "panstarrs1", "allwise", "twomass")
_POLE_RA_DEG, _POLE_DEC_DEG, _NODE_L_DEG = 192.85948, 27.12825, 122.93192  # as sql/functions/galactic.sql
_FAINTEST, _BRIGHTEST = 90.0, -30.0  # magnitudes beyond are null markers such as 99.99
_CM2_PER_PC2 = float((u.pc**2).to(u.cm**2))


@dataclass
class DerivedValues:
    """Values of all rows with their formula, and their 1 sigma errors."""

    values: FloatArray
    formula: str
    error: FloatArray | None = None


def _combined(formula: str, compute: Callable[..., FloatArray], *parts: DerivedValues | None) -> DerivedValues | None:
    """Values computed of others, whose formulas fill the `formula`; None if one of them is missing."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return DerivedValues(compute(*(p.values for p in known)), formula.format(*(p.formula for p in known)))


@cache
def _terms(band: str) -> tuple[tuple[str, float], ...]:
    """Magnitudes that can stand for a band, with what to add, the best first; each once."""
    return tuple(dict.fromkeys(term for name in _COLOUR_TERMS for term in load(name).colour_terms(band)))


@dataclass
class Deriving(Quantities):
    """The rows of a table whose properties are being derived.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        All n rows.
    band : (float, float), optional
        Energies of the flux that the user gave, keV.
    matched : Matched, optional
        The table has been matched: X-ray quantities are in its own columns, others in those of the counterparts.
    accepted : (n,) bool array, optional
        Rows that have an accepted counterpart; only they have properties of one.
    n_bad : dict
        Grows with the values that cannot be used: rows by reason.
    """

    batch: pa.RecordBatch | None = None
    band: tuple[float, float] | None = None
    matched: Matched | None = None
    accepted: BoolArray | None = None
    n_bad: dict[str, int] = field(default_factory=dict)
    _first_bad: dict[str, int] = field(default_factory=dict)
    _numbers: dict[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.n = self.batch.num_rows if self.batch is not None else 0

    def derive(self, entry: dict[str, Any]) -> DerivedValues | None:
        """Values of a property, or None if the table cannot give it; a message says which."""
        name = entry["name"]
        self.lacking.clear()
        derived = self._as_it_is(entry)
        if derived is None and name in _RECIPES and self.given_columns.get(name) != "":
            derived = _RECIPES[name](self)
        if derived is None:
            lacking = f" (no {', no '.join(dict.fromkeys(self.lacking))})" if self.lacking else ""
            self.note(f"{name}: not in the table{lacking}, so it is excluded")
            return None
        if self.accepted is not None and entry.get("counterpart"):
            derived.values = np.where(self.accepted, derived.values, np.nan)
        (low, high), (has_low, has_high) = entry["range"], entry["bounded"]
        low, high = low if has_low else -np.inf, high if has_high else np.inf
        what = f"outside {low:g} to {high:g}"
        if entry["scale"] == "log10":
            low, high, what = np.nextafter(0, 1), np.inf, "zero or negative"
        outside = (derived.values < low) | (derived.values > high)
        self._bad(f"{name} {what}", outside)
        derived.values = np.where(outside, np.nan, derived.values)
        if derived.error is not None and has_low and has_high:
            derived.error = np.minimum(derived.error, (high - low) / 2)  # the range itself bounds it
        self.note(f"{name} = {derived.formula}: {np.isfinite(derived.values).sum():,} of {self.n:,} rows")
        return derived

    def columns_of(self, quantity: Quantity) -> Sequence[ColumnFacts]:
        """Columns among which a quantity is looked for; of a matched table those of the side that it belongs to."""
        if self.matched is None:
            return self.facts.columns
        of_counterpart = quantity.name.startswith(COUNTERPART)
        return [c for c in self.facts.columns if self.matched.is_of_counterpart(c.name) == of_counterpart]

    def one_of(self, quantity: Quantity, fitting: list[ColumnFacts]) -> ColumnFacts:
        """The one of columns that fit equally well; of several counterpart tables the first in the matched table."""
        if self.matched is None or not quantity.name.startswith(COUNTERPART):
            return super().one_of(quantity, fitting)
        by_table = [[c for c in fitting if c.name.startswith(f"{label}_")] for label in self.matched.counterparts]
        return super().one_of(quantity, next((columns for columns in by_table if columns), fitting))

    def assumed(self, name: str) -> tuple[str, str] | None:
        """Quantity and column that a property was derived from and whose unit nobody states; None if there is none."""
        of_flux = name.startswith(("log_fx", "log_lx"))
        flux = (
            (*("flux_std_cgs", "flux_cgs"), *(() if self._choices.get("flux_cgs") else BAND_FLUXES)) if of_flux else ()
        )
        motion = ("pmra_mas_yr", "pmdec_mas_yr") if name == "pm_mas_yr" else ()
        distance = ("distance_pc",) if name == "log_lx_counterpart" else ()
        for quantity in (name, *flux, *motion, *distance):
            chosen = self._choices.get(quantity)
            if chosen is not None and chosen.assumed and chosen.quantity.unit:
                return quantity, chosen.column
        return None

    def _bad(self, reason: str, rows: BoolArray) -> None:
        if rows.any() and reason not in self.n_bad:
            self.n_bad[reason], self._first_bad[reason] = int(rows.sum()), int(rows.argmax()) + 1

    def note_bad(self) -> None:
        """Add messages on the values that could not be used, and why."""
        for reason, count in self.n_bad.items():
            self.note(f"{count:,} rows without a value: {reason} (first in row {self._first_bad[reason]:,})")

    # --- values of columns ---

    def _rows(self, *columns: str) -> Rows:
        assert self.batch is not None
        definition = Definition.model_construct(nulls=NULLS, columns={}, position_error=None, read=ReadOptions())
        return Rows(RawChunk(self.batch.select(list(dict.fromkeys(columns)))), definition)

    def _count_rejects(self, rows: Rows) -> None:
        rejects = rows.rejects()
        reasons = [f"{c}: {r}" for c, r in zip(rejects.column_name, rejects.reason, strict=True)]
        for reason in dict.fromkeys(reasons):
            wrong = np.zeros(self.n, dtype=bool)
            wrong[rejects.row_number[np.array(reasons) == reason] - 1] = True
            self._bad(reason, wrong)

    def of(self, chosen: Chosen) -> FloatArray:
        """Values of a quantity in the quantity's unit; NaN where the column has no number."""
        if chosen.column not in self._numbers:
            rows = self._rows(chosen.column)
            self._numbers[chosen.column] = rows.numbers(chosen.column)
            self._count_rejects(rows)
        values = self._numbers[chosen.column] * chosen.factor
        if chosen.quantity.unit == "mag":  # 99.99 is not bad, it marks a missing value
            values = np.where((values < _FAINTEST) & (values > _BRIGHTEST), values, np.nan)
        return values

    def sigma(self, chosen: Chosen) -> FloatArray | None:
        """1 sigma errors of a quantity; zero and below mark missing ones."""
        error = self.error_of(chosen)
        if error is None:
            return None
        values = self.of(error)
        return np.where(values > 0, values, np.nan)

    def value(self, name: str) -> DerivedValues | None:
        """Values of a quantity by its name, with the column as formula."""
        chosen = self.find(name)
        return None if chosen is None else DerivedValues(self.of(chosen), str(chosen))

    def possible_value(self, name: str) -> FloatArray:
        """Values of a quantity, NaN if no column has such; see `find_possible`."""
        chosen = self.find_possible(name)
        return np.full(self.n, np.nan) if chosen is None else self.of(chosen)

    def _as_it_is(self, entry: dict[str, Any]) -> DerivedValues | None:
        """A column that has the property's name, or that the user gave for it."""
        name = entry["name"]
        quantity = Quantity(name, entry["unit"], entry["about"])
        if name in self.given_columns:
            chosen = self._of_user(quantity)
        else:
            prefix = self.matched.prefix if self.matched is not None and not entry.get("counterpart") else ""
            column = self.facts.column(f"{prefix}{name}")
            chosen = None if column is None or is_words(column) else self._chosen(quantity, column, "name")
        if chosen is None:
            return None
        self._choices.setdefault(name, chosen)
        error = self.sigma(chosen) if "error" in entry else None
        return DerivedValues(self.of(chosen), str(chosen), error)

    # --- position ---

    @cached_property
    def position(self) -> tuple[ColumnSpec, ColumnSpec] | None:
        """How the columns become right ascension and declination."""
        messages: list[str] = []
        given, matched = [self.given_columns.get(name) for name in ("ra", "dec")], self.matched
        if matched is None:
            position = guess_position(self.facts, messages, *given)
        else:
            given = [name and name.removeprefix(matched.prefix) for name in given]
            position = guess_position(matched.own_columns(self.facts), messages, *given)
            if position is not None:
                position = matched.renamed(position[0]), matched.renamed(position[1])
        self.messages += messages
        return position

    @cached_property
    def place(self) -> tuple[FloatArray, FloatArray]:
        """RA and Dec in degrees; NaN where a row has no valid position."""
        if self.position is None:
            return np.full(self.n, np.nan), np.full(self.n, np.nan)
        of_ra, of_dec = self.position
        rows = self._rows(*of_ra.from_, *of_dec.from_)
        ra, dec = rows.quantity("ra", of_ra), rows.quantity("dec", of_dec)
        with np.errstate(invalid="ignore"):
            rows.reject((ra < 0) | (ra > 360), of_ra.from_, "right ascension outside 0 to 360 degrees")
            rows.reject(np.abs(dec) > 90, of_dec.from_, "declination outside -90 to 90 degrees")
        self._count_rejects(rows)
        missing = rows.live & (np.isnan(ra) | np.isnan(dec))
        self._bad(f"{of_ra.from_[0]}, {of_dec.from_[0]}: no position", missing)
        valid = rows.live & ~missing
        ra, dec = np.where(valid, ra, np.nan), np.where(valid, dec, np.nan)
        frame = frames.common({c.name: c.frame for c in self.facts.columns}, (*of_ra.from_, *of_dec.from_))
        return frames.to_icrs(ra, dec, frame)[:2] if frame else (ra, dec)

    def _galactic(self) -> tuple[FloatArray | None, FloatArray, str] | None:
        """Galactic longitude (0 to 360, None if unknown) and latitude, deg, and the columns."""
        if self.position is not None:
            return *galactic(*self.place), ", ".join(spec.from_[0] for spec in self.position)
        self.lacking.append("position")
        lat, lon = self.value("glat"), self.value("glon")
        if lat is None:
            return None
        return (None, lat.values, lat.formula) if lon is None else (np.mod(lon.values, 360.0), lat.values, lon.formula)

    def abs_b(self) -> DerivedValues | None:
        """Distance from the galactic plane, deg."""
        place = self._galactic()
        return place and DerivedValues(np.abs(place[1]), f"galactic latitude of {place[2]}, without its sign")

    def abs_l(self) -> DerivedValues | None:
        """Longitude from the galactic centre, deg."""
        place = self._galactic()
        if place is None or place[0] is None or np.isnan(place[0]).all():
            return None
        folded = np.minimum(place[0], 360 - place[0])
        return DerivedValues(folded, f"galactic longitude of {place[2]}, folded at the centre")

    # --- X-ray flux ---

    @cached_property
    def flux(self) -> DerivedValues | None:
        """Flux in 0.2-12 keV, erg/(s cm2), above 0, with its error."""
        chosen = self.find("flux_std_cgs")
        factor, text = 1.0, ""
        if chosen is None:
            chosen = self.find("flux_cgs")
            if chosen is None:
                return None if self.given_columns.get("flux_cgs") == "" else self._sum_of_bands()
            low, high = self.energies_of(chosen, self.band)
            factor = Definition.model_construct(flux_band_kev=(low, high)).standard_flux_factor()
            text = "" if (low, high) == (0.2, 12.0) else f" x {factor:.4f} (from {low:g}-{high:g} to 0.2-12 keV)"
        flux = self.of(chosen)
        median = np.nanmedian(flux[flux > 0]) if (flux > 0).any() else np.nan
        if chosen.assumed and not (np.isnan(median) or POSSIBLE_FLUX[0] < median < POSSIBLE_FLUX[1]):
            raise self.error(
                f"column '{chosen.column}' has no unit, and its median of {median:.3g} is not a possible flux in "
                f"erg/(s cm2). Say its unit, --column flux_cgs={chosen.column}@UNIT, or name another column"
            )
        self._bad(f"{chosen.column} zero or negative, so no flux ratio", flux <= 0)
        sigma = self.sigma(chosen)
        flux = np.where(flux > 0, flux * factor, np.nan)
        return DerivedValues(flux, f"{chosen}{text}", None if sigma is None else sigma * factor)

    def _sum_of_bands(self) -> DerivedValues | None:
        """The flux in 0.2-12 keV from those of the three bands, if their energies are known and touch."""
        before = len(self.lacking)
        chosen = [c for name in BAND_FLUXES if (c := self.find(name)) is not None]
        del self.lacking[before:]  # what is lacking is the flux
        ranges = [energies for c in chosen if (energies := self.known_energies(c)) is not None]
        if len(chosen) < 2 or len(ranges) < len(chosen) or not touch(ranges):
            return None  # one band alone is no broad flux
        low, high = ranges[0][0], ranges[-1][1]
        factor = Definition.model_construct(flux_band_kev=(low, high)).standard_flux_factor()
        flux, columns = np.sum([self.of(c) for c in chosen], axis=0) * factor, " + ".join(map(str, chosen))
        self._bad(f"{columns} zero or negative, so no flux ratio", flux <= 0)
        sigmas = [sigma for c in chosen if (sigma := self.sigma(c)) is not None]
        error = np.sqrt(np.sum(np.square(sigmas), axis=0)) * factor if len(sigmas) == len(chosen) else None
        self.note(f"the flux in {low:g}-{high:g} keV is {columns}; change it with --column flux_cgs=COLUMN")
        text = f"({columns}) x {factor:.4f} (from {low:g}-{high:g} to 0.2-12 keV)"
        return DerivedValues(np.where(flux > 0, flux, np.nan), text, error)

    def log_fx(self) -> DerivedValues | None:
        """Log of the flux."""
        flux = self.flux
        if flux is None:
            return None
        error = None if flux.error is None else flux.error / (flux.values * np.log(10))
        return DerivedValues(np.log10(flux.values), f"log10({flux.formula})", error)

    def luminosity(self) -> DerivedValues | None:
        """Log of the luminosity at the counterpart's distance, erg/s."""

        def compute(log_flux: FloatArray, pc: FloatArray) -> FloatArray:
            return log_flux + np.log10(4 * np.pi * _CM2_PER_PC2 * np.where(pc > 0, pc, np.nan) ** 2)

        return _combined("{} + log10(4 pi {}^2)", compute, self.log_fx(), self.value("distance_pc"))

    def hardness(self, name: str, low: str, high: str) -> DerivedValues | None:
        """Hardness ratio: the column of the mission, else from fluxes, else from count rates."""
        chosen = self.find(name)
        if chosen is not None:
            return DerivedValues(self.of(chosen), str(chosen), self.sigma(chosen))
        for pattern in ("flux_{}_cgs", "rate_{}"):
            a, b = self.find(pattern.format(low)), self.find(pattern.format(high))
            if a is None or b is None:
                continue
            soft, hard = np.maximum(self.of(a), 0.0), np.maximum(self.of(b), 0.0)  # NaN stays NaN
            d_soft, d_hard = self.sigma(a), self.sigma(b)
            total = np.where(soft + hard > 0, soft + hard, np.nan)
            self._bad(f"{a}, {b} both zero or negative, so no {name}", soft + hard == 0)
            error = None
            if d_soft is not None and d_hard is not None:
                error = 2 * np.hypot(soft * d_hard, hard * d_soft) / total**2
            return DerivedValues((hard - soft) / total, f"({b} - {a}) / ({b} + {a}), negative as 0", error)
        return None

    def p_variable(self) -> DerivedValues | None:
        """Probability of variability within an observation."""
        return self.value("p_variable") or _combined("1 - {}", lambda p: 1 - p, self.value("p_constant"))

    # --- counterparts ---

    def magnitude(self, band: str) -> DerivedValues | None:
        """Magnitude in a band of the ratios, from the best column that a row has."""
        before = len(self.lacking)
        magnitudes = [(offset, m) for term, offset in _terms(band) if (m := self.value(term)) is not None]
        if not magnitudes:
            return None
        del self.lacking[before:]  # one is enough
        values, formulas = np.full(self.n, np.nan), []
        for offset, magnitude in magnitudes:
            values = np.where(np.isnan(values), magnitude.values + offset, values)
            formulas.append(magnitude.formula + (f" {'+' if offset > 0 else '-'} {abs(offset):g}" if offset else ""))
        return DerivedValues(values, ", else ".join(formulas))

    def ratio(self, band: str) -> DerivedValues | None:
        """Log of the X-ray flux over the flux in a band."""
        flux, zero = self.log_fx(), ZERO[band]
        formula = f"{{}} + {zero} + {band.upper()} / 2.5, {band.upper()}: {{}}"
        ratio = _combined(formula, lambda log_fx, mag: log_fx + zero + mag / 2.5, flux, self.magnitude(band))
        if ratio is not None and flux is not None:
            ratio.error = flux.error
        return ratio

    def colour(self, blue: str, red: str) -> DerivedValues | None:
        """Difference of two magnitudes."""
        first = self.magnitude("r") if blue == "r" else self.value(f"mag_{blue}")
        formula = "({}) - {}" if first is not None and "," in first.formula else "{} - {}"
        return _combined(formula, np.subtract, first, self.value(f"mag_{red}"))

    def motion(self) -> DerivedValues | None:
        """Total proper motion, mas/yr."""
        total = self.value("pm_mas_yr")
        if total is not None:
            return total
        return _combined("sqrt({}^2 + {}^2)", np.hypot, self.value("pmra_mas_yr"), self.value("pmdec_mas_yr"))

    def parallax(self) -> DerivedValues | None:
        """Parallax over its error."""
        chosen = self.find("parallax_mas")
        sigma = None if chosen is None else self.sigma(chosen)
        if chosen is None or sigma is None:
            return self.value("parallax_sigma")
        return DerivedValues(self.of(chosen) / sigma, f"{chosen} / {self.error_of(chosen)}")


_RATIOS = ("log_fx_fb", "log_fx_fr", "log_fx_fw1", "log_fx_fw2", "log_fx_fj")
_AS_GIVEN = ("distance_pc", "gamma", "p_variable_long", "log_rate_ratio", "mean_excess_variance")
_RECIPES: dict[str, Callable[[Deriving], DerivedValues | None]] = {
    "abs_b": Deriving.abs_b,
    "abs_l": Deriving.abs_l,
    "pm_mas_yr": Deriving.motion,
    "parallax_sigma": Deriving.parallax,
    "log_lx_counterpart": Deriving.luminosity,
    "log_fx": Deriving.log_fx,
    "p_variable": Deriving.p_variable,
    "hr1": lambda d: d.hardness("hr1", "soft", "medium"),
    "hr2": lambda d: d.hardness("hr2", "medium", "hard"),
    "bp_rp": lambda d: d.colour("gaia_bp", "gaia_rp"),
    **{name: methodcaller("value", name) for name in _AS_GIVEN},
    **{name: methodcaller("ratio", name.removeprefix("log_fx_f")) for name in _RATIOS},
    **{name: methodcaller("colour", *name.split("_")) for name in ("r_w1", "j_k", "h_k", "j_w1", "w1_w2", "w2_w3")},
}


def galactic(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Galactic longitude (0 to 360) and latitude of ICRS positions, all in degrees; as sql/functions/galactic.sql."""
    away, north, pole = np.radians(ra - _POLE_RA_DEG), np.radians(dec), np.radians(_POLE_DEC_DEG)
    sine = np.sin(north) * np.sin(pole) + np.cos(north) * np.cos(pole) * np.cos(away)
    across = np.cos(north) * np.sin(away)
    along = np.sin(north) * np.cos(pole) - np.cos(north) * np.sin(pole) * np.cos(away)
    lon = np.mod(_NODE_L_DEG - np.degrees(np.arctan2(across, along)), 360.0)
    return lon, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))

"""The X-ray columns of a user's table, as the definition of a catalogue has them.

A survey that xcat has a definition of is known by the names of its columns; then its entries are taken, with its
energies and conventions. Other columns are found one by one (`xcat.tables.quantities`). What the user named comes
before both. Energies that neither a name, a description nor the user states are asked for, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from xcat.catalogues.definition import Definition, load
from xcat.catalogues.grammar import BANDS, ColumnSpec
from xcat.columns.registry import columns as meanings
from xcat.columns.registry import property_entries
from xcat.errors import ConfigError, InputError
from xcat.ingest.opened import ColumnFacts
from xcat.tables import vocabulary as words
from xcat.tables.facts import TableFacts
from xcat.tables.guess import Wanted, guess
from xcat.tables.matched import CUTOFF, Matched, recognise
from xcat.tables.quantities import Chosen, Quantities, check_given, error_name, touch
from xcat.tables.vocabulary import POSSIBLE_FLUX, Quantity, as_unit, endings, plain, quantities, typical

#: Properties of a position alone.
LOCATION = ("abs_b", "abs_l", "sep_to_radius")
#: Definitions whose column names belong to one survey, the richest first.
_SURVEYS = ("xmm4_sources", "xmm4_detections", "sxps2_sources", "erass1", "csc2_detections", "efeds", "swift_sdsx")
_LEAST_OF_SURVEY = 3  # entries that must be there before the names count as the survey's
_OF_DETECTION = ("gamma", "p_variable", "p_variable_long", "snr", "n_detections", "extent_arcsec")
_OF_RATIO = {"log_flux_ratio": "flux_ratio", "log_flux_ratio_low": "flux_ratio_low"}
# ends of intervals, by what follows the quantity's name, and half their width in sigmas: Swift's 68 %, Chandra's 90 %
_INTERVALS = (("_neg", "_pos", 1.0), ("_lolim", "_hilim", 1.645))
_NAMES = (
    "name",
    "iauname",
    "sourcename",
    "srcname",
    "objectname",
    "objname",
    "source",
    "target",
    "object",
    "srcid",
    "sourceid",
    "objid",
    "id",
)


@dataclass(frozen=True)
class Direct:
    """A property that the table gives as it is, to be taken instead of the computed one.

    Parameters
    ----------
    value : ColumnSpec
        Its columns; read with ``Rows.plain``, then times ``unit_factor(value.unit, unit of the property)``.
    error : ColumnSpec or None
        Of its 1 sigma error.
    """

    value: ColumnSpec
    error: ColumnSpec | None = None


@dataclass(frozen=True)
class XrayColumns:
    """The X-ray columns of a table.

    Parameters
    ----------
    definition : Definition
        Of kind "xray_sources", called "own", for `xcat.ingest.convert.convert`: every row is a source, its native id
        the number of the row.
    provided : tuple of str
        Properties of the X-ray side, in the order of the registry, that merge and properties compute from these
        columns. Those of the position are always among them; flux ratios to counterparts need "log_fx".
    direct : dict
        Properties that the table itself gives, by name.
    magnitudes : tuple of str
        Columns with measurements of counterparts, which are not used.
    matched : Matched or None
        What the table says about a match that it came from.
    assumed : dict
        Property to the quantity and the column whose unit neither the table nor the user states, for
        `xcat.models.training_range.off_range`.
    messages : list of str
        What was taken for what, and why.
    """

    definition: Definition
    provided: tuple[str, ...]
    direct: dict[str, Direct] = field(default_factory=dict)
    magnitudes: tuple[str, ...] = ()
    matched: Matched | None = None
    assumed: dict[str, tuple[str, str]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def file_columns(self) -> tuple[str, ...]:
        """All columns that are read, each once: those of the definition, of `direct`, and of the match."""
        direct = [c for d in self.direct.values() for s in (d.value, d.error) if s is not None for c in s.from_]
        matched = self.matched.columns if self.matched else ()
        return tuple(dict.fromkeys([*self.definition.file_columns, *direct, *matched]))


def xray_columns(
    facts: TableFacts,
    wanted: Wanted | None = None,
    given: Mapping[str, str] | None = None,
    band: tuple[float, float] | None = None,
) -> XrayColumns:
    """Find the X-ray columns of a table: positions and their errors, fluxes, hardness, variability.

    Parameters
    ----------
    facts : TableFacts
        The table.
    wanted : Wanted, optional
        What the user stated about the position.
    given : mapping, optional
        Columns that the user named, by property or quantity: ``COLUMN[@UNIT][@LOW-HIGHkeV]``, or ``""`` for none.
    band : (float, float), optional
        Energies of the flux, keV.

    Raises
    ------
    InputError
        There is no position, positional error, or no energies of a flux; columns fit equally well; a unit cannot be
        converted. The message names the option that decides.
    ConfigError
        An option is invalid.
    """
    given, wanted = dict(given or {}), wanted or Wanted()
    check_given({k: v for k, v in given.items() if k != CUTOFF}, [entry["name"] for entry in property_entries()])
    if band is not None and not 0 < band[0] < band[1]:
        raise ConfigError(f"--band {band[0]:g}-{band[1]:g}: give the lower and the upper energy in keV, as in 0.5-7")
    matched = recognise(facts, given)
    if matched is None:
        return _Finding(facts, wanted=wanted, given_columns=given, band=band).columns()
    own, prefix = matched.own_columns(facts), matched.prefix
    given = {k: v.removeprefix(prefix) for k, v in given.items()}
    error = wanted.pos_err
    if isinstance(error, str):
        error = ",".join(part.strip().removeprefix(prefix) for part in error.split(","))
    wanted = replace(wanted, ra=_without(wanted.ra, prefix), dec=_without(wanted.dec, prefix), pos_err=error)
    found = _Finding(own, wanted=wanted, given_columns=given, band=band).columns()
    of_match = [c.name for c in facts.columns if matched.is_of_counterpart(c.name) and _is_of_counterpart(c)]
    return XrayColumns(
        Definition.from_dict(_renamed(found.definition.as_dict(), prefix)),
        found.provided,
        {
            name: Direct(matched.renamed(d.value), None if d.error is None else matched.renamed(d.error))
            for name, d in found.direct.items()
        },
        (*(f"{prefix}{c}" for c in found.magnitudes), *of_match),
        matched,
        {k: (quantity, f"{prefix}{column}") for k, (quantity, column) in found.assumed.items()},
        [f"{facts.label}: {matched}", f"{facts.label}: its own columns begin with {prefix}", *found.messages],
    )


def _without(name: str | None, prefix: str) -> str | None:
    return None if name is None else name.removeprefix(prefix)


def _renamed(data: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A definition, as data, with a prefix before the names of the file's columns."""

    def spec(entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"from": [f"{prefix}{c}" for c in entry["from"]]}

    error = dict(data["position_error"])
    if error.get("columns"):
        error["columns"] = [spec(c) for c in error["columns"]]
    if error.get("pa"):
        error["pa"] = f"{prefix}{error['pa']}"
    return data | {"position_error": error, "columns": {k: spec(c) for k, c in data["columns"].items()}}


def _is_of_counterpart(column: ColumnFacts) -> bool:
    """Whether a column is a measurement of a counterpart, by itself or after the label of a joined table."""
    if column.is_text:
        return False
    kinds = [q for name, q in quantities().items() if name.startswith(words.COUNTERPART)]
    names = (column.name, *endings(column.name))
    is_one = any(q.is_name(n) or plain(q.name) == plain(n) for q in kinds for n in names)
    return is_one or any(words.is_magnitude(replace(column, name=n)) for n in names)


@cache
def _surveys() -> tuple[Definition, ...]:
    return tuple(load(name) for name in _SURVEYS)


@dataclass
class _Finding(Quantities):
    """A table whose X-ray columns are being found."""

    wanted: Wanted = field(default_factory=Wanted)
    band: tuple[float, float] | None = None
    survey: Definition | None = None
    specs: dict[str, Any] = field(default_factory=dict)  # entries of the definition
    energies: dict[str, tuple[float, float]] = field(default_factory=dict)  # of fluxes, keV

    def columns(self) -> XrayColumns:
        """All of it."""
        self._find_survey()
        questions: list[str] = []
        data: dict[str, Any] = {"columns": self.specs}
        try:
            data = self._position()
        except InputError as error:
            questions.append(str(error))
        self.specs = data["columns"]
        self._name()
        try:
            self._fluxes()
        except InputError as error:
            questions.append(str(error))
        if questions:  # all that is to be asked, at once
            raise InputError("\n".join(questions))
        if "flux_cgs" not in self.specs:
            self.note("no X-ray flux, so no flux ratio: --column flux_cgs=COLUMN says which column is one")
        for entry in _OF_DETECTION:
            self._entry(entry)
        direct = self._direct()
        if "flux_cgs" in self.specs:
            data["flux_band_kev"] = self.energies["flux_cgs"]
        bands = {b: self.energies[f"flux_{b}_cgs"] for b in BANDS if f"flux_{b}_cgs" in self.specs}
        if bands:
            data["bands_kev"] = bands
        used = {c for spec in self.specs.values() for c in _listed(spec)}
        unused = [c.name for c in self.facts.columns if c.name not in used and _is_of_counterpart(c)]
        provided = [e["name"] for e in property_entries() if self._is_provided(e["name"])]
        definition, assumed = Definition.from_dict(data), self._assumed()
        return XrayColumns(definition, tuple(provided), direct, tuple(unused), None, assumed, self.messages)

    def _assumed(self) -> dict[str, tuple[str, str]]:
        """Properties that stand on a flux without unit."""
        for quantity in ("flux_std_cgs", "flux_cgs", *words.BAND_FLUXES):
            chosen = self._choices.get(quantity)
            if (
                chosen is not None
                and chosen.assumed
                and chosen.column in self.specs.get("flux_cgs", {"from": ()})["from"]
            ):
                names = [e["name"] for e in property_entries() if e["name"].startswith(("log_fx", "log_lx"))]
                return dict.fromkeys(names, (quantity, chosen.column))
        return {}

    def _is_provided(self, name: str) -> bool:
        has = self.specs.keys()
        needs = {
            "hr1": {"flux_soft_cgs", "flux_medium_cgs"},
            "hr2": {"flux_medium_cgs", "flux_hard_cgs"},
            "log_fx": {"flux_cgs"},
            "log_lx_galaxy": {"flux_cgs"},
        }
        return name in LOCATION or name in has or needs.get(name, {""}) <= has

    # --- a survey that is known by its names ---

    def _find_survey(self) -> None:
        def known(definition: Definition) -> int:
            flux = definition.columns["flux_cgs"]
            if any(self.facts.column(c) is None for c in flux.from_):
                return 0
            return sum(self._has(spec) for spec in definition.columns.values())

        best = max(_surveys(), key=known)
        if known(best) > _LEAST_OF_SURVEY:
            self.survey = best
            self.note(f"columns of {best.title}: taken as its definition '{best.name}' has them")

    def _has(self, spec: ColumnSpec) -> bool:
        return all(self.facts.column(c) is not None for c in spec.from_)

    def _of_survey(self, name: str) -> bool:
        """Take an entry of the survey's definition, unless the user named another column."""
        spec = None if self.survey is None else self.survey.columns.get(name)
        asked = {name, "p_constant"} if name == "p_variable" else {name}
        if self.survey is None or spec is None or not self._has(spec) or asked & self.given_columns.keys():
            return False
        columns = [c for n in spec.from_ if (c := self.facts.column(n)) is not None]
        data: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        data["from"] = [c.name for c in columns]
        stated = {c.unit.strip() for c in columns if c.unit.strip()}
        if stated and "scale" not in {step.name for step in spec.transform}:
            if len(stated) > 1:
                raise self.error(f"columns {self.names(columns)} are in different units ({', '.join(sorted(stated))})")
            quantity = Quantity(name, meanings()[name].unit, meanings()[name].about)
            data["unit"] = self._checked_unit(quantity, columns[0])
        self.specs[name] = data
        return True

    def _checked_unit(self, quantity: Quantity, column: ColumnFacts) -> str:
        converted = self._unit(quantity, column)
        if converted is None:
            raise self._wrong_unit(quantity, column, column.unit)
        unit = as_unit(converted[0])
        return quantity.unit if unit is None else str(unit.to_string())

    # --- position and name ---

    def _position(self) -> dict[str, Any]:
        given = self.given_columns
        wanted = replace(self.wanted, ra=self.wanted.ra or given.get("ra"), dec=self.wanted.dec or given.get("dec"))
        error = None if self.survey is None else self.survey.position_error
        if error is not None:
            names = [c for spec in error.columns for c in spec.from_] + ([error.pa] if error.pa else [])
            if wanted.pos_err is not None or not names or any(self.facts.column(n) is None for n in names):
                error = None
        guessed = guess(self.facts, wanted if error is None else replace(wanted, pos_err=1.0))
        told = [m for m in guessed.messages if not m.startswith(f"{self.facts.label}: magnitudes: ")]
        data = guessed.definition.as_dict()
        if error is not None:
            told = [m for m in told if "positional error 1 arcsec for all rows" not in m]
            data["position_error"] = error.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            columns = ", ".join(c for spec in error.columns for c in spec.from_)
            told.append(f"{self.facts.label}: positional error from {columns}, {error.convention.replace('_', ' ')}")
        self.messages += told
        return data

    def _name(self) -> None:
        by_name = self.by_name(self.facts.columns)
        main = [c for c in self.facts.columns if c.ucd.casefold() in ("meta.id;meta.main", "id_main")]
        column = main[0] if len(main) == 1 else next((by_name[n] for n in _NAMES if n in by_name), None)
        if column is not None:
            self.specs["name"] = {"from": [column.name]}

    # --- fluxes ---

    def _fluxes(self) -> None:
        """The broad flux, those of the bands, and the hardness ratios."""
        self._broad()
        ratios = [self._hardness_column("hr1"), self._hardness_column("hr2")]
        if "flux_cgs" in self.specs and all(ratios):
            for name in words.BAND_FLUXES:  # of a survey, as its definition has them
                self._of_survey(name)
            if not set(words.BAND_FLUXES) <= self.specs.keys():
                self._drop_bands()
            elif self.survey is not None and self.survey.bands_kev is not None:
                self.energies |= {f"flux_{b}_cgs": getattr(self.survey.bands_kev, b) for b in BANDS}
                for name in words.BAND_FLUXES:
                    self._of_survey(error_name(name))
            return
        found = self._band_fluxes()
        if "flux_cgs" not in self.specs and self.given_columns.get("flux_cgs") != "":
            self._summed(found)
        if len(found) < len(BANDS):
            self._drop_bands()  # a definition has all three or none; ratios of two are made here
        for name, low, high, has in (("hr1", "soft", "medium", ratios[0]), ("hr2", "medium", "hard", ratios[1])):
            if not has and len(found) < len(BANDS):
                self._ratio(name, low, high)

    def _broad(self) -> None:
        """The flux in the full band, with its error and energies."""
        if self._of_survey("flux_cgs") and self.survey is not None and self.survey.flux_band_kev is not None:
            self._of_survey("flux_err_cgs")
            low, high = self.band or self.survey.flux_band_kev
            self.energies["flux_cgs"] = low, high
            self.note(f"flux_cgs is {', '.join(self.specs['flux_cgs']['from'])}, in {low:g}-{high:g} keV")
            return
        chosen = self.find("flux_cgs")
        if chosen is not None and (of_rows := self._energies_of_columns()) is not None:
            chosen = replace(chosen, energies=of_rows)
        standard = self.find("flux_std_cgs") if chosen is None or chosen.column.casefold() == "flux_cgs" else None
        if standard is not None and (chosen is None or (chosen.energies is None and self.band is None)):
            chosen = replace(standard, energies=(0.2, 12.0))
        if chosen is not None:
            self._add_flux("flux_cgs", chosen, self.energies_of(chosen, self.band))
            return
        column = self.facts.column(self.given_columns.get("log_fx", "log_fx"))
        if column is not None and not column.is_text and "flux_cgs" not in self.given_columns:
            self.specs["flux_cgs"] = {"from": [column.name], "transform": ["pow10"]}
            self.energies["flux_cgs"] = 0.2, 12.0
            self.note(f"flux_cgs is 10^{column.name}, in 0.2-12 keV")

    def _add_flux(self, name: str, chosen: Chosen, energies: tuple[float, float]) -> None:
        column = self.facts.column(chosen.column)
        middle = None if column is None else typical(column)
        if chosen.assumed and middle is not None and not POSSIBLE_FLUX[0] < middle < POSSIBLE_FLUX[1]:
            raise self.error(
                f"column '{chosen.column}' has no unit, and the median of its first values, {middle:.3g}, is not a "
                f"possible flux in erg/(s cm2). Say its unit, --column {name}={chosen.column}@UNIT, or name another"
            )
        self.specs[name], self.energies[name] = self._spec(chosen), energies
        self._add_error(name, chosen)

    def _energies_of_columns(self) -> tuple[float, float] | None:
        """Energies in columns beside the flux, as xcat publishes them, if they are the same in the first rows."""
        samples = [getattr(self.facts.column(n), "sample", ()) for n in ("flux_low_kev", "flux_high_kev")]
        if any(len({float(v) for v in sample if words.is_number(v)}) != 1 for sample in samples):
            return None
        low, high = (next(float(v) for v in sample if words.is_number(v)) for sample in samples)
        return (low, high) if 0 < low < high else None

    def _band_fluxes(self) -> list[str]:
        """Add the fluxes of the three bands if the table has them all; names of those found, in `energies`."""
        if (
            self.survey is not None
            and self.survey.bands_kev is not None
            and all(map(self._of_survey, words.BAND_FLUXES))
        ):
            self.energies |= {f"flux_{b}_cgs": getattr(self.survey.bands_kev, b) for b in BANDS}
            for name in words.BAND_FLUXES:
                self._of_survey(error_name(name))
            return list(words.BAND_FLUXES)
        self._drop_bands()
        chosen = {name: c for name in words.BAND_FLUXES if (c := self.find(name)) is not None}
        known = {name: self.known_energies(c) for name, c in chosen.items()}
        unknown = [name for name, energies in known.items() if energies is None]
        if unknown:
            options = " ".join(f"--column {n}={chosen[n]}@LOW-HIGHkeV" for n in unknown)
            without = " ".join(f"--column {n}=" for n in unknown)
            columns = ", ".join(str(chosen[n]) for n in unknown)
            raise self.error(
                f"which energies have the fluxes of columns {columns}? Neither their "
                f"names nor their descriptions say it. Give them: {options}; or go without: {without}"
            )
        for name, energies in known.items():
            if energies is not None:
                self._add_flux(name, chosen[name], energies)
        return list(known)

    def _drop_bands(self) -> None:
        for name in words.BAND_FLUXES:
            self.specs.pop(name, None)
            self.specs.pop(error_name(name), None)

    def _summed(self, found: list[str]) -> None:
        """The sum of the band fluxes, if their bands touch; one band alone is no broad flux."""
        if len(found) < 2:
            for name in found:
                column = self.specs[name]["from"][0]
                self.note(
                    f"no broad flux: {column} is one band alone; to take it as the flux: --column flux_cgs={column}"
                )
            return
        ranges = [self.energies[name] for name in found]
        columns = [self.specs[name] for name in found]
        text = ", ".join(f"{a:g}-{b:g}" for a, b in ranges)
        names = ", ".join(c for spec in columns for c in spec["from"])
        gaps = not touch(ranges)
        simple = all(len(c["from"]) == 1 and not c.get("transform") for c in columns)
        if gaps or not simple or len({c.get("unit") for c in columns}) > 1:
            why = "do not touch" if gaps else "have different units"
            self.note(f"no broad flux: {names} ({text} keV) {why}, so they are not summed")
            return
        unit = {"unit": columns[0]["unit"]} if "unit" in columns[0] else {}
        summed = [c for spec in columns for c in spec["from"]]
        self.specs["flux_cgs"] = {"from": summed, **unit, "transform": ["sum"]}
        low, high = self.energies["flux_cgs"] = ranges[0][0], ranges[-1][1]
        errors = [self.specs.get(error_name(name)) for name in found]
        plain_errors = [e for e in errors if e is not None and len(e["from"]) == 1 and not e.get("transform")]
        with_error = len(plain_errors) == len(found) and len({e.get("unit") for e in plain_errors}) == 1
        if with_error:
            self.specs["flux_err_cgs"] = {
                "from": [c for e in plain_errors for c in e["from"]],
                **({"unit": plain_errors[0]["unit"]} if "unit" in plain_errors[0] else {}),
                "transform": ["hypot"],
            }
        of_error = "errors in quadrature" if with_error else "without error"
        self.note(
            f"flux_cgs is the sum of {names} ({text} keV), {of_error}, in {low:g}-{high:g} keV; "
            "change it with --column flux_cgs=COLUMN"
        )

    # --- hardness ---

    def _hardness_column(self, name: str) -> bool:
        if self._of_survey(name):
            self._of_survey(error_name(name))
            return True
        chosen = self.find(name)
        if chosen is not None:
            self.specs[name] = self._spec(chosen)
            self._add_error(name, chosen)
        return chosen is not None

    def _ratio(self, name: str, low: str, high: str) -> None:
        """A hardness ratio of two fluxes or count rates."""
        if self.given_columns.get(name) == "":
            return
        for pattern in ("flux_{}_cgs", "rate_{}"):
            soft, hard = self.find(pattern.format(low)), self.find(pattern.format(high))
            if soft is None or hard is None:
                continue
            if soft.factor != hard.factor:
                self.note(f"no {name}: {soft} and {hard} have different units")
                return
            self.specs[name] = {"from": [soft.column, hard.column], "transform": ["hardness"]}
            errors = [self.error_of(soft), self.error_of(hard)]
            known = [e.column for e in errors if e is not None and e.factor == soft.factor]
            if len(known) == len(errors):
                columns = [soft.column, hard.column, *known]
                self.specs[f"{name}_err"] = {"from": columns, "transform": ["hardness_err"]}
            of_error = "" if len(known) == len(errors) else ", without error"
            self.note(f"{name} = ({hard} - {soft}) / ({hard} + {soft}), negative as 0{of_error}")
            return

    # --- entries ---

    def _entry(self, name: str) -> None:
        """A column of the detection that has one column in the table."""
        if self._of_survey(name):
            self.note(f"{name} is {', '.join(self.specs[name]['from'])}")
            return
        chosen = self.find(name)
        if chosen is not None:
            self.specs[name] = self._spec(chosen)
        elif name == "p_variable" and (constant := self.find("p_constant")) is not None:
            self.specs[name] = self._spec(constant) | {"transform": ["one_minus"]}
            self.note(f"{name} = 1 - {constant}")

    def _spec(self, chosen: Chosen, *steps: str) -> dict[str, Any]:
        """A chosen column in the form of a definition."""
        spec: dict[str, Any] = {"from": [chosen.column]}
        unit = as_unit(chosen.unit)
        if unit is not None and chosen.factor != 1.0:
            spec["unit"] = unit.to_string()
        if steps:
            spec["transform"] = list(steps)
        return spec

    def _add_error(self, name: str, chosen: Chosen) -> None:
        """The 1 sigma error of a quantity: a column, or half of an interval whose confidence its names tell."""
        error, sigma = self.error_of(chosen), error_name(name)
        if error is not None:
            self.specs[sigma] = self._spec(error)
            return
        if error_name(chosen.quantity.name) in self.given_columns:
            return  # the user wants none
        by_name = self.by_name(self.facts.columns)
        stem, ending = chosen.column, ""
        if "_" in stem[-2:]:
            stem, ending = stem[:-2], stem[-2:]  # flux_aper90_lolim_b
        for low, high, n_sigma in _INTERVALS:
            ends = [
                by_name.get(plain(f"{stem}{word}{ending}")) or by_name.get(plain(f"{chosen.column}{word}"))
                for word in (low, high)
            ]
            if ends[0] is None or ends[1] is None:
                continue
            spec = self._spec(chosen) | {"from": [ends[0].name, ends[1].name], "transform": [{"half_range": n_sigma}]}
            if low == "_neg" and any(words.is_number(v) and float(v) > 0 for v in ends[0].sample):
                spec["transform"] = ["sum", {"scale": 0.5}]  # sizes, not a lower and an upper end
            self.specs[sigma] = spec
            self.note(f"{sigma} from {ends[0].name}, {ends[1].name}, {n_sigma:g} sigma")
            return

    # --- properties that the table has itself ---

    def _direct(self) -> dict[str, Direct]:
        entries = {e["name"]: e for e in property_entries() if not e.get("counterpart")}
        direct = {}
        for name, entry in entries.items():
            if name in self.specs or (
                name == "log_fx" and self.specs.get("flux_cgs", {}).get("transform") == ["pow10"]
            ):
                continue
            if name in LOCATION and name != "sep_to_radius" and name not in self.given_columns:
                continue  # the position gives them
            chosen, steps = self._property(entry), list[str]()
            if chosen is None and name in _OF_RATIO and self.given_columns.get(name) != "":
                chosen, steps = self.find(_OF_RATIO[name]), ["log10"]
                if chosen is not None:
                    self.note(f"{name} = log10({chosen})")
            if chosen is None:
                continue
            error = self.error_of(chosen) if "error" in entry and not steps else None
            of_error = None if error is None else ColumnSpec.model_validate(self._spec(error))
            direct[name] = Direct(ColumnSpec.model_validate(self._spec(chosen, *steps)), of_error)
        return direct

    def _property(self, entry: dict[str, Any]) -> Chosen | None:
        """A column that the user gave for a property, or that has its name."""
        quantity = Quantity(entry["name"], entry["unit"], entry["about"])
        if quantity.name in self.given_columns:
            return self._of_user(quantity)
        column = self.facts.column(quantity.name)
        return None if column is None or words.is_words(column) else self._chosen(quantity, column, "name")

    def _may_be(self, quantity: Quantity, column: ColumnFacts) -> bool:
        """As everywhere; and the flux of one of the three bands is not the full one."""
        if quantity.name == "flux_cgs" and any(
            quantities()[band].is_name(name)
            for band in words.BAND_FLUXES
            for name in (column.name, *endings(column.name))
        ):
            return False
        return super()._may_be(quantity, column)


def _listed(spec: Any) -> Sequence[str]:
    """Columns of an entry of a definition that is data."""
    columns = spec["from"] if isinstance(spec, dict) else spec
    return [columns] if isinstance(columns, str) else columns

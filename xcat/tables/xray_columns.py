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
from xcat.catalogues.grammar import ColumnSpec
from xcat.columns.registry import BANDS, property_entries
from xcat.errors import ConfigError, InputError
from xcat.ingest.opened import ColumnFacts
from xcat.tables import vocabulary as words
from xcat.tables.facts import TableFacts
from xcat.tables.guess import Wanted, guess
from xcat.tables.matched import CUTOFF, Matched, recognise
from xcat.tables.quantities import Chosen, check_given
from xcat.tables.vocabulary import Quantity, endings, plain, quantities
from xcat.tables.xray_fluxes import Fluxes

#: Properties of a position alone.
LOCATION = ("abs_b", "abs_l", "sep_to_radius")
#: Definitions whose column names belong to one survey, the richest first.
_SURVEYS = ("xmm4_sources", "xmm4_detections", "sxps2_sources", "erass1", "csc2_detections", "efeds", "swift_sdsx")
_LEAST_OF_SURVEY = 3  # entries that must be there before the names count as the survey's
_OF_DETECTION = ("gamma", "p_variable", "p_variable_long", "snr", "n_detections", "extent_arcsec", "nh_gal_cm2")
_OF_RATIO = {"log_flux_ratio": "flux_ratio", "log_flux_ratio_low": "flux_ratio_low"}
# of a source, the most usual first
_NAMES = ("name", "iauname", "sourcename", "srcname", "objectname", "source", "target", "srcid", "objid", "id")


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
    needs_error: bool = True,
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
    needs_error : bool
        A positional error is asked for if there is none. Not of a table that has been matched.

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
        finding = _Finding(facts, wanted=wanted, given_columns=given, band=band, needs_error=needs_error)
        return finding.columns()
    own, prefix = matched.own_columns(facts), matched.prefix
    given = {k: v.removeprefix(prefix) for k, v in given.items()}
    error = wanted.pos_err
    if isinstance(error, str):
        error = ",".join(part.strip().removeprefix(prefix) for part in error.split(","))
    wanted = replace(wanted, ra=_without(wanted.ra, prefix), dec=_without(wanted.dec, prefix), pos_err=error)
    found = _Finding(own, wanted=wanted, given_columns=given, band=band, needs_error=False).columns()
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
    if data.get("quality"):
        flaws = {n: f | {"column": f"{prefix}{f['column']}"} for n, f in data["quality"].items()}
        data = data | {"quality": flaws}
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
class _Finding(Fluxes):
    """A table whose X-ray columns are being found."""

    wanted: Wanted = field(default_factory=Wanted)
    needs_error: bool = True

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
            self.find_fluxes()
        except InputError as error:
            questions.append(str(error))
        if questions:  # all that is to be asked, at once
            raise InputError("\n".join(questions))
        if "flux_cgs" not in self.specs:
            self.note("no X-ray flux, so no flux ratio: --column flux_cgs=COLUMN says which column is one")
        for entry in _OF_DETECTION:
            self._entry(entry)
        if self.wanted.epoch_yr is None and "epoch_yr" not in self.specs and self.of_survey("mjd"):
            self.note(f"epoch from {self.specs['mjd']['from'][0]}, as the survey has it")
        direct = self._direct()
        if "flux_cgs" in self.specs:
            data["flux_band_kev"] = self.energies["flux_cgs"]
        bands = {b: self.energies[f"flux_{b}_cgs"] for b in BANDS if f"flux_{b}_cgs" in self.specs}
        if not bands and self.survey is not None and self.survey.bands_kev is not None:
            bands = self.survey.bands_kev.model_dump(mode="json")  # of hardness ratios that the table gives
        if bands:
            data["bands_kev"] = bands
        if self.survey is not None:
            flaws = {n: f for n, f in self.survey.quality.items() if self.facts.column(f.column) is not None}
            if flaws:
                data["quality"] = {n: f.model_dump(mode="json", exclude_defaults=True) for n, f in flaws.items()}
                self.note(f"rows with flaws ({', '.join(flaws)}), by {', '.join(f.column for f in flaws.values())}")
        used = {c for spec in self.specs.values() for c in _listed(spec)}
        unused = [c.name for c in self.facts.columns if c.name not in used and _is_of_counterpart(c)]
        provided = [e["name"] for e in property_entries() if self._is_provided(e["name"])]
        definition, assumed = Definition.from_dict(data), self._assumed()
        return XrayColumns(definition, tuple(provided), direct, tuple(unused), None, assumed, self.messages)

    def _assumed(self) -> dict[str, tuple[str, str]]:
        """Properties that stand on a flux without unit."""
        names = [e["name"] for e in property_entries() if e["name"].startswith(("log_fx", "log_lx"))]
        flux = self.specs.get("flux_cgs", {"from": ()})
        for quantity in ("flux_std_cgs", "flux_cgs", *words.BAND_FLUXES):
            chosen = self._choices.get(quantity)
            if chosen is not None and chosen.assumed and chosen.column in flux["from"]:
                return dict.fromkeys(names, (quantity, chosen.column))
        if self.survey is not None and flux["from"] and not flux.get("transform"):
            column = self.facts.column(flux["from"][0])
            if column is not None and not column.unit.strip() and "flux_cgs" not in self._choices:
                return dict.fromkeys(names, ("flux_cgs", column.name))
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
            return sum(self.has(spec) for spec in definition.columns.values())

        best = max(_surveys(), key=known)
        if known(best) > _LEAST_OF_SURVEY:
            self.survey = best
            self.note(f"columns of {best.title}: taken as its definition '{best.name}' has them")

    # --- position and name ---

    def _position(self) -> dict[str, Any]:
        given = self.given_columns
        wanted = replace(self.wanted, ra=self.wanted.ra or given.get("ra"), dec=self.wanted.dec or given.get("dec"))
        error = None if self.survey is None else self.survey.position_error
        if error is not None:
            names = [c for spec in error.columns for c in spec.from_] + ([error.pa] if error.pa else [])
            if wanted.pos_err is not None or not names or any(self.facts.column(n) is None for n in names):
                error = None
        any_error = replace(wanted, pos_err=1.0)
        try:
            guessed = guess(self.facts, wanted if error is None else any_error)
        except InputError:
            if self.needs_error:
                raise
            guessed = guess(self.facts, any_error)  # the error is of no use, but a definition needs one
        told = [m for m in guessed.messages if not m.startswith(f"{self.facts.label}: magnitudes: ")]
        data = guessed.definition.as_dict()
        if error is not None or wanted.pos_err is None:
            told = [m for m in told if "positional error 1 arcsec for all rows" not in m]
        if error is not None:
            columns = [c for spec in error.columns for n in spec.from_ if (c := self.facts.column(n)) is not None]
            stated = next((c for c in columns if c.unit.strip()), None)
            quantity = Quantity("err_arcsec", "arcsec", "positional error")
            unit = error.unit if stated is None else self.checked_unit(quantity, stated)
            data["position_error"] = error.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
                "unit": unit
            }
            what = f"{words.WORDS.get(error.convention, error.convention)}, in {unit}"
            told.append(f"{self.facts.label}: positional error from {self.names(columns)}, {what}")
        self.messages += told
        return data

    def _name(self) -> None:
        by_name = self.by_name(self.facts.columns)
        main = [c for c in self.facts.columns if c.ucd.casefold() in ("meta.id;meta.main", "id_main")]
        column = main[0] if len(main) == 1 else next((by_name[n] for n in _NAMES if n in by_name), None)
        if column is not None:
            self.specs["name"] = {"from": [column.name]}

    # --- entries ---

    def _entry(self, name: str) -> None:
        """A column of the detection that has one column in the table."""
        if self.of_survey(name):
            self.note(f"{name} is {', '.join(self.specs[name]['from'])}")
            return
        chosen = self.find_possible(name)
        if chosen is not None:
            self.specs[name] = self.spec(chosen)
        elif name == "p_variable" and (constant := self.find("p_constant")) is not None:
            self.specs[name] = self.spec(constant) | {"transform": ["one_minus"]}
            self.note(f"{name} = 1 - {constant}")

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
            of_error = None if error is None else ColumnSpec.model_validate(self.spec(error))
            direct[name] = Direct(ColumnSpec.model_validate(self.spec(chosen, *steps)), of_error)
        return direct

    def _property(self, entry: dict[str, Any]) -> Chosen | None:
        """A column that the user gave for a property, or that has its name."""
        quantity = Quantity(entry["name"], entry["unit"], entry["about"])
        if quantity.name in self.given_columns:
            return self._of_user(quantity)
        column = self.facts.column(quantity.name)
        return None if column is None or words.is_words(column) else self._chosen(quantity, column, "name")


def _listed(spec: Any) -> Sequence[str]:
    """Columns of an entry of a definition that is data."""
    columns = spec["from"] if isinstance(spec, dict) else spec
    return [columns] if isinstance(columns, str) else columns

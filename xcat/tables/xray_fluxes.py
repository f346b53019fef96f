"""The fluxes and hardness ratios of a user's table, as entries of a definition.

The flux in the full band is that which the user named, a survey's, a column, or the sum of the bands where these touch.
Energies that neither a name, a description nor the user states are asked for, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import ColumnSpec
from xcat.columns.registry import BANDS
from xcat.columns.registry import columns as meanings
from xcat.ingest.opened import ColumnFacts
from xcat.tables import vocabulary as words
from xcat.tables.quantities import Chosen, Quantities, error_name, touch
from xcat.tables.vocabulary import POSSIBLE_FLUX, Quantity, as_unit, endings, plain, quantities, typical

# ends of intervals, by what follows the quantity's name, and half their width in sigmas: 68 %, of Swift and Chandra
_INTERVALS = (("_neg", "_pos", 1.0), ("_lolim", "_hilim", 1.0))


@dataclass
class Fluxes(Quantities):
    """A table whose fluxes are being found.

    Parameters
    ----------
    band : (float, float), optional
        Energies of the flux in the full band that the user gave, keV.
    survey : Definition, optional
        The survey whose columns the table has.
    specs : dict
        Entries of the definition, by standard column.
    energies : dict
        Of the fluxes among them, keV.
    """

    band: tuple[float, float] | None = None
    survey: Definition | None = None
    specs: dict[str, Any] = field(default_factory=dict)  # entries of the definition
    energies: dict[str, tuple[float, float]] = field(default_factory=dict)  # of fluxes, keV

    def find_fluxes(self) -> None:
        """The broad flux, those of the bands, and the hardness ratios."""
        self._broad()
        ratios = [self._hardness_column("hr1"), self._hardness_column("hr2")]
        if "flux_cgs" in self.specs and all(ratios):
            for name in words.BAND_FLUXES:  # of a survey, as its definition has them
                self.of_survey(name)
            if not set(words.BAND_FLUXES) <= self.specs.keys():
                self._drop_bands()
            elif self.survey is not None and self.survey.bands_kev is not None:
                self.energies |= {f"flux_{b}_cgs": getattr(self.survey.bands_kev, b) for b in BANDS}
                for name in words.BAND_FLUXES:
                    self.of_survey(error_name(name))
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
        if self.of_survey("flux_cgs") and self.survey is not None and self.survey.flux_band_kev is not None:
            self.of_survey("flux_err_cgs")
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
        self.specs[name], self.energies[name] = self.spec(chosen), energies
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
            and all(map(self.of_survey, words.BAND_FLUXES))
        ):
            self.energies |= {f"flux_{b}_cgs": getattr(self.survey.bands_kev, b) for b in BANDS}
            for name in words.BAND_FLUXES:
                self.of_survey(error_name(name))
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
        if self.of_survey(name):
            self.of_survey(error_name(name))
            return True
        chosen = self.find(name)
        if chosen is not None:
            self.specs[name] = self.spec(chosen)
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

    def has(self, spec: ColumnSpec) -> bool:
        """Whether the table has the columns of an entry."""
        return all(self.facts.column(c) is not None for c in spec.from_)

    def of_survey(self, name: str) -> bool:
        """Take an entry of the survey's definition, unless the user named another column."""
        spec = None if self.survey is None else self.survey.columns.get(name)
        asked = {name, "p_constant"} if name == "p_variable" else {name}
        if self.survey is None or spec is None or not self.has(spec) or asked & self.given_columns.keys():
            return False
        columns = [c for n in spec.from_ if (c := self.facts.column(n)) is not None]
        data: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        data["from"] = [c.name for c in columns]
        stated = {c.unit.strip() for c in columns if c.unit.strip()}
        if stated and "scale" not in {step.name for step in spec.transform}:
            if len(stated) > 1:
                raise self.error(f"columns {self.names(columns)} are in different units ({', '.join(sorted(stated))})")
            quantity = Quantity(name, meanings()[name].unit, meanings()[name].about)
            data["unit"] = self.checked_unit(quantity, columns[0])
        self.specs[name] = data
        return True

    def checked_unit(self, quantity: Quantity, column: ColumnFacts) -> str:
        """Unit of a column, as astropy writes it.

        Raises
        ------
        InputError
            It cannot be converted to that of the quantity.
        """
        converted = self._unit(quantity, column)
        if converted is None:
            raise self._wrong_unit(quantity, column, column.unit)
        unit = as_unit(converted[0])
        return quantity.unit if unit is None else str(unit.to_string())

    def spec(self, chosen: Chosen, *steps: str) -> dict[str, Any]:
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
            self.specs[sigma] = self.spec(error)
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
            spec = self.spec(chosen) | {"from": [ends[0].name, ends[1].name], "transform": [{"half_range": n_sigma}]}
            if low == "_neg" and any(words.is_number(v) and float(v) > 0 for v in ends[0].sample):
                spec["transform"] = ["sum", {"scale": 0.5}]  # sizes, not a lower and an upper end
            self.specs[sigma] = spec
            self.note(f"{sigma} from {ends[0].name}, {ends[1].name}, {n_sigma:g} sigma")
            return

    def _may_be(self, quantity: Quantity, column: ColumnFacts) -> bool:
        """As everywhere; and the flux of one of the three bands is not the full one."""
        if quantity.name == "flux_cgs" and any(
            quantities()[band].is_name(name)
            for band in words.BAND_FLUXES
            for name in (column.name, *endings(column.name))
        ):
            return False
        return super()._may_be(quantity, column)

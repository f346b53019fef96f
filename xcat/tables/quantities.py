"""Which column of a user's table is which measurement: a flux, a magnitude, a motion.

What the user named comes first, then xcat's own name of the measurement, then the UCD, then names that archives use,
whole or after the label of a table that was joined (``gaia_edr3_Gmag``), and for fluxes finally the unit. Two columns
that fit equally well are an error. The names and UCDs are in quantities.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import astropy.units as u
import numpy as np

from xcat.errors import ConfigError, InputError
from xcat.ingest.opened import ColumnFacts
from xcat.ingest.plausible import implausible
from xcat.tables.vocabulary import (
    POSSIBLE_FLUX,
    Columns,
    Quantity,
    as_unit,
    band_of,
    endings,
    is_words,
    plain,
    quantities,
    typical,
)

_NO_VALUE = re.compile(
    r"err|unc|sig|limit|upper|lower|lolim|hilim|(^|_)(e|lo|up|hi|min|max)\d?(_|$)|_(lo|up)\d?_", re.I
)
_UNIT_AT_END = re.compile(r"[_ (\[](kpc|pc|mas|arcsec|mag|deg)[)\]]?$", re.I)
_LOGARITHM = re.compile(r"(?:^|_)(?:log|lg)(?:10)?(?:_|f)", re.I)  # log_fx, logFlux: not the flux itself
_ENERGIES = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?) *kev", re.I)
_ERROR_NAMES = ("e{0}", "{0}err", "err{0}", "{0}error", "error{0}", "sig{0}", "sigma{0}", "{0}unc", "{0}sigma")


@dataclass(frozen=True)
class Chosen:
    """The column of a quantity.

    Parameters
    ----------
    factor : float
        From the column's unit to the quantity's.
    unit : str
        The column's unit, as shown.
    assumed : bool
        Neither the table nor the user states the unit.
    energies : (float, float) or None
        Of a flux, keV, if the user gave them.
    """

    quantity: Quantity
    column: str
    factor: float
    unit: str
    assumed: bool
    energies: tuple[float, float] | None = None

    def __str__(self) -> str:
        return self.column


@dataclass
class Quantities(Columns):
    """The quantities of a table, each guessed when it is first needed.

    Parameters
    ----------
    given_columns : mapping
        Columns that the user named, by quantity: ``COLUMN``, ``COLUMN@UNIT``, or an empty text for "none".
    lacking : list of str
        Grows with every quantity that is needed and that the table does not have.
    """

    given_columns: Mapping[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    _choices: dict[str, Chosen | None] = field(default_factory=dict)

    def find(self, name: str) -> Chosen | None:
        """Column of a quantity, or None if the table has none.

        Raises
        ------
        InputError
            Several columns fit equally well; a column is missing, holds text or has a unit that cannot be converted.
            The message names the option that decides.
        """
        if name not in self._choices:
            self._choices[name] = self._find(quantities()[name])
        if self._choices[name] is None:
            self.lacking.append(quantities()[name].words)
        return self._choices[name]

    def find_possible(self, name: str) -> Chosen | None:
        """As `find`, but a column without a unit is left, and that is told, if its values are not in the quantity's."""
        chosen = self.find(name)
        column = None if chosen is None or not chosen.assumed else self.facts.column(chosen.column)
        value = None if column is None else typical(column)
        why = None if value is None else implausible(name, np.array([value]))
        if chosen is None or why is None:
            return chosen
        self.note(f"{name} is not {chosen}, which has no unit: {why}. --column {name}={chosen}@UNIT says the unit")
        self._choices[name] = None
        return None

    def error_of(self, chosen: Chosen) -> Chosen | None:
        """Column of the 1 sigma error: given by the user, or by xcat's name of it, or by a name like the quantity's."""
        name = error_name(chosen.quantity.name)
        if name not in self._choices:
            quantity = Quantity(name, chosen.quantity.unit, f"error of {chosen.column}")
            if name in self.given_columns:
                self._choices[name] = self._of_user(quantity)
            else:
                spellings = [plain(name)]
                for ending in (chosen.column, *endings(chosen.column)):  # mine_e_Fb of mine_Fb
                    prefix = plain(chosen.column.removesuffix(ending))
                    spellings += [prefix + t.format(plain(ending)) for t in (*_ERROR_NAMES, plain(name))]
                columns = [
                    c
                    for s in dict.fromkeys(spellings)
                    for c in self.columns_of(chosen.quantity)
                    if plain(c.name) == s and c.name != chosen.column and not is_words(c)
                ]
                self._choices[name] = self._chosen(quantity, columns[0], "name") if columns else None
        return self._choices[name]

    def energies_of(self, chosen: Chosen, band: tuple[float, float] | None = None) -> tuple[float, float]:
        """Energies of a flux, keV.

        Parameters
        ----------
        band : (float, float), optional
            What the user gave with ``--band``.

        Raises
        ------
        InputError
            Nothing states them.
        """
        known = self.known_energies(chosen, band)
        if known is None:
            raise self.error(
                f"which energies has the flux of column '{chosen.column}'? Neither its name nor its description says "
                "it. Give --band LOW-HIGH in keV, or go without it, --column flux_cgs="
            )
        return known

    def known_energies(self, chosen: Chosen, band: tuple[float, float] | None = None) -> tuple[float, float] | None:
        """Energies of a flux, keV: given, or stated by its description or name; None if nothing states them."""
        known, source, column = chosen.energies or band, "given", self.facts.column(chosen.column)
        if known is None and column is not None:
            of_column = band_of(column, chosen.quantity)
            if of_column is None:
                return None
            change = "; change it with --band" if chosen.quantity.name == "flux_cgs" else ""
            known, source = of_column[:2], of_column[2] + change
        if known is not None:
            self.note(f"{chosen.column} is the flux in {known[0]:g}-{known[1]:g} keV ({source})")
        return known

    def _find(self, quantity: Quantity) -> Chosen | None:
        if quantity.name in self.given_columns:
            return self._of_user(quantity)
        columns_of = self.columns_of(quantity)
        usable = [c for c in columns_of if not is_words(c)]
        for column in columns_of:
            if column not in usable and (quantity.is_name(column.name) or plain(column.name) == plain(quantity.name)):
                self.note(f"{column.name} holds text, so it is not the {quantity.words}")
        for columns, why in self._tiers(quantity, usable):
            fitting = [c for c in columns if self._unit(quantity, c) is not None]
            if columns and not fitting:
                raise self._wrong_unit(quantity, columns[0], columns[0].unit)
            for column in columns:
                if column not in fitting:
                    self.note(f"{column.name} is not the {quantity.words}: '{column.unit}' is not one of its units")
            if fitting:
                return self._chosen(quantity, self.one_of(quantity, fitting), why)
        return None

    def columns_of(self, quantity: Quantity) -> Sequence[ColumnFacts]:
        """Columns among which a quantity is looked for."""
        return self.facts.columns

    def one_of(self, quantity: Quantity, fitting: list[ColumnFacts]) -> ColumnFacts:
        """The one of columns that fit equally well.

        Raises
        ------
        InputError
            There are several.
        """
        if len(fitting) > 1:
            option = f"--column {quantity.name}=COLUMN (or '{quantity.name}=' to go without)"
            raise self.ambiguous(quantity.words, [c.name for c in fitting], option)
        return fitting[0]

    def _tiers(self, quantity: Quantity, usable: list[ColumnFacts]) -> Iterator[tuple[list[ColumnFacts], str]]:
        """Columns that fit, the best reason first."""
        own = [c for c in usable if plain(c.name) == plain(quantity.name)]
        yield own[:1] if len(own) == 1 else [c for c in own if c.name == quantity.name] or own, "name"
        fits = [c for c in usable if self._may_be(quantity, c)]
        named = [c for c in fits if quantity.is_name(c.name)]
        by_ucd = [c for c in fits if quantity.ucd and re.fullmatch(quantity.ucd, c.ucd.strip().casefold())]
        both = [c for c in by_ucd if c in named]
        yield both or by_ucd, "UCD and name" if both else "UCD"
        yield named, "name"
        ends = (
            c for c in fits if any(quantity.is_name(e) or plain(e) == plain(quantity.name) for e in endings(c.name))
        )
        yield list(ends), "end of the name"
        if quantity.by_unit:
            alike = [c for c in fits if re.search(quantity.by_unit, c.name, re.I)]
            units = [(c, as_unit(c.unit)) for c in alike]
            yield [c for c, unit in units if unit and unit.is_equivalent(u.Unit(quantity.unit))], "unit and name"
            sizes = [(c, typical(c)) for c in alike if not c.unit.strip()]
            low, high = POSSIBLE_FLUX
            yield [c for c, size in sizes if size and low < size < high], "name and values"

    def _may_be(self, quantity: Quantity, column: ColumnFacts) -> bool:
        """Whether neither UCD nor name forbids that the column is the quantity."""
        ucd = column.ucd.strip().casefold()
        if quantity.name.startswith("flux") and _LOGARITHM.search(column.name):
            return False
        if re.search(r"stat\.(error|min|max|stdev)", ucd) or (quantity.not_ucd and re.search(quantity.not_ucd, ucd)):
            return False
        return quantity.is_name(column.name) or not _NO_VALUE.search(column.name)

    # --- a choice and its unit ---

    def _of_user(self, quantity: Quantity) -> Chosen | None:
        text, option = self.given_columns[quantity.name], f"--column {quantity.name}=COLUMN"
        if not text.strip():
            self.note(f"{quantity.name}: none (given)")
            return None
        name, unit, energies = text, None, None
        if self.facts.column(text) is None and "@" in text:
            name, *qualifiers = text.split("@")
            for word in qualifiers:
                of_band = _ENERGIES.fullmatch(word.strip())
                if of_band is None:
                    unit = word
                elif (energies := (float(of_band[1]), float(of_band[2])))[0] >= energies[1] or not energies[0]:
                    raise ConfigError(f"--column {quantity.name}={text}: '{word}' is not a range of energies")
        column = self.given(name, option)
        if is_words(column):
            raise self.error(f"column '{column.name}' ({option}) holds text, not numbers")
        chosen = self._chosen(quantity, column, "given", unit)
        return chosen if energies is None else replace(chosen, energies=energies)

    def _chosen(self, quantity: Quantity, column: ColumnFacts, why: str, stated: str | None = None) -> Chosen:
        converted = self._unit(quantity, column, stated)
        if converted is None:
            raise self._wrong_unit(quantity, column, stated or column.unit)
        unit, factor, how = converted
        text = {"assumed": f"no unit, taken as {unit}", "name": f"in {unit}, as its name says"}.get(how, f"in {unit}")
        if column.name.casefold() != quantity.name or unit:  # "hr1 is hr1" would say nothing
            self.note(f"{quantity.name} is {column.name} ({f'{why}, {text}' if unit else why})")
        return Chosen(quantity, column.name, factor, unit, how == "assumed")

    def _unit(
        self, quantity: Quantity, column: ColumnFacts, stated: str | None = None
    ) -> tuple[str, float, str] | None:
        """Unit of a column, its factor, and the source of the unit; None if it cannot be converted."""
        text = (stated if stated is not None else column.unit).strip()
        wanted = u.Unit(quantity.unit)
        how = "table"
        if not text:
            ending = _UNIT_AT_END.search(column.name)
            unit = as_unit(ending[1]) if ending else None
            if ending is None or unit is None or not unit.is_equivalent(wanted) or unit == wanted:
                return quantity.unit, 1.0, "assumed"
            text, how = ending[1], "name"
        unit = as_unit(text)
        if quantity.unit == "mag" and text.casefold().startswith("mag") and "/" not in text:
            return text, 1.0, how  # mag(Vega), mag(AB), magnitude
        if quantity.unit == "" and text in ("-", "---"):
            return "", 1.0, how
        if unit is None or not unit.is_equivalent(wanted):
            return None
        return text, float(unit.to(wanted)), how

    def _wrong_unit(self, quantity: Quantity, column: ColumnFacts, unit: str) -> InputError:
        return self.error(
            f"column '{column.name}' would be the {quantity.words}, but '{unit}' cannot be converted to "
            f"{quantity.unit or 'a plain number'}. Name another column, --column {quantity.name}=COLUMN, or its true "
            f"unit, --column {quantity.name}=COLUMN@UNIT, or go without, --column {quantity.name}="
        )


def touch(ranges: Sequence[tuple[float, float]]) -> bool:
    """Whether each of the energy ranges ends where the next begins."""
    return all(abs(a[1] - b[0]) < 1e-6 for a, b in pairwise(ranges))


def error_name(name: str) -> str:
    """What xcat calls the 1 sigma error of a quantity: ``flux_err_cgs`` of ``flux_cgs``, ``hr1_err`` of ``hr1``."""
    stem, unit = re.fullmatch(r"(.*?)((?:_cgs|_mas|_mas_yr|_pc)?)", name).groups()  # type: ignore[union-attr]
    return f"{stem}_err{unit}"


def check_given(given: Mapping[str, str], names: list[str]) -> None:
    """Refuse a ``--column`` whose name has no meaning.

    Raises
    ------
    ConfigError
        A name is not that of a property, a quantity or an error of one.
    """
    allowed = list(dict.fromkeys([*names, *quantities(), "ra", "dec"]))
    for name in given:
        if name not in allowed and name not in map(error_name, allowed):
            raise ConfigError(
                f"--column {name}=...: there is no property or quantity of this name; there is: {', '.join(allowed)}"
            )

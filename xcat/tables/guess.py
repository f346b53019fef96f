"""Which column of somebody's table is what: by UCD first, then by name; units by what the file says.

A guess is never silent: every choice is a line that says what was taken and why. Where several columns fit equally
well, or none does, the error lists them and names the option that decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import ColumnSpec
from xcat.errors import InputError
from xcat.tables.columns_given import Columns
from xcat.tables.facts import ColumnFacts, TableFacts
from xcat.tables.vocabulary import (
    BARE_ERRORS,
    ELLIPSES,
    EPOCHS,
    FRACTION,
    FRACTIONS,
    GAIA_ERRORS,
    IDS,
    MOTIONS,
    NOT_A_PLACE,
    NULLS,
    PAIR_ERRORS,
    PAIRS,
    POSITION_ERRORS,
    RA_NAMES,
    SEXAGESIMAL_UNITS,
    WORDS,
    YEAR_OF_MJD,
    as_unit,
    convention_of,
    folded,
    is_angle,
    is_magnitude,
    is_number,
    is_position_error,
    plain,
)


@dataclass(frozen=True)
class Wanted:
    """What the user said himself; the rest is guessed.

    Parameters
    ----------
    ra, dec : str, optional
        Columns.
    pos_err : str or float, optional
        A column, ``RA_ERR,DEC_ERR``, ``MAJOR,MINOR,PA``, or a number in arcsec for all rows. After a column,
        ``@95`` says that it is a radius of 95 % (68, 90), ``@mas`` its unit.
    epoch_yr : float, optional
        Of all positions, where no column says it.
    option : str
        How one gives the error, for messages.
    """

    ra: str | None = None
    dec: str | None = None
    pos_err: str | float | None = None
    epoch_yr: float | None = None
    option: str = "--pos-err"


@dataclass
class Guess:
    """The meaning of the columns of a table.

    Attributes
    ----------
    definition : Definition
        As for a catalogue that ships with xcat, so that the same code converts the rows.
    lines : list of str
        What was taken for what, and why.
    id_column : str or None
        Name of each object, only shown.
    magnitudes : list of str
        Columns that hold magnitudes.
    moves : bool
        Proper motions and their epoch are known.
    """

    definition: Definition
    lines: list[str] = field(default_factory=list)
    id_column: str | None = None
    magnitudes: list[str] = field(default_factory=list)
    moves: bool = False


@dataclass(frozen=True)
class Position:
    """Where the rows of a table are: how its columns become ``ra`` and ``dec``, and the lines that say so."""

    ra: ColumnSpec
    dec: ColumnSpec
    lines: list[str]


def guess(facts: TableFacts, wanted: Wanted | None = None, *, xray: bool = True) -> Guess:
    """Find position, positional error, epoch, motion, identifier and magnitudes of a table.

    Parameters
    ----------
    facts : TableFacts
    wanted : Wanted, optional
    xray : bool
        The side of the X-ray sources; only the other side has proper motions.

    Returns
    -------
    Guess

    Raises
    ------
    InputError
        A column is missing or ambiguous; the message lists the candidates and the option that decides.
    """
    return _Guessing(facts, wanted=wanted or Wanted(), xray=xray).guess()


def guess_position(facts: TableFacts, ra: str | None = None, dec: str | None = None) -> Position | None:
    """Find the position alone.

    Parameters
    ----------
    facts : TableFacts
    ra, dec : str, optional
        Columns that the user named.

    Returns
    -------
    Position or None
        None if no column looks like one.

    Raises
    ------
    InputError
        Several columns fit equally well, a named one is not there, or its unit is no angle.
    """
    asking = _Guessing(facts, wanted=Wanted(ra, dec))
    found = asking.find_position()
    if found is None:
        return None
    specs = {name: ColumnSpec.model_validate(spec) for name, spec in asking.place(*found).items()}
    return Position(specs["ra"], specs["dec"], asking.lines)


@dataclass
class _Guessing(Columns):
    wanted: Wanted = field(default_factory=Wanted)
    xray: bool = True

    def guess(self) -> Guess:
        ra, dec = self._position()
        columns: dict[str, Any] = self.place(ra, dec)
        error = self._error({ra.name, dec.name})
        epoch = self._epoch()
        columns |= epoch
        motion = {} if self.xray else self._motion(bool(epoch))
        columns |= motion
        data = {
            "name": "own",
            "title": self.facts.label,
            "citation": str(self.facts.path),
            "kind": "xray_sources" if self.xray else "optical",
            "nulls": list(NULLS),
            "position_error": error,
            "columns": columns,
            **({} if self.wanted.epoch_yr is None else {"epoch_yr": self.wanted.epoch_yr}),
            **({} if self.xray else {"sky": {"area_deg2": 1.0}}),
        }
        ids = self.first_named(IDS)
        magnitudes = [c.name for c in self.facts.columns if is_magnitude(c)]
        if magnitudes:
            self.say(f"magnitudes: {', '.join(magnitudes[:8])}{' ...' if len(magnitudes) > 8 else ''}")
        for reason in self.facts.left_out:
            self.say(f"left out: {reason}")
        return Guess(Definition.from_dict(data), self.lines, ids.name if ids else None, magnitudes, bool(motion))

    # --- position ---

    def place(self, ra: ColumnFacts, dec: ColumnFacts) -> dict[str, Any]:
        """How two columns become a position, as a definition says it."""
        return {"ra": self._angle("ra", ra, "hms"), "dec": self._angle("dec", dec, "dms")}

    def _position(self) -> tuple[ColumnFacts, ColumnFacts]:
        found = self.find_position()
        if found is None:
            raise InputError(
                f"{self.facts.path}: no column looks like a position. Say which: --ra COLUMN --dec COLUMN; "
                f"it has: {self.names()}"
            )
        return found

    def find_position(self) -> tuple[ColumnFacts, ColumnFacts] | None:
        """Columns of right ascension and declination; None if none look like that."""
        ra, dec = self.wanted.ra, self.wanted.dec
        if ra is not None and dec is not None:
            return self.given(ra, "--ra"), self.given(dec, "--dec")
        if ra is not None or dec is not None:
            given = self.given(str(ra or dec), "--ra" if ra else "--dec")
            pairs = [p for p in self._named_pairs(lambda name: True) if given in p]
            if len(pairs) != 1:
                raise InputError(
                    f"{self.facts.path}: which column goes with '{given.name}'? Give {'--dec' if ra else '--ra'} as "
                    f"well; it has: {self.names()}"
                )
            self.say(f"position from {pairs[0][0].name}, {pairs[0][1].name} (the one given and its pair by name)")
            return pairs[0]
        for pairs, why in self._position_tiers():
            if not pairs:
                continue
            numeric = [p for p in pairs if not (p[0].is_text or p[1].is_text)]
            best = numeric or pairs  # text in hours and numbers in degrees are the same place twice
            if len(best) > 1:
                raise self.ambiguous("position", [f"{a.name}, {b.name}" for a, b in best], "--ra COLUMN --dec COLUMN")
            self.say(f"position from {best[0][0].name}, {best[0][1].name} ({why})")
            return best[0]
        return None

    def _position_tiers(self) -> list[tuple[list[tuple[ColumnFacts, ColumnFacts]], str]]:
        tiers = []
        for ra_ucd, dec_ucd, why in (
            ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main", "UCD, main position"),
            ("pos_eq_ra_main", "pos_eq_dec_main", "UCD, main position"),
            ("pos.eq.ra", "pos.eq.dec", "UCD"),
        ):
            right = [c for c in self.facts.columns if c.ucd.casefold() == ra_ucd and not NOT_A_PLACE.search(c.name)]
            down = [c for c in self.facts.columns if c.ucd.casefold() == dec_ucd and not NOT_A_PLACE.search(c.name)]
            if len(right) == len(down) == 1:
                tiers.append(([(right[0], down[0])], why))
            elif right or down:
                both = self._named_pairs(lambda name: True)
                tiers.append(([p for p in both if p[0] in right and p[1] in down], why))
        # J2000 and ICRS are one place here; of several usual names, the most usual
        named = self._named_pairs(lambda name: plain(name) in RA_NAMES)
        if named:
            ranks = [(p[0].is_text or p[1].is_text, RA_NAMES.index(plain(p[0].name))) for p in named]
            usual = [p for p, rank in zip(named, ranks, strict=True) if rank == min(ranks)]
            others = [f"{a.name}, {b.name}" for a, b in named if (a, b) not in usual]
            tiers.append((usual, "name" + (f"; there are also {'; '.join(others)}" if others else "")))
        tiers.append((self._named_pairs(lambda name: not NOT_A_PLACE.search(name)), "name"))
        return tiers

    def _named_pairs(self, fits: Callable[[str], object]) -> list[tuple[ColumnFacts, ColumnFacts]]:
        """Columns whose names differ by RA against Dec only."""
        by_name = {folded(c.name): c for c in self.facts.columns}
        found = []
        for column in self.facts.columns:
            name = folded(column.name)
            if not fits(column.name):
                continue
            for mine, theirs in PAIRS:
                # "ra" only as a word: "OPT_RA", "ra_deg", "RAJ2000", "RAdeg", but not "ratio"
                word = rf"(?<![a-z]){mine}(?=$|[^a-z]|j2000|deg|icrs|_)|(?<=[a-z]){mine}$"
                other = re.sub(word, theirs, name, count=1)
                if other != name and other in by_name and is_angle(column) and is_angle(by_name[other]):
                    found.append((column, by_name[other]))
                    break
        return found

    def _angle(self, what: str, column: ColumnFacts, sexagesimal: str) -> Any:
        unit = column.unit.strip()
        option = f"--{what}"
        if column.is_text or unit.casefold() in SEXAGESIMAL_UNITS:
            self.say(
                f"{column.name} is text, read as {'hours' if sexagesimal == 'hms' else 'degrees'}, minutes, seconds"
            )
            return {"from": column.name, "transform": sexagesimal}
        if not unit:
            self.say(f"{column.name} has no unit, taken as deg")
            return {"from": column.name, "unit": "deg"}
        known = as_unit(unit)
        if known is None or not known.is_equivalent(u.deg):
            raise InputError(f"{self.facts.path}: column '{column.name}' ({option}) is in '{unit}', which is no angle")
        return {"from": column.name, "unit": known.to_string()}

    # --- positional error ---

    def _error(self, used: set[str]) -> dict[str, Any]:
        given = self.wanted.pos_err
        if isinstance(given, int | float):
            return self._constant(float(given))
        if given is not None:
            return self._given_error(given)
        angles = [c for c in self.facts.columns if c.name not in used and not c.is_text and is_angle(c)]
        for candidates, why in self._error_tiers(angles):
            if len(candidates) > 1:
                found = ["/".join(c.name for c in columns) for columns, _ in candidates]
                raise self.ambiguous("positional error", found, f"{self.wanted.option} COLUMN, or a number in arcsec")
            if candidates:
                return self._described(*candidates[0], why)
        likely = [c for c in angles if re.search(r"err|unc|sig|^e_|pu$|rad", c.name, re.I)]
        hint = f"perhaps: {self.names(likely)}" if likely else f"it has: {self.names()}"
        raise InputError(
            f"{self.facts.path}: no column looks like a positional error ({hint}). "
            f"Say which, or give a number in arcsec: {self.wanted.option}"
        )

    def _given_error(self, given: str) -> dict[str, Any]:
        if self.facts.column(given) is None and is_number(given):
            return self._constant(float(given))
        text, *said = [given] if self.facts.column(given) else given.split("@")
        names = [n.strip() for n in text.split(",")]
        if len(names) > 3:
            raise InputError(
                f"{self.wanted.option} takes a column, two (RA, Dec) or three (major, minor, angle), not {given!r}"
            )
        columns = [self.given(n, self.wanted.option) for n in names]
        convention = convention_of(columns[0].name) if len(columns) == 1 else "axis_1sigma"
        if len(columns) == 3:
            convention = next((c for n, c in ELLIPSES if n[0] == plain(columns[0].name)), "ellipse_1sigma")
        unit = None
        for word in said:
            known = as_unit(word)
            if word in FRACTIONS and len(columns) == 1:
                convention = FRACTIONS[word]
            elif known is not None and known.is_equivalent(u.arcsec):
                unit = known.to_string()
            else:
                raise InputError(
                    f"{self.wanted.option} {given}: after @ comes 68, 90 or 95 (percent), or a unit, not '{word}'"
                )
        return self._described(columns, convention, "given", unit)

    def _error_tiers(self, angles: list[ColumnFacts]) -> list[tuple[list[tuple[list[ColumnFacts], str]], str]]:
        by_name = {plain(c.name): c for c in reversed(angles)}
        # the position angle of an ellipse may have any unit of an angle, or none
        ellipses = [([by_name[n] for n in names], c) for names, c in ELLIPSES if all(n in by_name for n in names)]
        by_ucd = [([c], convention_of(c.name)) for c in angles if is_position_error(c.ucd)]
        usual = [([c], "axis_1sigma") for c in angles if plain(c.name) in POSITION_ERRORS]
        bare = [([c], "axis_1sigma") for c in angles if plain(c.name) in BARE_ERRORS]
        fractions = [([c], convention_of(c.name)) for c in angles if FRACTION.match(c.name.casefold())]
        pairs = [
            ([by_name[n] for n in names], "axis_1sigma") for names in PAIR_ERRORS if all(n in by_name for n in names)
        ]
        ending = [
            ([c], "axis_1sigma")
            for c in angles
            if re.search(r"(?:pos_?err(?:or)?|radec_?err(?:_corr)?)$", c.name, re.I)
        ]
        return [
            (ellipses[:1], "name"), (by_ucd, "UCD"), (usual, "name"), (fractions, "name"), (pairs[:1], "name"),
            (ending, "name"), (bare, "name"),
        ]  # fmt: skip

    def _constant(self, arcsec: float) -> dict[str, Any]:
        if not 0 < arcsec < 3600:
            raise InputError(f"{self.wanted.option}: a positional error of {arcsec:g} arcsec is none")
        self.say(f"positional error {arcsec:g} arcsec for all rows (given)")
        return {"convention": "axis_1sigma", "constant": arcsec}

    def _described(
        self, columns: list[ColumnFacts], convention: str, why: str, unit: str | None = None
    ) -> dict[str, Any]:
        axes = columns[:2]
        units = {unit or self._error_unit(c) for c in axes}
        if len(units) > 1:
            both, found = " and ".join(f"'{c.name}'" for c in axes), ", ".join(sorted(units))
            raise InputError(f"{self.facts.path}: columns {both} are in different units ({found})")
        unit = units.pop()
        names = ", ".join(c.name for c in columns)
        self.say(f"positional error from {names} ({why}), {WORDS[convention]}, in {unit}")
        data: dict[str, Any] = {"convention": convention, "columns": [c.name for c in axes], "unit": unit}
        if len(columns) == 3:
            data["pa"] = columns[2].name
            known = as_unit(columns[2].unit)
            if known is not None and known != u.deg:
                raise InputError(
                    f"{self.facts.path}: column '{columns[2].name}' is a position angle, but not in degrees"
                )
        return data

    def _error_unit(self, column: ColumnFacts) -> str:
        unit = column.unit.strip()
        if unit:
            known = as_unit(unit)
            if known is None or not known.is_equivalent(u.arcsec):
                raise InputError(
                    f"{self.facts.path}: column '{column.name}' ({self.wanted.option}) is in '{unit}', "
                    "which is no angle"
                )
            return known.to_string()
        said = re.search(r"(?:^|_)(deg|mas|arcsec|arcmin)$", column.name.casefold())
        if said:
            self.say(f"{column.name} has no unit, its name says {said[1]}")
            return said[1]
        if plain(column.name) in GAIA_ERRORS:
            self.say(f"{column.name} has no unit; columns of this name are Gaia's, in mas")
            return "mas"
        self.say(f"{column.name} has no unit, taken as arcsec")
        numbers = [float(v) for v in column.sample if is_number(v)]
        if numbers and 0 < max(numbers) < 0.002:
            self.say(
                f"WARNING: {column.name} is below {max(numbers):.2g} in the first rows: is it in degrees? "
                f"Then say so: {self.wanted.option} {column.name}@deg"
            )
        return "arcsec"

    # --- the rest ---

    def _epoch(self) -> dict[str, Any]:
        column = self.first_named(EPOCHS)
        if column is None or column.is_text:
            return {}
        unit = as_unit(column.unit)
        years = [float(v) for v in column.sample if is_number(v)]
        if unit == u.d or (unit is None and "mjd" in plain(column.name)):
            scale, shift = YEAR_OF_MJD
            self.say(f"epoch from {column.name} (name), a modified Julian date")
            return {"epoch_yr": {"from": column.name, "transform": [{"scale": scale}, {"shift": shift}]}}
        if years and all(1850 < y < 2150 for y in years):
            self.say(f"epoch from {column.name} (name), in years")
            return {"epoch_yr": column.name}
        self.say(f"{column.name} is no epoch in years: not used")
        return {}

    def _motion(self, epoch: bool) -> dict[str, Any]:
        by_name = {plain(c.name): c for c in reversed(self.facts.columns) if not c.is_text}
        both = next(([by_name[n] for n in pair] for pair in MOTIONS if all(n in by_name for n in pair)), None)
        if both is None:
            return {}
        names = ", ".join(c.name for c in both)
        if not epoch:
            self.say(f"proper motions {names} are not used: the table has no epoch")
            return {}
        units = [as_unit(c.unit) or u.mas / u.yr for c in both]
        if not all(unit.is_equivalent(u.mas / u.yr) for unit in units):
            self.say(f"proper motions {names} are not used: they are not in mas/yr")
            return {}
        self.say(f"proper motions from {names} (name), the first times cos(dec)")
        return {
            name: {"from": c.name, "unit": unit.to_string()}
            for name, c, unit in zip(("pmra_mas_yr", "pmdec_mas_yr"), both, units, strict=True)
        }

"""Which column of a user's table is what: by UCD first, then by name; units as the table states them.

Every guess adds a message that says what was taken and why. Where several columns fit equally well, or none does, the
error lists them and names the option that decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeAlias

import astropy.units as u

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import ColumnSpec
from xcat.columns.units import is_none
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.opened import ColumnFacts
from xcat.tables import vocabulary as words
from xcat.tables.facts import TableFacts
from xcat.tables.vocabulary import POSITIONS, Columns, as_unit, convention_of, folded, is_angle, is_number, plain

_Pair: TypeAlias = tuple[ColumnFacts, ColumnFacts]


# a position in columns of its parts, as CDS and the journals name them
_PARTS = ("rah", "ram", "ras", "de-", "ded", "dem", "des")


@dataclass(frozen=True)
class Wanted:
    """What the user stated; the rest is guessed.

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
        The option that gives the error, for messages.
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
    messages : list of str
        What was taken for what, and why.
    magnitudes : list of str
        Columns that hold magnitudes.
    moves : bool
        Proper motions and their epoch are known.
    """

    definition: Definition
    messages: list[str] = field(default_factory=list)
    magnitudes: list[str] = field(default_factory=list)
    moves: bool = False


def guess(facts: TableFacts, wanted: Wanted | None = None, *, xray: bool = True) -> Guess:
    """Find position, positional error, epoch, motion and magnitudes of a table.

    Parameters
    ----------
    xray : bool
        The table has the X-ray sources; only counterparts have proper motions.

    Raises
    ------
    InputError
        A column is missing or ambiguous; the message lists the candidates and the option that decides.
    """
    return _Guessing(facts, wanted=wanted or Wanted(), xray=xray).guess()


def guess_position(
    facts: TableFacts, messages: list[str], ra: str | None = None, dec: str | None = None
) -> tuple[ColumnSpec, ColumnSpec] | None:
    """Find the position alone, with the columns that the user named; None if no column looks like one.

    `messages` gets what was taken for what.

    Raises
    ------
    InputError
        Several columns fit equally well, a named one does not exist, or its unit is not one of an angle.
    """
    guessing = _Guessing(facts, messages, Wanted(ra, dec))
    found = guessing.position()
    return (
        None
        if found is None
        else (ColumnSpec.model_validate(found[0]["ra"]), ColumnSpec.model_validate(found[0]["dec"]))
    )


def _is_mixed(name: str) -> bool:
    return not (name.islower() or name.isupper())


@dataclass
class _Guessing(Columns):
    wanted: Wanted = field(default_factory=Wanted)
    xray: bool = True

    def guess(self) -> Guess:
        position = self.position()
        if position is None:
            galactic = ", ".join(c.name for c in self.facts.columns if plain(c.name) in ("glon", "glat"))
            raise self.error(
                f"no column looks like a position. Say which: --ra COLUMN --dec COLUMN; it has: {self.names()}"
                + (f". Galactic coordinates ({galactic}) are not taken: add equatorial ones" if galactic else "")
                + "".join(f". {message}" for message in self.facts.messages)
            )
        self.messages += self.facts.messages
        columns, used = position
        error = self._error(used)
        epoch = self._epoch()
        motion = {} if self.xray else self._motion(bool(epoch))
        data = {
            "name": "own",
            "title": self.facts.label,
            "citation": self.facts.name,
            "kind": "xray_sources" if self.xray else "optical",
            "nulls": list(words.NULLS),
            "position_error": error,
            "columns": columns | epoch | motion,
            **({} if self.wanted.epoch_yr is None else {"epoch_yr": self.wanted.epoch_yr}),
            **({} if self.xray else {"sky": {"area_deg2": 1.0}}),
        }
        magnitudes = [c.name for c in self.facts.columns if words.is_magnitude(c)]
        if magnitudes:
            self.note(f"magnitudes: {', '.join(magnitudes[:8])}{' ...' if len(magnitudes) > 8 else ''}")
        for reason in self.facts.left_out:
            self.note(f"left out: {reason}")
        return Guess(Definition.from_dict(data), self.messages, magnitudes, bool(motion))

    # --- position ---

    def position(self) -> tuple[dict[str, Any], set[str]] | None:
        """How columns become a position, in the form of a definition, and their names; None if none look like one."""
        by_name = {c.name.strip().casefold(): c.name for c in reversed(self.facts.columns)}
        parts = [by_name.get(name) for name in _PARTS]
        given = {plain(name) for name in (self.wanted.ra, self.wanted.dec) if name is not None}
        # hours alone, or degrees alone, are never meant where minutes and seconds stand beside them
        has_parts = None not in parts and given <= {"rah", "ded", "de"}
        pair = None if has_parts and given else self.find_position()
        if pair is not None:
            return self.place(*pair), {c.name for c in pair}
        if not has_parts:
            return None
        names = [str(name) for name in parts]
        self.note(
            f"position from {', '.join(names)} (name), hours, degrees, minutes and seconds in columns of their own"
        )
        specs = {
            "ra": {"from": names[:3], "transform": "hms"},
            "dec": {"from": names[3:], "transform": "dms"},
        }
        return specs, set(names)

    def place(self, ra: ColumnFacts, dec: ColumnFacts) -> dict[str, Any]:
        """How two columns become a position, in the form of a definition."""
        self.messages += frames.check(self.facts.name, self.facts.columns, [ra.name], [dec.name])
        return {"ra": self._angle("ra", ra, "hms"), "dec": self._angle("dec", dec, "dms")}

    def find_position(self) -> _Pair | None:
        """Columns of right ascension and declination; None if no column looks like that."""
        ra, dec = self.wanted.ra, self.wanted.dec
        if ra is not None and dec is not None:
            return self.given(ra, "--ra"), self.given(dec, "--dec")
        if ra is not None or dec is not None:
            given = self.given(str(ra or dec), "--ra" if ra else "--dec")
            pairs = [p for p in self._named_pairs(lambda name: True) if given in p]
            if len(pairs) != 1:
                raise self.error(
                    f"which column goes with '{given.name}'? Also give {'--dec' if ra else '--ra'}; "
                    f"it has: {self.names()}"
                )
            self.note(f"position from {pairs[0][0].name}, {pairs[0][1].name} (the one given and its pair by name)")
            return pairs[0]
        for pairs, why in self._position_tiers():
            numeric = [p for p in pairs if not (p[0].is_text or p[1].is_text)]
            best = numeric or pairs  # text in hours and numbers in degrees are the same position twice
            # of ra, dec and Ra, the first two belong together
            best = [p for p in best if _is_mixed(p[0].name) == _is_mixed(p[1].name)] or best
            if len(best) > 1:
                raise self.ambiguous("position", [f"{a.name}, {b.name}" for a, b in best], "--ra COLUMN --dec COLUMN")
            if best:
                self.note(f"position from {best[0][0].name}, {best[0][1].name} ({why})")
                return best[0]
        return None

    def _position_tiers(self) -> list[tuple[list[_Pair], str]]:
        """Pairs that may be the position, with the reason, the best reason first."""
        tiers = []
        for ra_ucd, dec_ucd, why in (
            ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main", "UCD, main position"),
            ("pos_eq_ra_main", "pos_eq_dec_main", "UCD, main position"),
            ("pos.eq.ra", "pos.eq.dec", "UCD"),
        ):
            places = [c for c in self.facts.columns if not words.NOT_A_PLACE.search(c.name)]
            ra, dec = ([c for c in places if c.ucd.casefold() == ucd] for ucd in (ra_ucd, dec_ucd))
            if len(ra) == len(dec) == 1:
                tiers.append(([(ra[0], dec[0])], why))
            elif ra or dec:
                pairs = self._named_pairs(lambda name: True)
                tiers.append(([p for p in pairs if p[0] in ra and p[1] in dec], why))
        # J2000 and ICRS count as the same; of several usual names, the most usual
        named = self._named_pairs(lambda name: plain(name) in POSITIONS["ra"])
        if named:
            ranks = [(p[0].is_text or p[1].is_text, POSITIONS["ra"].index(plain(p[0].name))) for p in named]
            usual = [p for p, rank in zip(named, ranks, strict=True) if rank == min(ranks)]
            others = [f"{a.name}, {b.name}" for a, b in named if (a, b) not in usual]
            tiers.append((usual, "name" + (f"; there are also {'; '.join(others)}" if others else "")))
        tiers.append((self._named_pairs(lambda name: not words.NOT_A_PLACE.search(name)), "name"))
        return tiers

    def _named_pairs(self, fits: Callable[[str], object]) -> list[_Pair]:
        """Columns whose names differ only by RA against Dec."""
        by_name = {folded(c.name): c for c in self.facts.columns}
        pairs = []
        for column in self.facts.columns:
            if not fits(column.name):
                continue
            name = folded(column.name)
            for ra, dec in POSITIONS["pairs"]:
                # "ra" only as a word: "OPT_RA", "ra_deg", "RAJ2000", "RAdeg", but not "ratio"
                word = rf"(?<![a-z]){ra}(?=$|[^a-z]|j2000|deg|icrs|_)|(?<=[a-z]){ra}$"
                other = by_name.get(re.sub(word, dec, name, count=1))
                if other not in (None, by_name[name]) and is_angle(column) and is_angle(other):
                    pairs.append((column, other))
                    break
        return pairs

    def _angle(self, what: str, column: ColumnFacts, sexagesimal: str) -> Any:
        unit = column.unit.strip()
        if column.is_text or unit.casefold() in POSITIONS["sexagesimal_units"]:
            first = "hours" if sexagesimal == "hms" else "degrees"
            self.note(f"{column.name} is text, read as {first}, minutes, seconds")
            return {"from": column.name, "transform": sexagesimal}
        if not unit:
            self.note(f"{column.name} has no unit, taken as deg")
            numbers = [float(v) for v in column.sample if is_number(v)]
            if what == "ra" and numbers and max(numbers) < 24:
                self.note(
                    f"WARNING: {column.name} is below 24 in the first rows (up to {max(numbers):.4g}): is it in hours? "
                    "Then say so in the file, by the unit h"
                )
            return {"from": column.name, "unit": "deg"}
        return {"from": column.name, "unit": self._angular(column, f"--{what}")}

    def _angular(self, column: ColumnFacts, option: str) -> str:
        """Unit of a column of angles, as astropy writes it."""
        unit = as_unit(column.unit)
        in_hours = unit == u.hourangle and option != "--ra"
        if unit is None or not unit.is_equivalent(u.deg) or in_hours:
            raise self.error(
                f"column '{column.name}' ({option}) must be an angle, but its unit is '{column.unit.strip()}'"
            )
        return str(unit.to_string())

    # --- positional error ---

    def _error(self, used: set[str]) -> dict[str, Any]:
        given = self.wanted.pos_err
        if isinstance(given, int | float):
            return self._constant(float(given))
        if given is not None:
            return self._given_error(given)
        angles = [c for c in self.facts.columns if c.name not in used and not c.is_text and is_angle(c)]
        # the errors of a catalogue may be circles, and the columns of ellipses empty
        has_samples = any(c.sample for c in self.facts.columns)
        filled = [c for c in angles if not has_samples or any(is_number(v) and isfinite(float(v)) for v in c.sample)]
        for candidates, why in [*self._error_tiers(filled), *self._error_tiers(angles)]:
            if len(candidates) > 1:
                names = ["/".join(c.name for c in columns) for columns, _ in candidates]
                raise self.ambiguous("positional error", names, f"{self.wanted.option} COLUMN, or a number in arcsec")
            if candidates:
                return self._described(*candidates[0], why)
        likely = [c for c in angles if re.search(r"err|unc|sig|^e_|pu$|rad", c.name, re.I)]
        hint = f"perhaps: {self.names(likely)}" if likely else f"it has: {self.names()}"
        raise self.error(
            f"no column looks like a positional error ({hint}). "
            f"Say which, or give a number in arcsec: {self.wanted.option}"
        )

    def _given_error(self, given: str) -> dict[str, Any]:
        option, is_column = self.wanted.option, self.facts.column(given) is not None
        if not is_column and is_number(given):
            return self._constant(float(given))
        text, *qualifiers = [given] if is_column else given.split("@")
        names = [n.strip() for n in text.split(",")]
        if len(names) > 3:
            raise InputError(f"{option} takes a column, two (RA, Dec) or three (major, minor, angle), not {given!r}")
        columns = [self.given(n, option) for n in names]
        convention = convention_of(columns[0].name) if len(columns) == 1 else "axis_1sigma"
        if len(columns) == 3:
            convention = next((c for n, c in POSITIONS["ellipses"] if n[0] == plain(columns[0].name)), "ellipse_1sigma")
        stated = None
        for word in qualifiers:
            unit = as_unit(word)
            if word in words.FRACTIONS and len(columns) == 1:
                convention = words.FRACTIONS[word]
            elif unit is not None and unit.is_equivalent(u.arcsec):
                stated = unit.to_string()
            else:
                raise InputError(f"{option} {given}: after @ comes 68, 90 or 95 (percent), or a unit, not '{word}'")
        return self._described(columns, convention, "given", stated)

    def _error_tiers(self, angles: list[ColumnFacts]) -> list[tuple[list[tuple[list[ColumnFacts], str]], str]]:
        """Columns that may be the error, with their convention and the reason, the best reason first."""
        by_name = self.by_name(angles)
        present = [(names, c) for names, c in POSITIONS["ellipses"] if all(n in by_name for n in names)]
        present += [(names, "axis_1sigma") for names in POSITIONS["error_pairs"] if all(n in by_name for n in names)]
        together = [([by_name[n] for n in names], c) for names, c in present]

        def alone(is_error: Callable[[ColumnFacts], object]) -> list[tuple[list[ColumnFacts], str]]:
            return [([c], convention_of(c.name)) for c in angles if is_error(c)]

        ending = re.compile(r"(?:pos_?err(?:or)?|radec_?err(?:_corr)?)$", re.I)
        return [
            ([c for c in together if len(c[0]) == 3][:1], "name"),
            (alone(lambda c: words.is_position_error(c.ucd)), "UCD"),
            (alone(lambda c: plain(c.name) in POSITIONS["errors"]), "name"),
            (alone(lambda c: words.FRACTION.match(c.name.casefold())), "name"),
            ([c for c in together if len(c[0]) == 2][:1], "name"),
            (alone(lambda c: ending.search(c.name)), "name"),
            (alone(lambda c: plain(c.name) in POSITIONS["bare_errors"]), "name"),
        ]

    def _constant(self, arcsec: float) -> dict[str, Any]:
        if not 0 < arcsec < 3600:
            raise self.error(
                f"{self.wanted.option}: positional error must be between 0 and 3600 arcsec, got {arcsec:g}"
            )
        self.note(f"positional error {arcsec:g} arcsec for all rows (given)")
        return {"convention": "axis_1sigma", "constant": arcsec}

    def _described(
        self, columns: list[ColumnFacts], convention: str, why: str, stated: str | None = None
    ) -> dict[str, Any]:
        """The error in the form of a definition; `stated` is the unit that the user gave."""
        axes = columns[:2]
        units = sorted({stated or self._error_unit(c) for c in axes})
        if len(units) > 1:
            both = " and ".join(f"'{c.name}'" for c in axes)
            raise self.error(f"columns {both} are in different units ({', '.join(units)})")
        names = ", ".join(c.name for c in columns)
        self.note(f"positional error from {names} ({why}), {words.WORDS[convention]}, in {units[0]}")
        data: dict[str, Any] = {"convention": convention, "columns": [c.name for c in axes], "unit": units[0]}
        if len(columns) == 3:
            data["pa"] = columns[2].name
            if as_unit(columns[2].unit) not in (None, u.deg):
                raise self.error(f"column '{columns[2].name}' is a position angle, but not in degrees")
        return data

    def _error_unit(self, column: ColumnFacts) -> str:
        if column.unit.strip():
            return self._angular(column, self.wanted.option)
        in_name = re.search(r"(?:^|_)(deg|mas|arcsec|arcmin)$", column.name.casefold())
        if in_name:
            self.note(f"{column.name} has no unit, its name says {in_name[1]}")
            return in_name[1]
        if plain(column.name) in POSITIONS["gaia_errors"]:
            self.note(f"{column.name} has no unit; columns of this name are Gaia's, in mas")
            return "mas"
        self.note(f"{column.name} has no unit, taken as arcsec")
        numbers = [float(v) for v in column.sample if is_number(v)]
        if numbers and 0 < max(numbers) < 0.002:
            self.note(
                f"WARNING: {column.name} is below {max(numbers):.2g} in the first rows: is it in degrees? "
                f"Then say so: {self.wanted.option} {column.name}@deg"
            )
        return "arcsec"

    # --- the rest ---

    def _epoch(self) -> dict[str, Any]:
        by_name = self.by_name(self.facts.columns)
        column = next((by_name[n] for n in POSITIONS["epochs"] if n in by_name), None)
        if column is None or column.is_text:
            return {}
        unit = as_unit(column.unit)
        years = [float(v) for v in column.sample if is_number(v)]
        if unit == u.d or (unit is None and "mjd" in plain(column.name)):
            scale, shift = words.YEAR_OF_MJD
            self.note(f"epoch from {column.name} (name), a modified Julian date")
            return {"epoch_yr": {"from": column.name, "transform": [{"scale": scale}, {"shift": shift}]}}
        if years and all(1850 < y < 2150 for y in years):
            self.note(f"epoch from {column.name} (name), in years")
            return {"epoch_yr": column.name}
        self.note(f"{column.name} is not used as epoch: its values are not years from 1850 to 2150")
        return {}

    def _motion(self, epoch: bool) -> dict[str, Any]:
        by_name = self.by_name([c for c in self.facts.columns if not c.is_text])
        both = next(
            ([by_name[n] for n in pair] for pair in POSITIONS["motions"] if all(n in by_name for n in pair)), None
        )
        if both is None:
            return {}
        names = ", ".join(c.name for c in both)
        units = [u.mas / u.yr if is_none(c.unit) else as_unit(c.unit) for c in both]
        wrong = [c for c, x in zip(both, units, strict=True) if x is None or not x.is_equivalent(u.mas / u.yr)]
        if wrong:
            self.note(
                f"WARNING: proper motions {names} are not used: the unit '{wrong[0].unit}' of {wrong[0].name} is not "
                "that of an angle per time; positions stay where they are in every year. Correct the unit in the file"
            )
            return {}
        is_fk4 = any(c.frame.startswith("FK4") for c in self.facts.columns)
        if is_fk4 or not epoch:
            why = "the table has no epoch" if not epoch else "those of FK4 cannot be converted"
            self.note(f"proper motions {names} are not used: {why}")
            return {}
        self.note(f"proper motions from {names} (name), the first times cos(dec)")
        return {
            name: {"from": c.name, "unit": str(unit)}
            for name, c, unit in zip(("pmra_mas_yr", "pmdec_mas_yr"), both, units, strict=True)
        }

"""What a reader asks of the candidates, from the address of the page; and the same as ADQL, SQL and Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from xcat.columns.registry import property_entries
from xcat.database.published import class_column
from xcat.errors import InputError
from xcat.report.candidates import checked_cone
from xcat.service.pages.place import position

ROWS_OF_PAGE = 50
_MOST_PAGES = 2000
_USUAL = ("name", "ra", "dec", "class", "p_class", "is_outlier", "flux_cgs", "n_detections", "other_missions")
_MORE = (
    *("catalogue", "glon", "glat", "err_arcsec", "p_class_err", "margin", "confidence", "stability", "familiarity"),
    *("alternative", "outlier", "p_tail", "n_missing", "known_class", "snr", "flux_err_cgs", "flux_std_cgs"),
    *("flux_ratio", "flux_ratio_low", "extent_arcsec", "mjd_first", "mjd_last", "n_missions", "missions_agree"),
    *("optical_catalogue", "optical_native_id", "optical_sep_arcsec", "optical_p_any", "infrared_catalogue"),
    *("infrared_native_id", "infrared_sep_arcsec", "infrared_p_any", "flaws", "quality_flag"),
)
_KNOWN = {"no": "not known", "all": "all", "yes": "known only"}


@dataclass(frozen=True)
class Asked:
    """A question to the list of candidates.

    Attributes
    ----------
    class_name : str
        A class of the model; empty for all.
    least : float
        Lowest probability of that class, or of a source's own.
    known : {'no', 'all', 'yes'}
        Whether objects of reference catalogues are listed.
    columns : tuple of str
    sort, descending : str, bool
    page : int
        From 1.
    """

    classes: tuple[str, ...]
    class_name: str = ""
    least: float = 0.5
    known: str = "no"
    no_outliers: bool = False
    every_mission: bool = False
    is_new: bool = False
    min_flux: float | None = None
    min_snr: float | None = None
    at: str = ""
    cone: tuple[float, float, float] | None = None
    radius_arcmin: float = 10.0
    columns: tuple[str, ...] = _USUAL
    sort: str = "p_class"
    descending: bool = True
    page: int = 1
    release_run_id: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, str], listed: Sequence[str], classes: Sequence[str], release: int | None) -> Asked:
        """Read the parameters of an address.

        Parameters
        ----------
        given : mapping
            The last value of each.
        listed : sequence of str
            Values of ``column``, which may be repeated.

        Raises
        ------
        InputError
            One has a value that it cannot have; names it.
        """
        named = {name.lower(): name for name in classes}
        class_name = given.get("class", "").strip()
        if class_name and class_name.lower() not in named:
            raise InputError(f"class={class_name[:40]}: the published classes are {', '.join(classes)}")
        own = named.get(class_name.lower(), "")
        offered = offers(classes)
        columns = tuple(dict.fromkeys(listed)) or usual(own)
        sort = given.get("sort", "") or (class_column(own) if own else "p_class")
        for name in (*columns, sort):
            if name not in offered:
                raise InputError(f"column {name[:60]!r}: there is none of this name in the list of candidates")
        known = given.get("known", "no")
        if known not in _KNOWN:
            raise InputError(f"known={known[:20]}: must be no, all or yes")
        at = given.get("at", "").strip()
        radius = _number(given, "radius", 0.01, 1200.0)
        radius_arcmin = 10.0 if radius is None else radius
        cone = None
        if at:
            place = position(at)
            if place is None:
                raise InputError(f"at={at[:60]}: this is not a position. Write two angles, as in 17 45 40 -29 00 28")
            checked = checked_cone(*place, radius_arcmin / 60)
            cone = (checked["ra"], checked["dec"], checked["radius_deg"])
        least = _number(given, "p", 0.0, 1.0)
        page = _number(given, "page", 1, _MOST_PAGES)

        def ticked(name: str) -> bool:
            return given.get(name, "") in ("1", "on", "true", "yes")

        return cls(
            classes=tuple(classes),
            class_name=own,
            least=0.5 if least is None else least,
            known=known,
            no_outliers=ticked("no_outliers"),
            every_mission=ticked("every_mission"),
            is_new=ticked("new"),
            min_flux=_number(given, "flux", 0.0, 1.0),
            min_snr=_number(given, "snr", 0.0, 1e9),
            at=at,
            cone=cone,
            radius_arcmin=radius_arcmin,
            columns=columns,
            sort=sort,
            descending=given.get("order", "down") != "up",
            page=int(page or 1),
            release_run_id=release,
        )

    @property
    def probability(self) -> str:
        """Column of the probability that is asked for."""
        return class_column(self.class_name) if self.class_name else "p_class"

    def parameters(self, **changes: Any) -> str:
        """The address of this question, with changes, as ``?name=value...``."""
        own: dict[str, Any] = {
            "class": self.class_name,
            "p": f"{self.least:g}",
            "known": self.known,
            "no_outliers": "1" if self.no_outliers else "",
            "every_mission": "1" if self.every_mission else "",
            "new": "1" if self.is_new else "",
            "flux": "" if self.min_flux is None else f"{self.min_flux:g}",
            "snr": "" if self.min_snr is None else f"{self.min_snr:g}",
            "at": self.at,
            "radius": f"{self.radius_arcmin:g}" if self.at else "",
            "sort": self.sort,
            "order": "down" if self.descending else "up",
            "page": self.page,
            "column": self.columns if self.columns != usual(self.class_name) else (),
        }
        kept = {key: value for key, value in (own | changes).items() if value not in ("", ())}
        return "?" + urlencode(kept, doseq=True)

    def conditions(self, as_sql: bool) -> list[str]:
        """The conditions, in the dialect of ADQL or of PostgreSQL."""
        true, false = ("", "NOT ") if as_sql else (" = TRUE", "")
        out = [f"{self.probability} >= {self.least:g}"]
        if self.class_name:
            out.insert(0, f"class = {_quoted(self.class_name)}")
        if not self.every_mission:
            out.append(f"is_best_of_master{true}")
        if self.known != "all":
            out.append(f"known_class_of_master IS {'NOT ' if self.known == 'yes' else ''}NULL")
        if self.no_outliers:
            out.append(f"{false}is_outlier{'' if as_sql else ' = FALSE'}")
        if self.min_flux is not None:
            out.append(f"flux_cgs >= {self.min_flux:g}")
        if self.min_snr is not None:
            out.append(f"snr >= {self.min_snr:g}")
        if self.cone is not None:
            ra, dec, radius = (f"{value:.8g}" for value in self.cone)
            out.append(
                f"q3c_radial_query(ra, dec, {ra}, {dec}, {radius})"
                if as_sql
                else f"1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius}))"
            )
        if self.is_new and self.release_run_id is not None:
            same = f" AND class = {_quoted(self.class_name)}" if self.class_name else ""
            before = f"SELECT source_id FROM pub.classified_runs WHERE run_id = {self.release_run_id}{same}"
            out.append(f"source_id NOT IN ({before})")
        return out

    def _order(self) -> str:
        return f"{self.sort} {'DESC' if self.descending else 'ASC'}"

    def adql(self, rows: int | None = None, offset: int = 0, columns: Sequence[str] | None = None) -> str:
        """The query in ADQL, of all rows or of some."""
        return self._text(False, columns or self.columns, "" if rows is None else f" TOP {rows}", offset)

    def sql(self) -> str:
        """The query in SQL, for ``xcat sql``."""
        return self._text(True, self.columns, "", 0)

    def count(self) -> str:
        """The number of rows, in ADQL."""
        return f"SELECT COUNT(*) AS n FROM pub.classified WHERE {' AND '.join(self.conditions(False))}"

    def python(self) -> str:
        """The query in Python."""
        return f'import xcat\n\ntable = xcat.sql(\n    """\n{_indented(self.sql())}\n    """\n)'

    def _text(self, as_sql: bool, columns: Sequence[str], top: str, offset: int) -> str:
        lines = [
            f"SELECT{top} {', '.join(columns)}",
            "FROM pub.classified",
            "WHERE " + "\n  AND ".join(self.conditions(as_sql)),
            f"ORDER BY {self._order()}, source_id",
        ]
        return "\n".join([*lines, f"OFFSET {offset}"] if offset else lines)


def usual(class_name: str) -> tuple[str, ...]:
    """Columns that are shown if none are chosen."""
    return tuple(class_column(class_name) if name == "p_class" and class_name else name for name in _USUAL)


def offers(classes: Sequence[str]) -> dict[str, str]:
    """Columns that can be chosen, each with its group."""
    groups = dict.fromkeys(_USUAL, "Usual")
    groups |= dict.fromkeys(map(class_column, classes), "Probabilities")
    groups |= dict.fromkeys((name for name in _MORE if name not in groups), "More")
    return groups | {entry["name"]: "Properties" for entry in property_entries()}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _number(given: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{name}={text[:30]}: must be a number from {low:g} to {high:g}")
    return value

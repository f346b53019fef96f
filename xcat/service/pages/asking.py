"""What a reader asks of the candidates, from the address of the page; and the same as ADQL, SQL and Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from xcat.columns.registry import property_entries
from xcat.database.published import class_column
from xcat.database.sqlfiles import job
from xcat.errors import InputError
from xcat.report.candidates import checked_cone
from xcat.service.pages import openapi
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
ABOUT = {
    "class": openapi.text("A class of the model; all if not given"),
    "p": openapi.number("Least probability of that class, or of a source's own; 0.5 if not given"),
    "known": openapi.text("Whether objects of the literature are listed", "no", "all", "yes"),
    "at": openapi.text("A position in any notation"),
    "radius": openapi.number("Radius around it in arcmin; 10 if not given"),
    "flux": openapi.number("Least flux in erg/s/cm2"),
    "snr": openapi.number("Least signal to noise"),
    "no_outliers": openapi.text("Without outliers", "1"),
    "every_mission": openapi.text("The sources of all missions of an object", "1"),
    "new": openapi.text("What the last release did not have in this class", "1"),
    "column": openapi.texts("Columns"),
    "sort": openapi.text("Column by which the rows are ordered"),
    "order": openapi.text("The largest or the smallest first", "down", "up"),
    "page": openapi.number("From 1"),
}
"""What each parameter of the address is."""
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
        columns = tuple(dict.fromkeys(listed)) or _USUAL
        sort = given.get("sort", "") or "p_class"
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
            "column": self.columns if self.columns != _USUAL else (),
        }
        kept = {key: value for key, value in (own | changes).items() if value not in ("", ())}
        return "?" + urlencode(kept, doseq=True)

    def conditions(self, cone: str = "cone_adql") -> list[str]:
        """The conditions, with the cone in ADQL (``cone_adql``) or in SQL (``cone_sql``)."""
        own = {"class_name": _quoted(self.class_name)}
        out = [_words("probable", least=f"{self.least:g}")]
        if self.class_name:
            out.insert(0, _words("of_class", **own))
        if not self.every_mission:
            out.append(_words("best"))
        if self.known != "all":
            out.append(_words("known" if self.known == "yes" else "not_known"))
        if self.no_outliers:
            out.append(_words("no_outlier"))
        if self.min_flux is not None:
            out.append(_words("bright", least=f"{self.min_flux:g}"))
        if self.min_snr is not None:
            out.append(_words("significant", least=f"{self.min_snr:g}"))
        if self.cone is not None:
            place = dict(zip(("ra", "dec", "radius_deg"), (f"{value:.8g}" for value in self.cone), strict=True))
            out.append(_words(cone, **place))
        if self.is_new and self.release_run_id is not None:
            out.append(_words("is_new_in_class" if self.class_name else "is_new", run_id=self.release_run_id, **own))
        return out

    def adql(self, rows: int | None = None, offset: int = 0, columns: Sequence[str] | None = None) -> str:
        """The query in ADQL, of all rows or of some."""
        return self._text("cone_adql", columns or self.columns, "" if rows is None else f" TOP {rows}", offset)

    def sql(self) -> str:
        """The query in SQL, for ``xcat sql``."""
        return self._text("cone_sql", self.columns, "", 0)

    def count(self) -> str:
        """The number of rows, in ADQL."""
        return _words("count", conditions=_joined(self.conditions()))

    def python(self) -> str:
        """The query in Python."""
        return f'import xcat\n\ntable = xcat.sql(\n    """\n{_indented(self.sql())}\n    """\n)'

    def _text(self, cone: str, columns: Sequence[str], top: str, offset: int) -> str:
        return _words(
            "query",
            top=top,
            columns=", ".join(columns),
            conditions=_joined(self.conditions(cone)),
            sort=self.sort,
            direction="DESC" if self.descending else "ASC",
            offset=f"\nOFFSET {offset}" if offset else "",
        )


def offers(classes: Sequence[str]) -> dict[str, str]:
    """Columns that can be chosen, each with its group."""
    groups = dict.fromkeys(_USUAL, "Usual")
    groups |= dict.fromkeys(map(class_column, classes), "Probabilities")
    groups |= dict.fromkeys((name for name in _MORE if name not in groups), "More")
    return groups | {entry["name"]: "Properties" for entry in property_entries()}


def _words(name: str, **given: object) -> str:
    """A statement, or a part of one, of sql/jobs/asking.sql as people read it; values are checked or quoted before."""
    return job(f"asking.{name}").text.format(**given)


def _joined(conditions: Sequence[str]) -> str:
    return "\n  AND ".join(conditions)


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

"""The simple cone search: sources around a position, the nearest first (IVOA SCS 1.03)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql

from xcat.adql import Column
from xcat.config import Settings
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.service.tap import formats, votable
from xcat.service.tap.parameters import Parameters
from xcat.service.tap.pool import Pool
from xcat.service.tap.query import Query, Running, Select
from xcat.service.tap.tables import Tables

LARGEST_RADIUS_DEG = 20.0  # q3c's cones are wrong beyond in old versions
_LEAST = ("source_id", "name", "ra", "dec", "class", "p_class")
# the standard is older than UCD1+, and demands these, the first of characters
_OLD = {
    "name": {"ucd": "ID_MAIN", "datatype": "char", "arraysize": "*"},
    "ra": {"ucd": "POS_EQ_RA_MAIN"},
    "dec": {"ucd": "POS_EQ_DEC_MAIN"},
}
_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.A)
_SEPARATION = Column(
    "sep_arcsec", "double", None, None, "arcsec", "pos.angDistance", None, "Distance from the position asked for"
)


def running(given: Parameters, settings: Settings, readers: Pool, tables: Tables) -> Running:
    """The search that parameters ask for, ready to run.

    Raises
    ------
    XcatError
        A parameter is missing or wrong.
    """
    ra, dec, radius = (_number(given, name) for name in ("RA", "DEC", "SR"))
    if not 0 <= ra <= 360:
        raise XcatError(f"RA={ra:g}: it must be between 0 and 360 degrees")
    if not -90 <= dec <= 90:
        raise XcatError(f"DEC={dec:g}: it must be between -90 and 90 degrees")
    if not 0 <= radius <= LARGEST_RADIUS_DEG:
        raise XcatError(f"SR={radius:g}: it must be between 0 and {LARGEST_RADIUS_DEG:g} degrees")
    verb = given.whole("VERB")
    if verb not in (None, 1, 2, 3):
        raise XcatError(f"VERB={verb}: it must be 1, 2 or 3")
    asked = given.one("RESPONSEFORMAT")
    form = formats.named(asked or "votable/td")
    if not form.serialization:
        raise XcatError(f"RESPONSEFORMAT={asked}: a cone search answers in VOTable; other formats are at /tap/sync")
    maxrec = given.whole("MAXREC")
    n_rows = min(settings.tap_rows if maxrec is None else maxrec, settings.tap_most_rows) if radius > 0 else 0
    about = f"cone search RA={ra!r} DEC={dec!r} SR={radius!r}"
    query = Query(about, form, n_rows, settings.tap_timeout_s, settings.tap_result_mb)

    def select() -> Select:
        with readers.connection() as conn:
            columns = _columns(tables, conn, verb or 2)
        composed = job("tap.cone").compose(
            columns=sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
            centre_ra=sql.Literal(ra),
            centre_dec=sql.Literal(dec),
            radius_deg=sql.Literal(radius),
            n_rows=sql.Literal(n_rows + 1),
        )
        old = [replace(column, **_OLD.get(column.name, {})) for column in columns]
        return Select(composed.as_string(), [*old, _SEPARATION])

    return Running(query, readers, tables, select)


def error(message: str) -> str:
    """The document that states an error, as the standard has it."""
    return votable.document(f'<INFO ID="Error" name="Error" value={votable.attribute(message)}/>\n')


def _columns(tables: Tables, conn: object, verb: int) -> Sequence[Column]:
    described = tables.read(conn)  # type: ignore[arg-type]
    table = described.table("pub.classified")
    if table is None:
        raise XcatError("nothing is published yet")
    principal = {row["column_name"] for row in described.columns["pub.classified"] if row["principal"]}
    wanted = {1: set(_LEAST), 2: principal | set(_LEAST)}.get(verb)
    return [column for column in table.columns if wanted is None or column.name in wanted]


def _number(given: Parameters, name: str) -> float:
    text = given.one(name)
    if text is None:
        raise XcatError(f"{name} is missing: a cone search needs RA, DEC and SR in degrees")
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise XcatError(f"{name}={text[:50]}: it must be a number of degrees")
    return value

"""Where a table comes from, and in which frame its positions are: written into every file that can hold it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from xcat import __version__

if TYPE_CHECKING:
    from astropy.table import Column, Table

KEY = "provenance"
"""Key of the facts in the metadata of a table."""

#: As in CITATION.cff, which a test compares.
CITATION = (
    "xcat: classification of X-ray sources inside PostgreSQL. Method: Tranin, Godet, Webb, Primorac 2022, "
    "Astronomy & Astrophysics 657, A138, doi:10.1051/0004-6361/202141259"
)
_UCD = re.compile(r"^pos\.eq\.(ra|dec)(?:;|$)", re.I)
_NAME = re.compile(r"(?:^|_)(?:(?P<ra>ra(?:j2000|_?icrs|_?deg)?)|(?P<dec>dec?(?:j2000|_?icrs|_?deg)?))$", re.I)


def provenance(
    command: str,
    *,
    run_id: int | None = None,
    model_run_id: int | None = None,
    query: str | None = None,
    frame: str = "ICRS",
    epoch_yr: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """State where a table comes from. Put it into the table: ``table.meta["provenance"] = provenance(...)``.

    `xcat.output.files.write` makes INFO and COOSYS of it in VOTable, keywords and HISTORY in FITS, and metadata in ECSV
    and Parquet. CSV has no place for it.

    Parameters
    ----------
    command : str
        What made the table: ``sql``, ``candidates``, ``match``, ``classify``.
    run_id, model_run_id : int, optional
        Classify run whose results the table has, and fit run whose model was used.
    query : str, optional
        The SQL.
    frame : str
        Frame of the positions that xcat gives: columns with the UCD ``pos.eq.ra`` and ``pos.eq.dec``. A column with
        another frame has it in ``column.meta["frame"]`` ("" for unknown), its epoch in ``column.meta["epoch_yr"]``.
    epoch_yr : float, optional
        Epoch (Julian year) of these positions, where they have one in common.
    **more
        Other facts, in the order given; None is left out.

    Returns
    -------
    dict
        Texts and numbers by name: software, command, request_date (UTC), run_id ... citation.
    """
    facts = {
        "software": f"xcat {__version__}",
        "command": command,
        "request_date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "run_id": run_id,
        "model_run_id": model_run_id,
        "query": query and query.strip(),
        **more,
        "frame": frame,
        "epoch_yr": epoch_yr,
        "citation": CITATION,
    }
    return {name: value for name, value in facts.items() if value is not None}


class Position(NamedTuple):
    """Two columns that are a position."""

    ra: str
    dec: str
    frame: str
    epoch_yr: float | None


def axis(name: str, column: Column, ucd_only: bool = False) -> str:
    """Whether a column is a right ascension (``ra``), a declination (``dec``), or neither, by its UCD or its name."""
    ucd = _UCD.match(str(column.meta.get("ucd", "")))
    if ucd is not None:
        return ucd[1].lower()
    found = None if ucd_only or column.meta.get("ucd") else _NAME.search(name.strip())
    return "" if found is None else "ra" if found["ra"] else "dec"


def positions(table: Table, ucd_only: bool = False) -> list[Position]:
    """Positions in the columns of a table, in their order: a declination with the last free right ascension before it.

    Frame and epoch are those that the provenance of the table or the column itself states; "" where none does.
    """
    facts = table.meta.get(KEY, {})
    found, free = [], list[str]()
    for name in table.colnames:
        column = table[name]
        kind = axis(name, column, ucd_only)
        if kind == "ra":
            free.append(name)
        elif kind == "dec" and free:
            stated = table[free[-1]].meta
            frame = str(stated.get("frame", facts.get("frame", "")))
            epoch = stated.get("epoch_yr", facts.get("epoch_yr") if "frame" not in stated else None)
            found.append(Position(free.pop(), name, frame, epoch))
    return found

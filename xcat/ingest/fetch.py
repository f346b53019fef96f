"""Fetch a cone of a catalogue from a TAP service, all of it or nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyvo
import requests
from astropy.table import MaskedColumn, Table
from astropy.units import UnitsWarning
from pyvo.dal.exceptions import DALOverflowWarning, PyvoUserWarning

from xcat.atomic import TABLES
from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.output import files

VIZIER_TAP = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"


def fetch(
    definition: Definition,
    ra_deg: float,
    dec_deg: float,
    radius_deg: float,
    out_path: str | Path,
    tap_url: str = VIZIER_TAP,
    timeout_s: float = 300.0,
    max_rows: int = 2_000_000,
) -> tuple[int, str]:
    """Fetch the rows of a catalogue inside a cone and write the columns that the definition uses.

    The service is asked for the number of rows first. The result counts as complete only if the service does
    not say OVERFLOW and the number of rows is the number that it counted; otherwise nothing is written.

    Parameters
    ----------
    definition : Definition
        The catalogue; its ``vizier`` names the table.
    ra_deg, dec_deg, radius_deg : float
        The cone, ICRS.
    out_path : path
        File to write: VOTable (``.vot``), or ``.fits``, ``.ecsv``, ``.csv``, ``.parquet``.
    tap_url : str
        TAP service; VizieR's by default.
    timeout_s : float
        Longest wait for an answer.
    max_rows : int
        More rows than this are refused before anything is transferred.

    Returns
    -------
    n_rows : int
        Rows written: as many as the service counted beforehand.
    query : str
        The ADQL query, for the record.

    Raises
    ------
    InputError
        If the cone is invalid, the service fails, or the result is not complete.
    """
    out_path = Path(out_path)
    if out_path.suffix.lower() not in TABLES:
        raise InputError(f"{out_path}: the name must end in one of {', '.join(TABLES)}")
    where = _cone(definition, ra_deg, dec_deg, radius_deg)
    tap_url, session = tap_url.rstrip("/"), _Session(timeout_s)
    counted = _query(tap_url, session, f"SELECT COUNT(*) AS n FROM {where}", 1)
    expected = int(counted.getvalue(counted.fieldnames[0], 0))
    if expected > max_rows:
        raise InputError(
            f"{definition.name}: the cone holds {expected:,} rows, more than the {max_rows:,} allowed. "
            "Make the cone smaller, or allow more rows"
        )
    columns = ", ".join(_quoted(c) for c in definition.file_columns)
    query = f"SELECT {columns} FROM {where}"
    result = _query(tap_url, session, query, expected + 1)
    if result.query_status[0].upper() == "OVERFLOW" or len(result) != expected:
        raise InputError(
            f"{definition.name}: {tap_url} counted {expected:,} rows but sent {len(result):,}: it cuts results "
            "off at its own limit. Fetch smaller cones and load the files together; nothing was written"
        )
    out_path.parent.mkdir(parents=True, exist_ok=True)
    files.write(_plain_table(result), out_path, overwrite=True)
    return len(result), query


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cone(definition: Definition, ra_deg: float, dec_deg: float, radius_deg: float) -> str:
    """The FROM and WHERE of the query."""
    if not definition.vizier:
        raise InputError(
            f"the definition '{definition.name}' names no VizieR table (key 'vizier'): its columns are those of "
            f"the mission's own files. Fetch such a file by hand ({definition.citation})"
        )
    if not (0 <= ra_deg < 360 and -90 <= dec_deg <= 90 and 0 < radius_deg <= 90):
        raise InputError(
            f"invalid cone: RA must be in 0 to 360, Dec in -90 to 90, radius in 0 to 90 degrees; "
            f"got {ra_deg}, {dec_deg}, {radius_deg}"
        )
    ra, dec = definition.columns["ra"], definition.columns["dec"]
    if ra.transform or dec.transform:
        raise InputError(
            f"the positions of '{definition.name}' are texts at the service, which it cannot search by cone. "
            "Fetch the whole table by hand from VizieR"
        )
    point = f"POINT('ICRS', {_quoted(ra.from_[0])}, {_quoted(dec.from_[0])})"
    circle = f"CIRCLE('ICRS', {float(ra_deg)!r}, {float(dec_deg)!r}, {float(radius_deg)!r})"
    return f"{_quoted(definition.vizier)} WHERE 1 = CONTAINS({point}, {circle})"


class _Session(requests.Session):
    """A session whose every request has a time limit, which pyvo does not set."""

    def __init__(self, timeout_s: float):
        super().__init__()
        self._timeout_s = timeout_s

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout_s
        return super().request(*args, **kwargs)


def _query(tap_url: str, session: requests.Session, query: str, max_rows: int) -> pyvo.dal.TAPResults:
    try:
        with warnings.catch_warnings():
            for category in (DALOverflowWarning, PyvoUserWarning, UnitsWarning):  # the caller checks for overflow
                warnings.simplefilter("ignore", category)
            return pyvo.dal.TAPQuery(tap_url, query, maxrec=max_rows, session=session).execute()
    except pyvo.dal.DALAccessError as error:
        unreachable = isinstance(getattr(error, "cause", None), requests.RequestException)
        hint = ". Is the address right, the service up, and this machine online?" if unreachable else ""
        raise InputError(f"{tap_url}: {error}{hint}") from error


def _plain_table(result: pyvo.dal.TAPResults) -> Table:
    """The result with texts as plain strings; the service's are objects, which few formats can hold."""
    table = result.to_table()
    for name in table.colnames:
        if table[name].dtype.kind == "O":
            column = np.ma.asarray(table[name])
            texts = ["" if v is None else str(v) for v in column.filled(None)]
            table[name] = MaskedColumn(np.array(texts, np.str_), mask=np.ma.getmaskarray(column))
    return table

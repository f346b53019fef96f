"""What is published, as files for other programs: tables, results of queries, and the area that was searched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from psycopg import sql

from xcat import atomic
from xcat.database import copy, schema
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError
from xcat.jobs import release_files, releases
from xcat.output import files, pieces, results, statement
from xcat.output.columns import unique_names
from xcat.output.pieces import Pieces
from xcat.output.provenance import provenance
from xcat.output.reading import Row, classify_run, one
from xcat.output.spooled_result import SpooledResult
from xcat.sky import searched


class Target(NamedTuple):
    """A file to be written: its name, the ending that says the format (None: its own), and whether to replace it."""

    path: Path
    ending: str | None = None
    overwrite: bool = False


_PLACES = [("number", "integer"), ("ra", "double precision"), ("dec", "double precision")]


def query(
    conn: Connection,
    text: str,
    target: Target,
    command: str,
    max_mb: float,
    note: Callable[..., None],
) -> int:
    """Write the result of a query to a file; it may be longer than the memory.

    Parameters
    ----------
    conn : Connection
        Of a reader: see `xcat.database.connection.reader`.
    text : str
        One SELECT.
    command : str
        What the provenance names as the maker of the table.
    max_mb : float
        The most that the rows, and the file, may take.
    note : callable
        Takes remarks about columns that are written under another name.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    XcatError
        The server refuses the query, the result is too long, or the file cannot be written.
    """
    facts = provenance(command, query=text) | results.published(conn)
    with statement.answer(conn, text) as given:
        names = unique_names([head.name for head in given.heads], fold=False)
        results.check_names(names, target.path, target.ending)  # before the query runs
        with SpooledResult(given, target.path, max_mb, facts, target.ending) as spooled:
            return write(spooled, target, note)


def write(table: Table | Pieces, target: Target, note: Callable[..., None]) -> int:
    """Write a table, which may come in pieces, to a file; its rows. `note` is as in `query`."""
    source = pieces.of(table)
    note(*files.check(pieces.head(source), target.path, target.ending))
    files.write(source, target.path, overwrite=target.overwrite, ending=target.ending)
    return source.n_rows


def run_table(conn: Connection, name: str, run_id: int | None) -> Pieces:
    """A table of a published run, to be written to a file.

    Parameters
    ----------
    name : str
        One of `xcat.jobs.releases.TABLES`.
    run_id : int or None
        Classify run with tables in ``pub``; the published one if None.

    Raises
    ------
    XcatError
        Nothing is published, or the run has no tables.
    """
    run = _published(conn, run_id)
    counts = one(conn, "releases.counts", table=releases.relation(name), run_id=sql.Literal(run["run_id"]))
    assert counts is not None, "a SELECT of counts has a row"
    columns = releases.columns_of(conn, name, run["classes"])
    facts = provenance(
        "export", run_id=run["run_id"], model_run_id=run["model_run_id"], pipeline=run["name"], table=f"pub.{name}"
    )
    inputs = dicts(conn.execute(job("releases.inputs").compose(), {"run_id": run["run_id"]}))
    facts |= release_files.epochs(name, inputs)
    return release_files.of_run(conn, name, run["run_id"], columns, counts["n_rows"], counts["n_evidence"], facts)


def released_table(conn: Connection, name: str, label: str) -> Pieces:
    """A table of a release, to be written to a file.

    Raises
    ------
    XcatError
        There is no such release or table, or the release was given up.
    """
    release = releases.kept(conn, label)
    if name not in release["record"]["tables"]:
        raise XcatError(f"the release {label} has no table {name}, only {', '.join(release['record']['tables'])}")
    return release_files.released(conn, release, name)


def view(conn: Connection, name: str) -> str:
    """The query that gives a whole table or view of ``pub``.

    Raises
    ------
    XcatError
        There is none of this name.
    """
    if one(conn, "releases.columns", {"relation": f'{schema.PUB}."{name.replace(chr(34), chr(34) * 2)}"'}) is None:
        raise XcatError(
            f"there is no table or view pub.{name}. Published tables: {', '.join(releases.TABLES)}; views: "
            "docs/reference/tables.md"
        )
    return sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema.PUB, name)).as_string(conn)


def coverage(conn: Connection, path: Path, run_id: int | None = None, *, overwrite: bool = False) -> Row:
    """Write the area that was searched for the sources of a published run, as a MOC (IVOA Multi-Order Coverage map).

    Returns
    -------
    dict
        area_deg2, max_order, n_cells; catalogues that it is of, and left_out: those with too few sources.

    Raises
    ------
    XcatError
        Nothing is published, no catalogue has enough sources, or the file cannot be written.
    """
    atomic.check_new(path, (".fits",), overwrite)
    run = _published(conn, run_id)
    of_run = {"run_id": sql.Literal(run["run_id"])}
    names = [row[0] for row in conn.execute(job("report.catalogues_of_sources").compose(**of_run))]
    places = copy.fetch_columns(conn, job("report.places_by_catalogue").compose(**of_run), _PLACES)
    of_each = [places[places["number"] == number] for number in range(1, len(names) + 1)]
    is_enough = np.array([len(rows) >= searched.FEWEST for rows in of_each], dtype=bool)
    if not is_enough.any():
        raise XcatError(
            f"the area searched cannot be told: no catalogue of run {run['run_id']} has {searched.FEWEST} sources"
        )
    moc = searched.area_of([(rows["ra"], rows["dec"]) for rows in of_each])
    facts = provenance("export", run_id=run["run_id"], model_run_id=run["model_run_id"])
    keywords = {"CREATOR": facts["software"], "DATE": facts["request_date"].rstrip("Z"), "XCATRUN": run["run_id"]}
    try:
        with atomic.writing(path) as part:
            moc.save(part, format="fits", fits_keywords=keywords)
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error
    return {
        "area_deg2": float(moc.sky_fraction) * searched.SKY_DEG2,
        "max_order": int(moc.max_order),
        "n_cells": len(moc.uniq_hpx),
        "catalogues": [name for name, is_in in zip(names, is_enough, strict=True) if is_in],
        "left_out": [name for name, is_in in zip(names, is_enough, strict=True) if not is_in],
    }


def _published(conn: Connection, run_id: int | None) -> Row:
    """A run that has its tables in ``pub``."""
    run = classify_run(conn, run_id)
    if not run["is_in_pub"]:
        raise XcatError(f"run {run['run_id']} has no tables in pub. Make them: xcat publish {run['run_id']} --hold")
    return run

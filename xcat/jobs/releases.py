"""Releases: published states that are frozen under a name, counted and summed up, and never dropped.

The record of a release has rows and checksum of every table. The checksum does not depend on the order of the rows, nor
on columns that a later version of xcat adds. It guards against damage; the files that are written of a release have
their own (xcat/jobs/release_files.py).
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from xcat import progress
from xcat.database import published, schema
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError
from xcat.jobs import states
from xcat.jobs.states import State

#: What a release holds, by name, with the columns that its rows are sorted by when they are written.
TABLES = {
    "classified": ("source_id",),
    "counterparts": ("source_id", "catalogue"),
    "hypotheses": ("source_id", "rank"),
    "source_evidence": ("source_id",),
    "master_sources": ("master_id", "source_id"),
    "ulx_candidates": ("source_id",),
    "model_class": ("class_id",),
    "model_term": ("term_id",),
    "likelihood_density": ("property", "class", "x"),
    "reliability": ("catalogue", "part", "cutoff", "is_chosen"),
}
#: Computed when it is read, by functions whose last digit is that of the machine: its rows are only counted.
_COMPUTED = ("likelihood_density",)
_LIKELIHOODS = ("likelihood_table", "likelihood_replicate")
_LEARNED = {
    "match_run_id": ("magnitude_prior", "match_stratum", "match_cut_out", "calibration"),
    "property_run_id": ("catalogue_depth",),
    "model_run_id": ("model", "model_class", "model_category", "model_term", *_LIKELIHOODS),
}
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}|[0-9]+[A-Za-z._-][A-Za-z0-9._-]{0,62}")
_AUTHORS = ("The xcat developers",)


def relation(name: str) -> str:
    """Qualified name of the table or view of all runs."""
    return f"{schema.PUB}.{name}{schema.ALL_RUNS}"


def create(
    conn: Connection,
    label: str,
    name: str = states.PUBLISHED,
    note: str | None = None,
    authors: list[str] | None = None,
) -> dict[str, Any]:
    """Freeze a state under a label.

    Parameters
    ----------
    name : str
        The state (see `xcat.jobs.states.run_of`).
    note : str, optional
        What the release is, for people.
    authors : list of str, optional
        Who is to be cited for it.

    Returns
    -------
    dict
        The release; see `show`.

    Raises
    ------
    XcatError
        The label is taken, or could be mistaken for a number or for a word that means a state.
    """
    if not _LABEL.fullmatch(label) or label in (states.PUBLISHED, states.PREVIOUS):
        raise XcatError(
            f"'{label}' cannot be the label of a release: letters, digits, dots, dashes, underscores, as in 2026-11; "
            "no number alone, not 'published' or 'previous'."
        )
    conn.execute(job("runs.one_at_a_time").compose())  # nothing is dropped meanwhile
    if conn.execute(job("releases.show").compose(), {"label": label}).fetchone() is not None:
        raise XcatError(f"there is a release {label} already; a label is given once. See: xcat release show {label}")
    state = states.state(conn, states.run_of(conn, name))
    record = {
        "run_id": state["run_id"],
        "pipeline": state["name"],
        "note": note,
        "authors": authors or list(_AUTHORS),
        "published_at": state["published_at"].isoformat(),
        "classes": state["classes"],
        "model_run_id": state["model_run_id"],
        "tables": contents(conn, state),
        "learned": learned(conn, state),
        "inputs": dicts(conn.execute(job("releases.inputs").compose(), {"run_id": state["run_id"]})),
        "stages": [
            row | {"started_at": row["started_at"].isoformat()}
            for row in dicts(conn.execute(job("releases.stages").compose(), {"run_id": state["run_id"]}))
        ],
    }
    record["software"] = record["stages"][-1]["versions"]
    conn.execute(job("releases.create").compose(), {"label": label, "run_id": state["run_id"], "record": Jsonb(record)})
    return show(conn, label)


def columns_of(conn: Connection, name: str, classes: list[str]) -> list[str]:
    """Columns that a table of `TABLES` has when it is given to others: without the run, with the classes of a model."""
    columns = published.view_columns(classes) if name == "classified" else _columns(conn, relation(name))
    return [column for column in columns if column != "run_id"]


def contents(conn: Connection, state: State) -> dict[str, Any]:
    """Rows and checksum of every table of a state, with the columns that they are of."""
    found = {}
    with progress.bar("release: checksums", len(TABLES)) as advance:
        for name in TABLES:
            columns = columns_of(conn, name, state["classes"])
            found[name] = _content(conn, relation(name), state["run_id"], columns)
            if name in _COMPUTED:
                del found[name]["checksum"]
            advance(1)
    return found


def learned(conn: Connection, state: State) -> dict[str, Any]:
    """The same of the tables that hold what the match and the model of a state have learned, with their runs."""
    return {
        name: {"run_id": state[key]} | _content(conn, f"{schema.SCHEMA}.{name}", state[key])
        for key, names in _LEARNED.items()
        if state[key] is not None
        for name in names
    }


def _content(conn: Connection, table: str, run_id: int, columns: list[str] | None = None) -> dict[str, Any]:
    """Rows and checksum of the rows of a run in a table; by default of all its columns but the run."""
    columns = [name for name in columns or _columns(conn, table) if name != "run_id"]
    query = job("releases.content").compose(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=table, run_id=sql.Literal(run_id)
    )
    with conn.transaction():
        conn.execute("SET LOCAL extra_float_digits TO 1")  # the shortest exact text of a number
        ((n_rows, checksum),) = conn.execute(query).fetchall()
    return {"rows": int(n_rows), "checksum": str(checksum), "columns": columns}


def _columns(conn: Connection, table: str) -> list[str]:
    return [row[0] for row in conn.execute(job("releases.columns").compose(), {"relation": table})]


def show(conn: Connection, label: str) -> dict[str, Any]:
    """A release: label, run_id (None when it was given up), created_at, record, removed_at, removed_why.

    Raises
    ------
    XcatError
        There is none of this label.
    """
    rows = dicts(conn.execute(job("releases.show").compose(), {"label": label}))
    if not rows:
        raise XcatError(f"there is no release {label}. See: xcat release list")
    return rows[0]


def kept(conn: Connection, label: str) -> dict[str, Any]:
    """A release whose tables are kept.

    Raises
    ------
    XcatError
        There is none of this label, or it was given up.
    """
    release = show(conn, label)
    if release["run_id"] is None:
        raise XcatError(
            f"the release {label} was given up on {release['removed_at']:%Y-%m-%d}: {release['removed_why']}"
        )
    return release


def listing(conn: Connection) -> list[dict[str, Any]]:
    """All releases, newest first."""
    return dicts(conn.execute(job("releases.list").compose()))


def verify(conn: Connection, label: str) -> list[str]:
    """Count and sum up the tables of a release again; say what is not as it was, a line each."""
    release = kept(conn, label)
    record = release["record"]
    tables = [(name, relation(name), release["run_id"], was) for name, was in record["tables"].items()]
    tables += [(name, f"{schema.SCHEMA}.{name}", was["run_id"], was) for name, was in record["learned"].items()]
    differences = []
    with progress.bar("release: checksums", len(tables)) as advance:
        for name, table, run_id, was in tables:
            missing = set(was["columns"]) - set(_columns(conn, table))
            if missing:
                differences.append(f"{name}: the columns {', '.join(sorted(missing))} are gone")
                continue
            now = _content(conn, table, run_id, was["columns"])
            if now["rows"] != was["rows"]:
                differences.append(f"{name}: {was['rows']:,} rows then, {now['rows']:,} now")
            elif now["checksum"] != was.get("checksum", now["checksum"]):
                differences.append(f"{name}: the content is not what it was (checksum {was['checksum'][:12]}...)")
            advance(1)
    return differences


def remove(conn: Connection, label: str, why: str) -> None:
    """Give up a release: its record and label stay, its tables may be dropped.

    Raises
    ------
    XcatError
        There is none of this label, or it was given up before.
    """
    kept(conn, label)
    conn.execute(job("releases.remove").compose(), {"label": label, "why": why})

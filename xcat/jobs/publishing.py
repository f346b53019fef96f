"""The publish stage: flat tables of a classify run in the schema ``pub``, and the switch of what its views show.

First the tables are written and attached, in a transaction of their own: readers wait for nothing, and see them under
the number of the run only. Then one row of ``publication`` changes. The views ask for its number while a statement is
planned (sql/functions/published.sql), so the switch needs no lock: a reader in a long transaction blocks no
publication, no publication blocks a reader, and no statement sees two runs. Only where the classes differ from those
of the run before are the views made anew, which needs each for a moment: with a short lock_timeout, again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import astropy.units as u
import numpy as np
import psycopg
from astropy_healpix import lonlat_to_healpix
from psycopg import sql

from xcat import progress
from xcat.config import Settings
from xcat.database import copy, partitions, published, retention, runs, schema
from xcat.database.connection import Connection, connect, ready
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.sky import joins

_LOCK_TIMEOUT_MS = 50
_PATIENCE_S = 600.0
_WORK_MEM = "256MB"  # sorts, hash joins and indexes of whole tables
_CLASSIFIED = schema.PUB_TABLES["classified_runs"]


def publish(settings: Settings, classify_run_id: int, pipeline_run_id: int | None = None, *, hold: bool = False) -> int:
    """Write the flat tables of a classify run, if they are not there yet, and let the views of ``pub`` show it.

    Parameters
    ----------
    settings : Settings
    classify_run_id : int
    pipeline_run_id : int, optional
        The pipeline that asked.
    hold : bool
        Only write the tables, to be read under the number of the run; the views go on to show what they show.

    Returns
    -------
    int
        The publish run.

    Raises
    ------
    XcatError
        It is not a finished classify run.
    StageError
        The views have to be made anew for other classes, and someone holds them for ten minutes.
    """
    with ready(settings) as conn:
        row = runs.get(conn, classify_run_id, "classify")
    if row["status"] != "done":
        raise StageError(f"run {classify_run_id} is {row['status']}; only a finished run can be published.")
    config = {"classify_run_id": classify_run_id, **({"hold": True} if hold else {})}
    with runs.stage(settings, "publish", row["name"], config, pipeline_run_id=pipeline_run_id) as run:
        with progress.bar("publish: waiting for its turn"):
            run.conn.execute(job("runs.one_at_a_time").compose())
        classes = _classes(run.conn, row["model_run_id"])
        written = run.conn.execute(job("publish.is_written").compose(), {"run_id": classify_run_id}).fetchone()
        if not (written and written[0]):
            with run.step("classes"):
                _add_class_columns(settings, classes)
            with run.step("tables"):
                _write(run, row, classes)
        if not hold:
            with run.step("switch"):
                _switch(run.conn, classify_run_id, classes)
        run.summary |= {"published_run_id": classify_run_id, "classes": classes}
    retention.sweep(settings)
    return run.run_id


def _classes(conn: Connection, model_run_id: int) -> list[str]:
    row = conn.execute(job("publish.classes").compose(), {"model_run_id": model_run_id}).fetchone()
    assert row is not None
    names = [published.class_column(name) for name in row[0]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StageError(f"classes of the model share the column {', '.join(twice)}; give them names that differ more.")
    return list(row[0])


# --- the flat tables --------------------------------------------------------------------------------------


def _write(run: Run, row: dict[str, Any], classes: list[str]) -> None:
    """Write and attach the tables of a classify run, in a transaction of their own."""
    with connect(run.settings) as conn, progress.bar("publish: tables", len(schema.PUB_TABLES)) as advance:
        conn.execute(f"SET LOCAL work_mem TO '{_WORK_MEM}'; SET LOCAL maintenance_work_mem TO '{_WORK_MEM}'")
        joins.make_tables(conn)
        conn.execute(job("publish.make_work").compose())
        writer = _Writer(conn, row, classes)
        for name, fill in writer.tables.items():
            with run.step(name):
                writer.targets[name] = partitions.create(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
                fill(writer.targets[name])
                partitions.prepare(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
            advance(1)
        for name in writer.tables:
            partitions.adopt(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
        conn.execute(job("publish.held").compose(), {"run_id": row["run_id"]})


class _Writer:
    """Fills the flat tables of one classify run, each from the run tables and from those that are filled already."""

    def __init__(self, conn: Connection, row: dict[str, Any], classes: list[str]) -> None:
        self.conn, self.row, self.classes = conn, row, classes
        self.targets: dict[str, str] = {}
        self.tables: dict[str, Callable[[str], None]] = {
            "counterparts": self.counterparts, "hypotheses": self.hypotheses, "source_evidence": self.evidence,
            "master_sources": self.master_sources, "classified": self.classified, "ulx_candidates": self.ulx,
        }  # fmt: skip

    def of(self, table: str) -> str:
        """Partition of a run table that the classify run stands on."""
        column = {
            "source": "source_run_id", "property": "property_run_id", "hypothesis_property": "property_run_id",
            "match": "match_run_id", "match_candidate": "match_run_id", "hypothesis": "match_run_id",
            "master": "link_run_id", "master_source": "link_run_id", "classification": "run_id",
        }[table]  # fmt: skip
        return partitions.qualified(table, self.row[column])

    def has(self, table: str, column: str) -> bool:
        """Whether there is such a partition: a run made by hand may lack links or matches."""
        return self.row[column] is not None and partitions.exists(self.conn, table, self.row[column])

    def execute(self, name: str, params: dict[str, Any] | None = None, /, **places: str | sql.Composable) -> None:
        """Run a statement of sql/jobs/publish.sql."""
        numbers = {key: self.row[key] for key in ("run_id", "model_run_id", "label_run_id", "property_run_id")}
        self.conn.execute(job(f"publish.{name}").compose(**places), numbers | (params or {}))

    def catalogues(self, *kinds: str) -> list[dict[str, Any]]:
        """Versions of catalogues of these kinds that the run's stages read."""
        stages = [self.row[key] for key in ("match_run_id", "property_run_id") if self.row[key] is not None]
        values = {"run_ids": stages, "kinds": list(kinds)}
        return dicts(self.conn.execute(job("publish.catalogues").compose(), values))

    def counterparts(self, target: str) -> None:
        """Accepted counterparts, catalogue by catalogue."""
        names = [column.name for column in schema.CATALOGUE_TABLES["counterpart"].columns]
        given = [c.name for c in schema.PUB_TABLES["counterparts_runs"].columns if c.name in names]
        given = [name for name in given if name not in ("native_id", "ra", "dec")]
        if self.has("match", "match_run_id"):
            for item in self.catalogues("optical", "infrared"):
                self.execute(
                    "counterparts",
                    {"catalogue_id": item["catalogue_id"], "catalogue": item["name"], "kind": item["kind"]},
                    target=target, match=self.of("match"), match_candidate=self.of("match_candidate"),
                    source=self.of("source"), counterpart=partitions.qualified("counterpart", item["catalogue_id"]),
                    **_columns(given, "o"),
                )  # fmt: skip
        priority = self.conn.execute(job("publish.priority").compose(), self.row).fetchone()
        self.execute(
            "first_counterparts", {"priority": priority[0] if priority and priority[0] else []}, counterparts=target
        )
        self.conn.execute("ANALYZE pg_temp.first_counterpart")

    def hypotheses(self, target: str) -> None:
        """Hypotheses with the names of their members."""
        if not self.has("hypothesis", "match_run_id"):
            return
        for item in self.catalogues("optical", "infrared"):
            self.execute(
                "members", {"catalogue_id": item["catalogue_id"], "catalogue": item["name"]},
                hypothesis=self.of("hypothesis"),
                counterpart=partitions.qualified("counterpart", item["catalogue_id"]),
            )  # fmt: skip
        self.conn.execute("ANALYZE pg_temp.member")
        names = [c.name for c in schema.RUN_TABLES["hypothesis_property"].columns]
        given = [c.name for c in schema.PUB_TABLES["hypotheses_runs"].columns if c.name in names]
        given = [name for name in given if name not in ("run_id", "source_id", "rank", "p_hypothesis")]
        self.execute(
            "hypotheses", target=target, hypothesis=self.of("hypothesis"), source=self.of("source"),
            hypothesis_property=self.of("hypothesis_property"), **_columns(given, "p"),
        )  # fmt: skip

    def evidence(self, target: str) -> None:
        """Evidence, one array per source."""
        self.execute("evidence", target=target, classification=self.of("classification"))

    def master_sources(self, target: str) -> None:
        """Sources with their master sources."""
        if self.has("master_source", "link_run_id"):
            self.execute(
                "master_sources", target=target, source=self.of("source"), master=self.of("master"),
                master_source=self.of("master_source"),
            )  # fmt: skip

    def classified(self, target: str) -> None:
        """Put everything about a source into one row."""
        self._cells()
        names = {c.name for c in schema.RUN_TABLES["property"].columns}
        left_out = {"run_id", "source_id", "has_optical", "has_infrared", "has_spectrum", "n_detections",
                    "is_classifiable"}  # fmt: skip
        given = [c.name for c in _CLASSIFIED.columns if c.name in names - left_out]
        places = _columns(given, "p")
        of_class = [sql.Identifier(published.class_column(name)) for name in self.classes]
        probabilities = [
            job("publish.class_value").compose(number=sql.Literal(i + 1)) for i in range(len(self.classes))
        ]
        self.execute(
            "classified", {"classes": self.classes}, target=target, classification=self.of("classification"),
            source=self.of("source"), property=self.of("property"), master_sources=self.targets["master_sources"],
            columns=sql.SQL(", ").join([places["columns"], *of_class]),
            values=sql.SQL(", ").join([places["values"], *probabilities]),
        )  # fmt: skip

    def _cells(self) -> None:
        """HEALPix cell of every source."""
        rows = copy.fetch_columns(
            self.conn, job("publish.positions").compose(source=self.of("source")),
            [("source_id", "bigint"), ("ra", "double precision"), ("dec", "double precision")],
        )  # fmt: skip
        cell = lonlat_to_healpix(rows["ra"] * u.deg, rows["dec"] * u.deg, 2**29, order="nested")
        block = {"source_id": rows["source_id"], "hpx29": np.asarray(cell, dtype=np.int64)}
        copy.copy_in(self.conn, "cell", [block])
        self.conn.execute("ANALYZE pg_temp.cell")

    def ulx(self, target: str) -> None:
        """Ultraluminous sources, by the galaxies that the properties were computed with."""
        classified = self.targets["classified"]
        numbers = [item["catalogue_id"] for item in self.catalogues("galaxy")]
        row = self.conn.execute(job("publish.largest_galaxy").compose(), {"catalogue_ids": numbers}).fetchone()
        reach = {"d25_arcmin": row[0] if row is not None else 0.0}
        for item in self.catalogues("galaxy"):
            galaxy = partitions.qualified("galaxy", item["catalogue_id"])
            find = job("publish.luminous_needles").compose(classified=classified)
            joins.needles(self.conn, find, reach)
            joins.search(self.conn, galaxy, f"{item['name']} x luminous sources")
            self.execute("near_galaxies", galaxy=galaxy, classified=classified)
        self.execute("ulx_candidates", target=target, classified=classified)


def _columns(names: Sequence[str], alias: str) -> dict[str, sql.Composable]:
    """Column names for the list of an INSERT, and for its SELECT from an alias."""
    return {
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "values": sql.SQL(", ").join(sql.Identifier(alias, name) for name in names),
    }


# --- the views --------------------------------------------------------------------------------------------


def _switch(conn: Connection, classify_run_id: int, classes: list[str]) -> None:
    """Let the views show a run, in the transaction of the publish run."""
    wanted = published.view_columns(classes)
    if [row[0] for row in conn.execute(job("publish.columns_of").compose(), {"relation": "pub.classified"})] != wanted:
        _patiently(conn, lambda: published.make_views(conn, classes))
    conn.execute(job("classify.unpublish").compose())
    conn.execute(job("classify.publish").compose(), {"run_id": classify_run_id})
    # every view of pub stands on one of these
    for table in (f"{schema.SCHEMA}.publication", *(f"{schema.PUB}.{name}" for name in schema.PUB_TABLES)):
        conn.execute(job("publish.plans_are_old").compose(table=table))


def _add_class_columns(settings: Settings, classes: list[str]) -> None:
    """Give the flat table a column for every class that no published model has had; without any, nobody waits."""
    with connect(settings) as conn:
        there = {
            row[0] for row in conn.execute(job("publish.columns_of").compose(), {"relation": "pub.classified_runs"})
        }
        new = [name for name in map(published.class_column, classes) if name not in there]

        def add() -> None:
            for name in new:
                conn.execute(job("publish.add_class_column").compose(name=name))
                published.comment(conn, "pub.classified_runs", name)

        if new:
            _patiently(conn, add)


def _patiently(conn: Connection, change: Callable[[], None]) -> None:
    """Make a change that needs tables or views alone, without holding up who reads: try briefly, and again.

    A reader that waits behind us waits for `_LOCK_TIMEOUT_MS` at most; that is below the deadlock_timeout, so that of
    two that wait for each other it is always us who give way.
    """
    start = time.monotonic()
    with progress.bar("publish: waiting for readers of pub.classified"):
        for attempt in range(1_000_000):
            try:
                with conn.transaction():
                    conn.execute(f"SET LOCAL lock_timeout TO '{_LOCK_TIMEOUT_MS}ms'")
                    change()
                    conn.execute("SET LOCAL lock_timeout TO 0")
                return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if time.monotonic() - start > _PATIENCE_S:
                    raise StageError(
                        "the classes differ from those of the run before, so pub.classified has to be made anew, and a "
                        "session has held it for ten minutes; nothing was changed. See pg_stat_activity, and try again."
                    ) from None
                time.sleep(min(0.05 * (attempt + 1), 1.0))

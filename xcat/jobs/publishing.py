"""The publish stage: flat tables of a classify run in the schema ``pub``, and the switch of what its views show.

First the tables are written and attached in a separate transaction: readers do not wait, and see them only under the
number of the run. Then one row of ``publication`` changes. The views look its number up while a statement is planned
(sql/functions/published.sql), so the switch needs no lock: readers and publications never block each other, and no
statement sees two runs. Only if the classes differ from those of the previous run, the views are created again, which
needs an exclusive lock for a moment: it is tried with a short lock_timeout until it succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Table

from xcat import progress
from xcat.config import Settings
from xcat.database import copy, partitions, published, retention, runs, schema
from xcat.database.connection import Connection, connect, ready
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import StageError
from xcat.jobs import changes, frozen, gates, states
from xcat.jobs.states import State
from xcat.sky import joins
from xcat.sky.density_map import cells

_LOCK_TIMEOUT_MS = 50
_PATIENCE_S = 600.0
_WORK_MEM = "256MB"  # sorts, hash joins and indexes of whole tables


def publish(
    settings: Settings,
    classify_run_id: int,
    pipeline_run_id: int | None = None,
    *,
    hold: bool = False,
    allow_loss: float | None = None,
    force: str | None = None,
) -> int:
    """Write the flat tables of a classify run, unless they exist, and let the views of ``pub`` show it.

    Parameters
    ----------
    settings : Settings
    classify_run_id : int
    pipeline_run_id : int, optional
        Run of the pipeline.
    hold : bool
        Only write the tables, to be read under the number of the run; the views do not change.
    allow_loss : float, optional
        Share of what is published that may be lost; see `xcat.jobs.gates.check`.
    force : str, optional
        The reason to publish a run that does not pass the gates.

    Returns
    -------
    int
        The publish run.

    Raises
    ------
    XcatError
        It is not a finished classify run.
    Refusal
        It does not pass the gates. The tables can be read under the number of the run; the views do not change.
    StageError
        The classes differ, and a session has locked the views for ten minutes.
    """
    config = {**({"hold": True} if hold else {}), **({"force": force} if force is not None else {})}
    if allow_loss is not None:
        config["allow_loss"] = allow_loss
    how = "published" if force is None else "forced"
    return _publish(settings, classify_run_id, pipeline_run_id, config, None if hold else how, force, allow_loss)


def rollback(settings: Settings, to: str | None = None, why: str | None = None) -> dict[str, Any]:
    """Publish an earlier state again; it goes through no gate.

    Parameters
    ----------
    to : str, optional
        A name of the state (see `xcat.jobs.states.run_of`). By default the one that was published before; repeated, it
        goes further back.
    why : str, optional
        Kept with the run.

    Returns
    -------
    dict
        run_id (now published), before (run that was), publish_run_id.

    Raises
    ------
    XcatError
        There is nothing to go back to.
    """
    with ready(settings) as conn:
        current = states.shown(conn)
        if to is not None:
            run_id = states.run_of(conn, to)
        else:
            row = conn.execute(job("states.to_roll_back_to").compose()).fetchone()
            if row is None:
                raise StageError("there is no earlier publication to go back to. See: xcat runs")
            run_id = int(row[0])
        states.state(conn, run_id)
    if current is None or current["run_id"] == run_id:
        raise StageError(f"run {run_id} is published already." if current else "nothing is published yet.")
    config = {"rollback_from": current["run_id"], **({"why": why} if why else {})}
    done = _publish(settings, run_id, None, config, "rolled back", why, None)
    return {"run_id": run_id, "before": current["run_id"], "publish_run_id": done}


def _publish(
    settings: Settings,
    classify_run_id: int,
    pipeline_run_id: int | None,
    config: dict[str, Any],
    how: str | None,
    why: str | None,
    allow_loss: float | None,
) -> int:
    """Publish in one of the ways of the column ``how``; None: only write the tables."""
    with ready(settings) as conn:
        row = runs.get(conn, classify_run_id, "classify")
    if row["status"] != "done":
        raise StageError(f"run {classify_run_id} is {row['status']}; only a finished run can be published.")
    config = {"classify_run_id": classify_run_id, **config}
    with runs.stage(settings, "publish", row["name"], config, pipeline_run_id=pipeline_run_id) as run:
        with progress.bar("publish: waiting for its turn"):
            run.conn.execute(job("runs.one_at_a_time").compose())
        classes = _classes(run.conn, row["model_run_id"])
        ((is_written,),) = run.conn.execute(job("publish.is_written").compose(), {"run_id": classify_run_id})
        if not is_written:
            with run.step("classes"):
                _add_class_columns(settings, classes)
            with run.step("tables"):
                _write(run, row, classes)
        if how is not None:
            new, old = states.state(run.conn, classify_run_id), states.shown(run.conn)
            if how != "rolled back":
                with run.step("gates"):
                    _gates(run, new, old, allow_loss, how == "forced")
            elif old is not None:
                run.conn.execute(job("publish.withdraw").compose(), {"run_id": old["run_id"]})
            if old is None or old["run_id"] != classify_run_id:
                with run.step("switch"):
                    _switch(run.conn, classify_run_id, classes, how, why)
                if old is not None:
                    with run.step("changes"):
                        _keep_changes(run, old, new)
        run.summary |= {"published_run_id": classify_run_id, "classes": classes}
    retention.sweep(settings)
    return run.run_id


def _gates(run: Run, new: State, old: State | None, allow_loss: float | None, is_forced: bool) -> None:
    """Check the gates, and keep what they measured with the run, also when they refuse it."""
    checks = gates.check(run.conn, new, old, allow_loss)
    is_compared = any(each["gate"] == "sources_lost" for each in checks)
    against = old["run_id"] if old is not None else None
    run.summary["gates"] = {"against_run_id": against, "is_compared": is_compared, "checks": checks}
    if not is_forced:
        gates.refuse(new["run_id"], old, checks)


def _keep_changes(run: Run, old: State, new: State) -> None:
    """Keep what changed class; the gates have found the sources in common if they compared the states."""
    if not run.summary.get("gates", {}).get("is_compared"):
        states.pair(run.conn, old, new)
    run.summary["n_changed_class"] = changes.store_changes(run.conn, old, new)


def _classes(conn: Connection, model_run_id: int) -> list[str]:
    ((classes,),) = conn.execute(job("publish.classes").compose(), {"model_run_id": model_run_id})
    names = [published.class_column(name) for name in classes]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise StageError(
            f"several classes of the model would share the column {', '.join(repeated)}; "
            "rename them so that they differ in letters or digits."
        )
    return list(classes)


# --- the flat tables --------------------------------------------------------------------------------------


def _write(run: Run, row: dict[str, Any], classes: list[str]) -> None:
    """Write and attach the tables of a classify run, in a separate transaction."""
    with connect(run.settings) as conn, progress.bar("publish: tables", len(schema.PUB_TABLES)) as advance:
        conn.execute(f"SET LOCAL work_mem TO '{_WORK_MEM}'; SET LOCAL maintenance_work_mem TO '{_WORK_MEM}'")
        joins.make_tables(conn)
        conn.execute(job("publish.make_work").compose())
        writer = _Writer(conn, row, classes)
        for name in _FLAT_TABLES:
            with run.step(name):
                writer.targets[name] = partitions.create(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
                getattr(writer, name)()
                partitions.prepare(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
            advance(1)
        for name in _FLAT_TABLES:
            partitions.adopt(conn, f"{name}{schema.ALL_RUNS}", row["run_id"])
        insert(conn, "xcat.publication", [{"run_id": row["run_id"], "active": False, "how": "written"}])


# in the order in which they are filled, each by the method of its name
_FLAT_TABLES = ("counterparts", "hypotheses", "source_evidence", "master_sources", "classified", "ulx_candidates")
_TABLES_OF = {
    "source_run_id": ("source",),
    "link_run_id": ("master", "master_source"),
    "match_run_id": ("match", "match_candidate", "hypothesis"),
    "property_run_id": ("property", "hypothesis_property"),
    "run_id": ("classification",),
}


class _Writer:
    """Fills the flat tables of one classify run, each from the run tables and from those that are filled already."""

    def __init__(self, conn: Connection, row: dict[str, Any], classes: list[str]) -> None:
        self.conn, self.row, self.classes = conn, row, classes
        self.held_out = {"held_out_run_id": frozen.held_out_run(row)}
        # partitions of the run tables; a run made by hand may lack links or matches
        self.partitions = {
            table: partitions.qualified(table, row[column])
            for column, tables in _TABLES_OF.items()
            for table in tables
            if row[column] is not None and partitions.exists(conn, table, row[column])
        }
        self.targets: dict[str, str] = {}

    def execute(self, name: str, params: dict[str, Any] | None = None, /, **places: str | sql.Composable) -> None:
        """Run a statement of sql/jobs/publish.sql."""
        self.conn.execute(job(f"publish.{name}").compose(**self.partitions, **places), params)

    def fill(self, name: str, params: dict[str, Any] | None = None, **places: str | sql.Composable) -> None:
        """Fill the flat table of a name by the query of sql/jobs/publish.sql with that name."""
        numbers = {key: self.row[key] for key in ("run_id", "label_run_id", "property_run_id")} | self.held_out
        query = job(f"publish.{name}").compose(**self.partitions, **places)
        table = f"{name}{schema.ALL_RUNS}"
        columns = published.view_columns(self.classes) if name == "classified" else None
        partitions.fill(self.conn, table, self.row["run_id"], query, numbers | (params or {}), columns)

    def catalogues(self, *kinds: str) -> list[dict[str, Any]]:
        """Versions of catalogues of these kinds that the run's stages read."""
        stages = [self.row[key] for key in ("match_run_id", "property_run_id") if self.row[key] is not None]
        values = {"run_ids": stages, "kinds": list(kinds)}
        return dicts(self.conn.execute(job("publish.catalogues").compose(), values))

    def counterparts(self) -> None:
        """Accepted counterparts, catalogue by catalogue."""
        shared = _shared("o", schema.CATALOGUE_TABLES["counterpart"], "counterparts_runs", _OF_COUNTERPART)
        for item in self.catalogues("optical", "infrared") if "match" in self.partitions else []:
            counterpart = partitions.qualified("counterpart", item["catalogue_id"])
            values = {"catalogue_id": item["catalogue_id"], "catalogue": item["name"], "kind": item["kind"]}
            self.fill("counterparts", values, counterpart=counterpart, values=shared)
        row = self.conn.execute(job("publish.priority").compose(), self.row).fetchone()
        priority = {"priority": row[0] if row and row[0] else []}
        self.execute("first_counterparts", priority, counterparts=self.targets["counterparts"])
        self.conn.execute("ANALYZE pg_temp.first_counterpart")

    def hypotheses(self) -> None:
        """Hypotheses with the names of their members."""
        if "hypothesis" not in self.partitions:
            return
        for item in self.catalogues("optical", "infrared"):
            counterpart = partitions.qualified("counterpart", item["catalogue_id"])
            values = {"catalogue_id": item["catalogue_id"], "catalogue": item["name"]}
            self.execute("members", values, counterpart=counterpart)
        self.conn.execute("ANALYZE pg_temp.member")
        shared = _shared("p", schema.RUN_TABLES["hypothesis_property"], "hypotheses_runs", _OF_HYPOTHESIS)
        self.fill("hypotheses", values=shared)

    def source_evidence(self) -> None:
        """Evidence, one array per source."""
        self.fill("source_evidence")

    def master_sources(self) -> None:
        """Sources with their master sources."""
        if "master_source" in self.partitions:
            self.fill("master_sources")

    def classified(self) -> None:
        """Put everything about a source into one row."""
        self._cells()
        values = _shared("p", schema.RUN_TABLES["property"], "classified_runs", _OF_PROPERTIES)
        for i, name in enumerate(map(published.class_column, self.classes), 1):
            values += sql.SQL(", ") + job("publish.class_value").compose(number=sql.Literal(i), name=name)
        for i, name in enumerate(map(published.class_column, self.classes), 1):
            values += sql.SQL(", ") + job("publish.class_error").compose(number=sql.Literal(i), name=f"{name}_err")
        master_sources = self.targets["master_sources"]
        classes = {"classes": self.classes, "label_run_id": self.row["label_run_id"]} | self.held_out
        self.execute("of_missions", classes, master_sources=master_sources)
        self.conn.execute("ANALYZE pg_temp.of_missions")
        self.fill("classified", classes, master_sources=master_sources, values=values)

    def _cells(self) -> None:
        """HEALPix cell of every source."""
        query = job("joins.positions").compose(source=self.partitions["source"])
        types = [("source_id", "bigint"), ("ra", "double precision"), ("dec", "double precision")]
        rows = copy.fetch_columns(self.conn, query, types)
        block = {"source_id": rows["source_id"], "hpx29": cells(rows["ra"], rows["dec"], 29)}
        copy.copy_in(self.conn, "cell", [block])
        self.conn.execute("ANALYZE pg_temp.cell")

    def ulx_candidates(self) -> None:
        """Ultraluminous sources, by the galaxies that the properties were computed with."""
        classified = self.targets["classified"]
        numbers = [item["catalogue_id"] for item in self.catalogues("galaxy")]
        query = job("publish.largest_galaxy").compose()
        ((d25_arcmin,),) = self.conn.execute(query, {"catalogue_ids": numbers})
        for item in self.catalogues("galaxy"):
            galaxy = partitions.qualified("galaxy", item["catalogue_id"])
            find = job("publish.luminous_needles").compose(classified=classified)
            joins.needles(self.conn, find, {"d25_arcmin": d25_arcmin})
            joins.search(self.conn, galaxy, f"{item['name']} x luminous sources")
            self.execute("near_galaxies", galaxy=galaxy, classified=classified)
        values = _shared("c", schema.PUB_TABLES["classified_runs"], "ulx_candidates_runs", {"is_best_of_master"})
        master_sources = self.targets["master_sources"]
        self.fill("ulx_candidates", classified=classified, master_sources=master_sources, values=values)


# columns that the statements write themselves, though both tables have them
_OF_COUNTERPART = {"native_id", "ra", "dec"}
_OF_HYPOTHESIS = {"run_id", "source_id", "rank", "p_hypothesis"}
_OF_PROPERTIES = {"run_id", "source_id", "n_detections", "is_classifiable"}


def _shared(alias: str, table: Table, pub_table: str, without: set[str]) -> sql.Composed:
    """Columns that a table and one of ``pub`` share, for a SELECT from an alias."""
    names = {c.name for c in table.columns} - without
    shared = [c.name for c in schema.PUB_TABLES[pub_table].columns if c.name in names]
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in shared)


# --- the views --------------------------------------------------------------------------------------------


def _switch(conn: Connection, classify_run_id: int, classes: list[str], how: str, why: str | None) -> None:
    """Let the views show a run, in the transaction of the publish run."""
    if _columns_of(conn, "pub.classified") != published.view_columns(classes):
        _patiently(conn, lambda: published.make_views(conn, classes))
    conn.execute(job("classify.unpublish").compose())
    insert(conn, "xcat.publication", [{"run_id": classify_run_id, "active": True, "how": how, "why": why}])
    # every view of pub reads one of these tables
    for table in (f"{schema.SCHEMA}.publication", *(f"{schema.PUB}.{name}" for name in schema.PUB_TABLES)):
        conn.execute(job("publish.plans_are_old").compose(table=table))


def _columns_of(conn: Connection, relation: str) -> list[str]:
    return [row[0] for row in conn.execute(job("publish.columns_of").compose(), {"relation": relation})]


def _add_class_columns(settings: Settings, classes: list[str]) -> None:
    """Give the flat table a column for every class that it lacks; if it lacks none, no lock is taken."""
    with connect(settings) as conn:
        columns = _columns_of(conn, "pub.classified_runs")
        wanted = [column + error for column in map(published.class_column, classes) for error in ("", "_err")]
        new = [name for name in wanted if name not in columns]

        def add() -> None:
            for name in new:
                conn.execute(job("publish.add_class_column").compose(name=name))
                published.comment(conn, "pub.classified_runs", name)

        if new:
            _patiently(conn, add)


def _patiently(conn: Connection, change: Callable[[], None]) -> None:
    """Make a change that needs exclusive locks without blocking readers: try for a short time, and repeat.

    A reader waits at most `_LOCK_TIMEOUT_MS` for it. That is less than the deadlock_timeout, so that in a deadlock this
    session always gives up first.
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
                        "the classes differ from those of the previous run, so pub.classified must be created again, "
                        "but a session has locked it for ten minutes; nothing was changed. See pg_stat_activity, and "
                        "try again."
                    ) from None
                time.sleep(min(0.05 * (attempt + 1), 1.0))

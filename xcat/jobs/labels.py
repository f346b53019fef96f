"""The label stage: known objects among the sources, and their class of the pipeline (sql/jobs/label.sql)."""

from __future__ import annotations

from collections.abc import Sequence

from xcat.database import partitions
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import StageError
from xcat.jobs.classes import Classes, rules
from xcat.sky import joins

_MAX_LABEL_RADIUS_ARCSEC = 60.0


def label_stage(
    run: Run,
    source_run_id: int,
    references: list[Loaded],
    classes: Classes,
    property_run_id: int | None = None,
    galaxies: Sequence[Loaded] = (),
) -> None:
    """Label sources by position with the reference catalogues.

    A source takes the first class whose rule fits the known object and the source's place.

    Parameters
    ----------
    run : Run
    source_run_id : int
    references : list of Loaded
    classes : mapping
        Class to its rule, in the order in which they are tried.
    property_run_id : int, optional
        Properties of the sources, needed by classes of sources in galaxies.
    galaxies : sequence of Loaded
        Needed by the same classes; their centres are the nuclei.

    Raises
    ------
    StageError
        A class depends on the place in a galaxy, and there are no galaxies.
    """
    conn = run.conn
    of_place = [name for name, rule in classes.items() if rule.is_of_place]
    if of_place and (property_run_id is None or not galaxies):
        raise StageError(
            f"{of_place[0]}: a class with 'where: {classes[of_place[0]].where}' needs a catalogue of galaxies. "
            "Name one under 'galaxies' in the pipeline."
        )
    joins.make_tables(conn)
    conn.execute(job("label.make_work").compose())
    insert(conn, "pg_temp.class_rule", rules(classes))
    of_run = {"run_id": run.run_id, "source_run_id": source_run_id, "property_run_id": property_run_id}
    for number, reference in enumerate(references):
        values = of_run | {
            "tolerance_arcsec": reference.definition.label_tolerance_arcsec,
            "max_radius_arcsec": _MAX_LABEL_RADIUS_ARCSEC,
            "catalogue_id": reference.catalogue_id,
            "origin": reference.definition.name,
            "place": number,
        }
        with run.step(reference.definition.name):
            joins.needles(conn, job("label.needles").compose(haystack=reference.table), values)
            joins.search(conn, reference.table, f"{reference.definition.name} x sources")
            conn.execute(job("label.hits").compose(haystack=reference.table), values)
    nuclei = [rule.nucleus_arcsec for rule in classes.values() if rule.where == "off_nuclear"]
    for nearby in galaxies if nuclei else ():
        with run.step(nearby.definition.name):
            find = job("label.nucleus_needles").compose()
            joins.needles(conn, find, of_run | {"nucleus_arcsec": max(nuclei)})
            joins.search(conn, nearby.table, f"{nearby.definition.name} x labelled sources")
            conn.execute(job("label.nuclei").compose(galaxy=nearby.table))
    target = partitions.create(conn, "label", run.run_id)
    conn.execute(job("label.places").compose(), of_run)
    partitions.fill(conn, "label", run.run_id, job("label.store").compose(), of_run)
    partitions.attach(conn, "label", run.run_id)
    run.summary["labels"] = dicts(conn.execute(job("label.count").compose(label=target)))

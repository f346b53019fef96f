"""The label stage: which sources are known objects, and of which class of the pipeline (sql/jobs/label.sql)."""

from __future__ import annotations

from xcat.database import partitions
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
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
    galaxies: list[Loaded] | None = None,
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
        Properties that say which sources are in a galaxy; needed where a class asks for that.
    galaxies : list of Loaded, optional
        Where nuclei are, for classes of sources away from them.

    Raises
    ------
    StageError
        A class asks for a place in a galaxy, and there are no galaxies.
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
    with conn.cursor() as cursor:
        cursor.executemany(job("label.add_rule").compose(), rules(classes))
    for number, reference in enumerate(references):
        values = {
            "source_run_id": source_run_id,
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
    for nearby in (galaxies or []) if nuclei else []:
        with run.step(nearby.definition.name):
            find = job("label.nucleus_needles").compose()
            joins.needles(conn, find, {"source_run_id": source_run_id, "nucleus_arcsec": max(nuclei)})
            joins.search(conn, nearby.table, f"{nearby.definition.name} x labelled sources")
            conn.execute(job("label.nuclei").compose(galaxy=nearby.table))
    target = partitions.create(conn, "label", run.run_id)
    where = {"source_run_id": source_run_id, "property_run_id": property_run_id}
    conn.execute(job("label.places").compose(), where)
    conn.execute(job("label.store").compose(label=target), {"run_id": run.run_id})
    partitions.attach(conn, "label", run.run_id)
    run.summary["labels"] = dicts(conn.execute(job("label.count").compose(label=target)))

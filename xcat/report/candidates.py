"""The most probable members of a class."""

from __future__ import annotations

import math

from astropy.table import Table
from psycopg import sql

from xcat.database import partitions
from xcat.database.connection import Connection
from xcat.database.published import class_column
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.output.provenance import KEY, provenance
from xcat.output.reading import classify_run
from xcat.output.results import query

MAX_RADIUS_DEG = 20.0  # larger cones were wrong in q3c before 2.0.5


def checked_cone(ra: float, dec: float, radius_deg: float) -> dict[str, float]:
    """Check a cone; the right ascension may be any angle.

    Raises
    ------
    XcatError
        A number is not finite or out of range.
    """
    if not all(map(math.isfinite, (ra, dec, radius_deg))):
        raise XcatError(f"cone {ra}, {dec}, {radius_deg}: must be three finite numbers, in degrees")
    if not -90 <= dec <= 90:
        raise XcatError(f"cone: declination must be between -90 and 90 degrees, got {dec:g}")
    if not 0 < radius_deg <= MAX_RADIUS_DEG:
        raise XcatError(f"cone: radius must be above 0 and at most {MAX_RADIUS_DEG:g} degrees, got {radius_deg:g}")
    return {"ra": ra % 360.0, "dec": dec, "radius_deg": radius_deg}


def candidates(
    conn: Connection,
    class_name: str,
    min_probability: float = 0.0,
    cone: tuple[float, float, float] | None = None,
    limit: int | None = None,
    include_known: bool = False,
    run_id: int | None = None,
    every_mission: bool = False,
) -> Table:
    """List the objects of a class, the surest first: by probability times stability.

    An object that several missions have seen is listed once: as its best measured source, if that one is of the class.
    ``other_missions`` says what the others are.

    Parameters
    ----------
    class_name : str
        A class of the model, in any case.
    min_probability : float
        Lowest probability of the class.
    cone : tuple of float, optional
        Right ascension, declination and radius, in degrees.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.
    include_known : bool
        Include objects of which a source, of whatever mission, is in a reference catalogue.
    run_id : int, optional
        Classify run; the published one if not given.
    every_mission : bool
        List every source of the class, of every mission.

    Raises
    ------
    XcatError
        Nothing is published, or the class, the probability, the cone or the limit is invalid.
    """
    if not 0 <= min_probability <= 1:
        raise XcatError(f"the probability must be between 0 and 1, got {min_probability:g}")
    if limit is not None and limit < 1:
        raise XcatError(f"the limit must be 1 or more, got {limit}")
    place = checked_cone(*cone) if cone is not None else {}
    run = classify_run(conn, run_id)
    classes = {name.lower(): name for name in run["classes"]}
    if class_name.lower() not in classes:
        raise XcatError(f"run {run['run_id']} has no class '{class_name}', only {', '.join(run['classes'])}")
    if not run["is_in_pub"]:
        raise XcatError(
            f"run {run['run_id']} has no tables in pub. Make them: xcat publish {run['run_id']}, or, to keep the views "
            f"on the run that they show now, xcat publish {run['run_id']} --hold"
        )
    classified = partitions.qualified("classified_runs", run["run_id"])
    near: sql.Composable = job("report.near").compose(classified=classified) if place else sql.SQL("")
    values = {
        "class": classes[class_name.lower()],
        "min_probability": min_probability,
        "include_known": include_known,
        "every_mission": every_mission,
        "limit": limit,
        **place,
    }
    of_class = sql.SQL(", ").join(sql.Identifier(class_column(name)) for name in run["classes"])
    statement = job("report.candidates").compose(near=near, classified=classified, classes=of_class)
    table = query(conn, statement.as_string(conn), values)
    total = len(table)
    if limit is not None and total == limit:
        counted = job("report.count_candidates").compose(near=near, classified=classified)
        row = conn.execute(counted, values).fetchone()
        total = row[0] if row else total
    table.meta |= {"run_id": run["run_id"], "class": values["class"], "total_rows": total}
    table.meta[KEY] = provenance(
        "candidates",
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        **{"class": values["class"]},
        min_probability=min_probability,
        cone_deg=None if cone is None else ", ".join(f"{value:.10g}" for value in cone),
        known_included=include_known,
    )
    return table

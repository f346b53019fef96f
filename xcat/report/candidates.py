"""The most probable members of a class."""

from __future__ import annotations

import math

from astropy.table import Table
from psycopg import sql

from xcat.classifier.metrics import expected_f1
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.published import class_column
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.output.provenance import KEY, provenance
from xcat.output.reading import classify_run
from xcat.output.results import query

_STEPS = [("n", "bigint"), ("members", "double precision")]
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
    min_probability: float | None = None,
    cone: tuple[float, float, float] | None = None,
    limit: int | None = None,
    include_known: bool = False,
    run_id: int | None = None,
    every_mission: bool = False,
) -> Table:
    """List the objects that may be of a class, the surest first: by probability times stability.

    An object that several missions have seen is listed once, as its best measured source. ``other_missions`` says what
    the others are.

    Parameters
    ----------
    class_name : str
        A class of the model, in any case.
    min_probability : float, optional
        Lowest probability of the class; if not given, that with which the F1 of the list should be best
        (`xcat.classifier.metrics.expected_f1`).
    cone : tuple of float, optional
        Right ascension, declination and radius, in degrees.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.
    include_known : bool
        Include objects of which a source, of whatever mission, is in a reference catalogue.
    run_id : int, optional
        Classify run; the published one if not given.
    every_mission : bool
        List every source, of every mission.

    Returns
    -------
    Table
        ``meta["expected"]`` has "members" of the class in the list, by the probabilities, "of" how many there are
        altogether, "purity", "completeness", "f1", and "best_min_probability".

    Raises
    ------
    XcatError
        Nothing is published, or the class, the probability, the cone or the limit is invalid.
    """
    if min_probability is not None and not 0 <= min_probability <= 1:
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
    name = classes[class_name.lower()]
    of_class: dict[str, str | sql.Composable] = {
        "classified": classified,
        "p": sql.Identifier(class_column(name)),
        "near": near,
    }
    asked = {"include_known": include_known, "every_mission": every_mission, **place}
    steps = copy.fetch_columns(conn, job("report.expected_members").compose(**of_class), _STEPS, asked)
    f1 = expected_f1(steps["n"], steps["members"])
    best = round(float(f1.max(initial=0.0)) / 2.0, 3)
    least = best if min_probability is None else min_probability
    columns = sql.SQL(", ").join(sql.Identifier(class_column(each)) for each in run["classes"])
    statement = job("report.candidates").compose(**of_class, classes=columns)
    values = {"class": name, "min_probability": least, **asked}
    table = query(conn, statement.as_string(conn), values | {"limit": limit})
    ((n, members),) = conn.execute(job("report.count_candidates").compose(**of_class), values)
    all_members = float(steps["members"].sum())
    table.meta["expected"] = {
        "members": members,
        "of": all_members,
        "purity": members / n if n else None,
        "completeness": members / all_members if all_members else None,
        "f1": 2.0 * members / (n + all_members) if n + all_members else None,
        "min_probability": least,
        "best_min_probability": best,
    }
    table.meta |= {"run_id": run["run_id"], "class": name, "total_rows": n}
    table.meta[KEY] = provenance(
        "candidates",
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        **{"class": name},
        min_probability=least,
        cone_deg=None if cone is None else ", ".join(f"{value:.10g}" for value in cone),
        known_included=include_known,
    )
    return table


def expectation(table: Table) -> str:
    """What a list may expect, in words."""
    name, e = table.meta["class"], table.meta["expected"]
    if not e["of"]:
        return f"There is no object that may be {name}"
    best = e["min_probability"] == e["best_min_probability"]
    share = "" if e["purity"] is None else f" ({e['purity']:.0%} of the list, {e['completeness']:.0%} of all)"
    text = f"By their probabilities {e['members']:,.0f} of {e['of']:,.0f} {name} are listed{share}"
    if best:
        return f"{text}: the best F1 that a list may expect, from a probability of {e['min_probability']:g}"
    return f"{text}; F1 should be best from a probability of {e['best_min_probability']:g}"

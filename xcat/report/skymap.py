"""The published sources in the credible regions of a sky map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from psycopg import sql

from xcat.arrays import FloatArray, IntArray
from xcat.columns.registry import columns
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.published import class_column
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.output.provenance import KEY, provenance
from xcat.output.reading import classify_run
from xcat.output.results import query
from xcat.sky.skymap import Region, SkyMap

if TYPE_CHECKING:
    from astropy.table import Table

FACTS = "skymap"
"""Key of what is known of map and regions in the metadata of a table."""
_INNER = 0.5
_CM_IN_MPC = 3.0856775814913673e24
_FOUND = [("source_id", "bigint"), ("hpx29", "bigint"), ("ra", "double precision"), ("dec", "double precision")]
#: Columns that are computed here, and after which column of the database they come.
_COMPUTED = ("credible_level", "region_level", "probability_per_deg2")
_OF_DISTANCE = ("distance_mean_mpc", "distance_std_mpc", "host_deviation_sigma")


class Found(NamedTuple):
    """Sources in a region, the densest places first, with the cell of the map that each is in."""

    source_id: IntArray
    cell: IntArray


def levels(level: float) -> list[float]:
    """The levels of the regions that are told: 0.5, and the one that is asked for.

    Raises
    ------
    XcatError
        The level is not above 0 and at most 1.
    """
    if not 0 < level <= 1:
        raise XcatError(f"the level of a credible region must be above 0 and at most 1, got {level:g}")
    return [_INNER, level] if level > _INNER else [level]


def skymap_sources(
    conn: Connection,
    skymap: SkyMap,
    level: float = 0.9,
    class_name: str | None = None,
    min_probability: float | None = None,
    limit: int | None = None,
    run_id: int | None = None,
) -> Table:
    """List the published sources in the credible region of a map, by credible level.

    Parameters
    ----------
    skymap : SkyMap
        As `xcat.ingest.skymap_file.read_skymap` gives it from a file, `SkyMap.of_cells` from columns.
    level : float
        Probability that the region holds.
    class_name : str, optional
        List sources of this class of the model only, in any case.
    min_probability : float, optional
        Lowest probability: of that class, whichever class is most probable; or else of the source's own class.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.
    run_id : int, optional
        Classify run; the published one if not given.

    Returns
    -------
    Table
        ``meta["skymap"]`` has facts and notes of the map, and of every region level, probability, area and sources.

    Raises
    ------
    XcatError
        Nothing is published, or the level, the class, the probability or the limit is invalid.
    """
    regions = [skymap.region(each) for each in levels(level)]
    if min_probability is not None and not 0 <= min_probability <= 1:
        raise XcatError(f"the probability must be between 0 and 1, got {min_probability:g}")
    if limit is not None and limit < 0:
        raise XcatError(f"the limit must be 0 or more, got {limit}")
    run = classify_run(conn, run_id)
    name = _checked_class(run, class_name)
    if not run["is_in_pub"]:
        raise XcatError(f"run {run['run_id']} has no tables in pub. Make them: xcat publish {run['run_id']} --hold")
    classified = partitions.qualified("classified_runs", run["run_id"])
    found = find_sources(conn, skymap, regions[-1], classified, name, min_probability)
    kept = Found(*(values[:limit] for values in found))
    of_class = [] if name is None else [sql.SQL("s.{}, ").format(sql.Identifier(class_column(name)))]
    statement = job("skymap.rows").compose(classified=classified, of_class=sql.Composed(of_class))
    values = {"source_ids": kept.source_id.tolist(), "cm_in_mpc": _CM_IN_MPC}
    table = query(conn, statement.as_string(conn), values)
    _add_columns(table, skymap, regions, kept.cell)
    counts = [int(skymap.is_in(region.level)[found.cell].sum()) for region in regions]
    told = [_told(region, n) for region, n in zip(regions, counts, strict=True)]
    table.meta[FACTS] = {**skymap.facts, "regions": told, "notes": skymap.notes}
    table.meta |= {"run_id": run["run_id"], "total_rows": len(found.source_id)}
    facts: dict[str, Any] = {f"skymap_{key}": value for key, value in skymap.facts.items()}
    facts |= {"regions": "; ".join(map(region_words, told)), "notes": "; ".join(skymap.notes) or None}
    facts |= {"class": name, "min_probability": min_probability}
    table.meta[KEY] = provenance("skymap", run_id=run["run_id"], model_run_id=run["model_run_id"], **facts)
    return table


def _checked_class(run: dict[str, Any], class_name: str | None) -> str | None:
    known = {name.lower(): name for name in run["classes"]}
    if class_name is not None and class_name.lower() not in known:
        raise XcatError(f"run {run['run_id']} has no class '{class_name}', only {', '.join(run['classes'])}")
    return None if class_name is None else known[class_name.lower()]


def find_sources(
    conn: Connection,
    skymap: SkyMap,
    region: Region,
    classified: str,
    class_name: str | None = None,
    min_probability: float | None = None,
) -> Found:
    """Find the sources in a region, by credible level; those of places that are as dense in the order of the sky.

    Parameters
    ----------
    classified : str
        Table with source_id, hpx29, ra, dec, catalogue, name, and what the conditions need.
    class_name, min_probability
        As `skymap_sources`.
    """
    first, last = skymap.equatorial_ranges(region)
    condition = job("skymap.all").compose()
    if min_probability is not None:
        p = "p_class" if class_name is None else class_column(class_name)
        condition = job("skymap.at_least").compose(p=p)
    elif class_name is not None:
        condition = job("skymap.of_class").compose()
    statement = job("skymap.sources_in").compose(classified=classified, condition=condition)
    asked = {"first": first.tolist(), "last": last.tolist(), "class": class_name, "min_probability": min_probability}
    rows = copy.fetch_columns(conn, statement, _FOUND, asked)
    # a galactic map has numbers of its own, and its ranges are a little larger than the region
    cell = skymap.cell_of(rows["ra"], rows["dec"]) if skymap.is_galactic else skymap.cell_at(rows["hpx29"])
    inside = (cell >= 0) & skymap.is_in(region.level)[cell]
    source_id, cell = rows["source_id"][inside], cell[inside]
    at = np.lexsort((rows["hpx29"][inside], skymap.level[cell]))  # keeps the order of what is equal
    return Found(source_id[at], cell[at])


def _add_columns(table: Table, skymap: SkyMap, regions: Sequence[Region], cell: IntArray) -> None:
    """Put in what the map says of the places of the sources."""
    of_region = np.full(len(cell), regions[-1].level)
    for region in reversed(regions):
        of_region[skymap.is_in(region.level)[cell]] = region.level
    mean, std = skymap.distance_mpc(cell)
    host = np.ma.filled(np.ma.asarray(table["host_distance_mpc"]), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = (host - mean) / std
    at = table.colnames.index("class")
    for name, values in zip(_COMPUTED, (skymap.level[cell], of_region, skymap.density_per_deg2[cell]), strict=True):
        table.add_column(_column(name, values), index=at)
        at += 1
    at = table.colnames.index("host_distance_mpc")
    for name, values in zip(_OF_DISTANCE, (mean, std, deviation), strict=True):
        table.add_column(_column(name, values), index=at + (name == _OF_DISTANCE[-1]))
        at += 1


def _column(name: str, values: FloatArray) -> Any:
    """A column with its meaning; what is not known is masked."""
    from astropy.table import Column, MaskedColumn

    meaning, unknown = columns()[name], ~np.isfinite(values)
    about = {"name": name, "unit": meaning.unit or None, "description": meaning.about, "meta": {"ucd": meaning.ucd}}
    return MaskedColumn(values, mask=unknown, **about) if unknown.any() else Column(values, **about)


def _told(region: Region, n_sources: int) -> dict[str, Any]:
    return {
        "level": region.level,
        "probability": region.probability,
        "area_deg2": region.area_deg2,
        "n_sources": n_sources,
    }


def region_words(region: dict[str, Any]) -> str:
    """A region in words: level, area, sources."""
    plural = "source" if region["n_sources"] == 1 else "sources"
    return (
        f"{region['level']:.4g} region: {region['area_deg2']:,.6g} deg2, {region['n_sources']:,} {plural} "
        f"(probability {region['probability']:.6f})"
    )


def write_moc(region: Region, skymap: SkyMap, path: Path, overwrite: bool = False) -> None:
    """Write a region as a MOC.

    Raises
    ------
    XcatError
        The map is galactic, of which a MOC, always equatorial, cannot have the cells; or the file cannot be written.
    """
    if skymap.is_galactic:
        raise XcatError(
            f"{path}: cells of a galactic map are no cells of a MOC, which is equatorial; rotate the map first"
        )
    from xcat.atomic import check_new, writing

    check_new(path, (".fits",), overwrite)
    try:
        with writing(path) as part:
            region.moc().save(str(part), format="fits")
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error

"""HATS, the format of LSDB: tables divided by cells of the sky, for a cluster. Only this module needs the extra hats.

A reference that is too large to load is cut here to what is near X-ray sources. Beside the rows goes what the match
needs of all the others: how many there are in every cell of the sky.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xcat.arrays import FloatArray
from xcat.atomic import check_new, writing
from xcat.errors import ConfigError, XcatError
from xcat.output.provenance import provenance
from xcat.sky import density_map
from xcat.sky.cut import CUT_KEY, coverage_file, density_file

_ROWS_IN_CELL = 1_000_000
_AT_ONCE = 8  # cells of the reference


def check(folder: Path | None = None) -> None:
    """Refuse what could not be done, before the work.

    Raises
    ------
    XcatError
        The folder exists, or the extra is not installed.
    """
    if find_spec("lsdb") is None or find_spec("hats_import") is None:
        raise XcatError("HATS needs LSDB and hats-import, 900 MB that are not part of xcat: pip install 'xcat[hats]'")
    if folder is not None:
        check_new(folder, (), overwrite=False)


@contextmanager
def _client() -> Iterator[Any]:
    """A thread of this process as a cluster; one that the caller has started is used as it is."""
    from dask.distributed import Client, default_client

    try:
        yield default_client()
    except ValueError:
        with (
            tempfile.TemporaryDirectory(prefix="xcat-dask-") as folder,
            Client(
                n_workers=1,
                threads_per_worker=1,
                processes=False,
                dashboard_address=None,
                local_directory=folder,
            ) as client,
        ):
            yield client


def write(parquet: Path, folder: Path, margin_arcsec: float = 60.0) -> None:
    """Write a Parquet file with columns ra and dec (ICRS, degrees) as a HATS collection with a margin.

    Parameters
    ----------
    parquet : Path
        It is read piece by piece.
    folder : Path
        A new folder; it is there as a whole or not at all.
    margin_arcsec : float
        A crossmatch by LSDB is right at the edges of cells up to this radius.

    Raises
    ------
    XcatError
        See `check`; or the table has no position.
    """
    check(folder)
    if not {"ra", "dec"} <= set(pq.read_schema(parquet).names):
        raise XcatError(f"{folder}: HATS needs the columns ra and dec, in degrees; export a table that has them")
    from hats_import import CollectionArguments, pipeline_with_client

    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent) as part:
        options = CollectionArguments(
            output_path=part, output_artifact_name=folder.name, progress_bar=False, resume=False, tmp_dir=part
        ).catalog(
            input_file_list=[str(parquet)],
            file_reader="parquet",
            ra_column="ra",
            dec_column="dec",
            pixel_threshold=_ROWS_IN_CELL,
        )
        if margin_arcsec > 0:
            options = options.add_margin(margin_threshold=margin_arcsec, is_default=True)
        with _client() as client:
            pipeline_with_client(options, client)
        (Path(part) / folder.name).rename(folder)


def radius_arcsec(search_radius_arcsec: float) -> float:
    """How far around the sources the match looks: shifted positions are 12 search radii away, 60 arcsec at least."""
    return max(12 * search_radius_arcsec, 60.0) + search_radius_arcsec


def cut(
    reference: str, ra_deg: FloatArray, dec_deg: FloatArray, radius_arcsec: float, path: Path, overwrite: bool = False
) -> dict[str, Any]:
    """Cut a reference in HATS to what is near X-ray sources, cell by cell of the sky.

    Parameters
    ----------
    reference : str
        Folder or address of the HATS catalogue.
    ra_deg, dec_deg : ndarray, shape (n,)
        X-ray sources, ICRS.
    radius_arcsec : float
        Everything nearer to any source is kept. The match looks at 13 search radii: see docs/explanation/matching.md.
    path : Path
        A Parquet file; beside it the area (``.moc.fits``) and the counts of all objects (``.density.parquet``).

    Returns
    -------
    dict
        ``rows_in``, ``rows_out``, ``area_deg2`` and the three files.

    Raises
    ------
    XcatError
        The extra is not installed, a file exists, or the reference cannot be read.
    """
    check()
    if path.suffix.lower() != ".parquet":
        raise ConfigError(f"{path}: a cut is a Parquet file: its name ends in .parquet")
    density_path, moc_path = density_file(path), coverage_file(path)
    for each in (path, density_path, moc_path):
        check_new(each, (each.suffix,), overwrite)
    import lsdb
    import pandas as pd

    with _client():
        try:
            whole = lsdb.open_catalog(reference, columns="all")
        except (OSError, ValueError) as error:
            raise XcatError(f"{reference} cannot be read as HATS: {error}") from error
        info = whole.hc_structure.catalog_info
        ra, dec = str(info.ra_column), str(info.dec_column)
        # LSDB joins cells with cells: the margin holds the sources that are just over the edge
        sources = lsdb.from_dataframe(
            pd.DataFrame({"xray_ra": ra_deg, "xray_dec": dec_deg}),
            ra_column="xray_ra",
            dec_column="xray_dec",
            margin_threshold=1.01 * radius_arcsec,
        )
        near = whole.crossmatch(
            sources,
            n_neighbors=1,
            radius_arcsec=radius_arcsec,
            suffixes=("", "_of_xray"),
            suffix_method="overlapping_columns",
            log_changes=False,
        )[list(whole.columns)]
        counter = density_map.Counter()
        places = whole[[ra, dec]].map_partitions(_counted, ra, dec, meta=_counted(_no_place(), "ra", "dec"))
        for cells in _partitions(places):
            counter.merge(*(cells[name].to_numpy(np.int64) for name in ("healpix", "n_objects", "occupied_parts")))
        healpix, n_objects = counter.occupied()
        counts = {"healpix": healpix, "n_objects": n_objects, "occupied_parts": counter.parts()}
        with writing(density_path) as part:
            pq.write_table(pa.table(counts), part)
            digest = hashlib.sha256(part.read_bytes()).hexdigest()
        facts = provenance("cut", reference=str(reference), radius_arcsec=radius_arcsec, n_xray=len(ra_deg))
        notes = {CUT_KEY: json.dumps(facts | {"density_sha256": digest})}
        with writing(path) as part:
            n_rows = _write_rows(near, part, notes)
    area = _area(ra_deg, dec_deg, radius_arcsec)
    with writing(moc_path) as part:
        area.save(part, format="fits", overwrite=True)
    area_deg2 = round(float(area.sky_fraction) * 41252.96125, 4)
    files = {"output": str(path), "density": str(density_path), "moc": str(moc_path)}
    return {"rows_in": int(n_objects.sum()), "rows_out": n_rows, "area_deg2": area_deg2, **files}


def _no_place() -> Any:
    import pandas as pd

    return pd.DataFrame({"ra": np.zeros(0), "dec": np.zeros(0)})


def _counted(rows: Any, ra: str, dec: str) -> Any:
    """Counts of the positions of one cell of the reference, on the worker that has it."""
    import pandas as pd

    names = ("healpix", "n_objects", "occupied_parts")
    counts = density_map.counted(rows[ra].to_numpy(float), rows[dec].to_numpy(float))
    return pd.DataFrame(dict(zip(names, counts, strict=True)))


def _partitions(catalogue: Any) -> Iterator[Any]:
    """What a catalogue has in every cell, one after the other, so that memory holds a few."""
    import dask

    delayed = catalogue.to_delayed()
    for first in range(0, len(delayed), _AT_ONCE):
        yield from dask.compute(*delayed[first : first + _AT_ONCE])


def _write_rows(near: Any, path: Path, notes: dict[str, str]) -> int:
    writer, n_rows = None, 0
    try:
        for rows in _partitions(near):
            table = pa.Table.from_pandas(rows, preserve_index=False)
            if writer is None:
                schema = table.schema.remove_metadata().with_metadata(notes)
                writer = pq.ParquetWriter(path, schema, write_page_checksum=True)
            writer.write_table(table.cast(schema))
            n_rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    if not n_rows:
        raise XcatError("no object of the reference is near a source: is it the right sky, are positions in degrees?")
    return n_rows


def _area(ra_deg: FloatArray, dec_deg: FloatArray, radius_arcsec: float) -> Any:
    """Discs around the sources; cells at their edges count where their middles are inside."""
    from astropy import units as u
    from mocpy import MOC

    place = ra_deg * u.deg, dec_deg * u.deg
    radius = radius_arcsec * u.arcsec
    return MOC.from_cones(*place, radius=radius, max_depth=14, delta_depth=2, union_strategy="small_cones")

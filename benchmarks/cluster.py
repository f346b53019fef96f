"""LSDB on a HATS made here: rows per second of writing, crossmatching and cutting, and what a larger one would take.

sizes    X-ray sources x objects of the reference, both scattered over the same part of the sky, with 40,000 objects per
         square degree, as Gaia has on average
write    `xcat.output.hats.write`: a Parquet file becomes a HATS with its margin
match    LSDB's crossmatch, the nearest object within 15 arcsec of every source
cut      `xcat.output.hats.cut`: counts of all objects, and the rows within 195 arcsec of a source

It needs the extra hats. The last lines give the time of 1,000,000 sources and 2,000,000,000 objects at these rates.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xcat.output import hats

PER_DEG2 = 40_000
MATCH_ARCSEC, SEARCH_ARCSEC = 15.0, 15.0
LARGE = (1_000_000, 2_000_000_000)


def places(rng: np.random.Generator, n: int, area_deg2: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions (deg) spread evenly over a strip along the equator, 60 degrees wide at most."""
    width = min(60.0, area_deg2**0.5)
    sine = np.radians(area_deg2 / width / 2)
    return rng.uniform(0, width, n), np.degrees(np.arcsin(rng.uniform(-sine, sine, n)))


def measured(n_sources: int, n_objects: int, folder: Path) -> dict[str, float]:
    """Seconds of each part."""
    import lsdb
    import pandas as pd

    rng = np.random.default_rng(1)
    area_deg2 = n_objects / PER_DEG2
    ra, dec = places(rng, n_objects, area_deg2)
    columns = {"source_id": np.arange(n_objects), "ra": ra, "dec": dec}
    columns |= {f"mag_{band}": rng.normal(19, 1, n_objects).astype(np.float32) for band in "grz"}
    pq.write_table(pa.table(columns), folder / "reference.parquet")
    x_ra, x_dec = places(rng, n_sources, area_deg2)
    took = {}
    start = time.perf_counter()
    hats.write(folder / "reference.parquet", folder / "reference", margin_arcsec=MATCH_ARCSEC)
    took["write"] = time.perf_counter() - start
    start = time.perf_counter()
    sources = lsdb.from_dataframe(
        pd.DataFrame({"x_ra": x_ra, "x_dec": x_dec}),
        ra_column="x_ra",
        dec_column="x_dec",
        margin_threshold=MATCH_ARCSEC,
    )
    pairs = sources.crossmatch(
        lsdb.open_catalog(folder / "reference"), n_neighbors=1, radius_arcsec=MATCH_ARCSEC, suffixes=("", "_r")
    ).compute()
    took["match"] = time.perf_counter() - start
    start = time.perf_counter()
    done = hats.cut(str(folder / "reference"), x_ra, x_dec, hats.radius_arcsec(SEARCH_ARCSEC), folder / "cut.parquet")
    took["cut"] = time.perf_counter() - start
    return took | {"pairs": len(pairs), "kept": done["rows_out"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="*", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--ratio", type=int, default=2000, help="objects per source")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    hats.check()
    warnings.simplefilter("ignore")
    from dask.distributed import Client

    with (
        tempfile.TemporaryDirectory() as scratch,
        Client(n_workers=given.workers, threads_per_worker=1, dashboard_address=None, local_directory=scratch),
    ):
        with tempfile.TemporaryDirectory() as folder:
            measured(100, 20_000, Path(folder))  # the workers load their libraries
        for n_objects in given.objects:
            with tempfile.TemporaryDirectory() as folder:
                took = measured(n_objects // given.ratio, n_objects, Path(folder))
            rates = ", ".join(
                f"{k} {took[k]:.1f} s ({n_objects / took[k]:,.0f} rows/s)" for k in ("write", "match", "cut")
            )
            print(
                f"{n_objects // given.ratio:,} x {n_objects:,}: {rates}; {took['pairs']:,} pairs, {took['kept']:,} kept"
            )
    for name in ("match", "cut"):
        hours = took[name] / n_objects * LARGE[1] / 3600
        print(f"{name} of {LARGE[0]:,} x {LARGE[1]:,} at the last rate: {hours:.1f} hours of {given.workers} workers")


if __name__ == "__main__":
    main()

"""Memory and time of ``xcat classify`` for tables of growing length: neither client nor server may grow with the rows.

A simulated sky is classified and published, or a published one is taken (``--home`` and ``--sky``). Its Chandra
detections, each moved a little, are written out as a CSV of any number of rows with name, position, error and flux, and
classified with one command into every format that is asked for. Peak memory of the client is that of the process; of
the server, that of the largest backend without shared buffers (Linux only).

    python benchmarks/own_table_memory.py --rows 10000 100000 1000000 --formats csv fits parquet
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from own_list import EXAMPLE, xcat

COLUMNS = {"name": "name", "ra_deg": "ra", "dec_deg": "dec", "err_ellipse_r0": "err", "obs_flux_aper90_b": "flux"}
BLOCK = 100_000


def write_list(sky: Path, path: Path, n_rows: int) -> None:
    """Positions of detections, moved by 1 sigma of their errors each time they are used."""
    all_columns = pd.read_csv(sky / "chandra_detections.csv.gz")
    detections = all_columns[list(COLUMNS)].rename(columns=COLUMNS)
    detections = detections[(detections.err > 0) & detections.dec.between(-89, 89)].reset_index(drop=True)
    rng = np.random.default_rng(1)
    for first in range(0, n_rows, BLOCK):
        number = np.arange(first, min(first + BLOCK, n_rows))
        rows = detections.iloc[number % len(detections)].reset_index(drop=True)
        sigma_deg = rows.err / 2.45 / 3600  # of a radius of 95 %
        rows["dec"] += rng.normal(size=len(rows)) * sigma_deg
        rows["ra"] = (rows.ra + rng.normal(size=len(rows)) * sigma_deg / np.cos(np.radians(rows.dec))) % 360
        rows["name"] = [f"{name} {i}" for name, i in zip(rows.name, number, strict=True)]
        rows.to_csv(path, mode="a" if first else "w", header=not first, index=False, float_format="%.10g")


def _status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


class BackendMemory(threading.Thread):
    """Looks at the backends of the server of a home every tenth of a second."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home, self.most_kb, self.done = home, 0, threading.Event()

    def run(self) -> None:
        """Look until it is done."""
        while not self.done.wait(0.1):
            servers = [p.read_text().split("\n", 1)[0] for p in self.home.glob("**/postmaster.pid")]
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    status = _status(process.name)
                except OSError:
                    continue
                if status.get("PPid") in servers:
                    self.most_kb = max(self.most_kb, int(status.get("RssAnon", "0").split()[0]))


def measured(home: Path, table: Path, output: Path) -> str:
    """Classify a table; time and peak memory in words."""
    program = str(Path(sys.executable).parent / "xcat")
    command = [program, "classify", table, "--band", "0.5-7", "--pos-err", "err@95", "-o", output, "--overwrite"]
    watch = BackendMemory(home)
    watch.start()
    start = time.perf_counter()
    pid = os.spawnv(os.P_NOWAIT, program, list(map(str, command)))
    _, code, used = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    watch.done.set()
    watch.join()
    if code:
        raise SystemExit(f"xcat classify ended with {os.waitstatus_to_exitcode(code)}")
    return (
        f"{seconds:7.1f} s, client {used.ru_utime + used.ru_stime:7.1f} s of CPU and {used.ru_maxrss / 1024:6.0f} MB, "
        f"largest backend {watch.most_kb / 1024:6.0f} MB, file {output.stat().st_size / 2**20:7.1f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "fits", "parquet"])
    parser.add_argument("--sources", type=int, default=4000, help="of the simulated sky")
    parser.add_argument("--home", type=Path, help="XCAT_HOME with a published example; else it is made")
    parser.add_argument("--sky", type=Path, help="the simulated files of that home")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xcat-bench-") as scratch:
        home, sky = options.home or Path(scratch) / "home", options.sky or Path(scratch) / "sky"
        os.environ["XCAT_HOME"] = str(home)
        if options.home is None:
            xcat("simulate", "--sources", options.sources, "--seed", 1, "--out", sky)
            xcat("run", EXAMPLE, "--data", sky)
        for n_rows in options.rows:
            table = Path(scratch) / f"list_{n_rows}.csv"
            write_list(sky, table, n_rows)
            for ending in options.formats:
                print(f"{n_rows:9,} rows to {ending:8}", measured(home, table, table.with_suffix(f".out.{ending}")))
                sys.stdout.flush()
        if options.home is None:
            xcat("db", "stop")


if __name__ == "__main__":
    main()

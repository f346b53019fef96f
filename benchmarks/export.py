"""What is published as files: seconds, rows per second, size and memory of `xcat export` and `xcat release export`.

table    pub.classified of the published run of XCAT_HOME in each format
release  all tables of a release (--release 2026-11), as Parquet and VOTable

Every command runs in a process of its own, whose largest memory is told.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xcat import api

FORMATS = ("fits", "votable", "parquet", "ecsv", "csv")


def timed(*arguments: str) -> tuple[float, float]:
    """Seconds and largest memory (MB) of a command of xcat."""
    command = [str(Path(sys.executable).parent / "xcat"), *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, used.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", help="also all tables of this release")
    parser.add_argument("--formats", nargs="*", default=FORMATS)
    given = parser.parse_args()
    n_rows = int(api.sql("SELECT count(*) AS n FROM pub.classified")["n"][0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form in given.formats:
            path = folder / f"classified.{form}"
            seconds, memory_mb = timed("export", str(path), "--table", "classified", "--format", form)
            size_mb = path.stat().st_size / 1e6
            rate = f"{n_rows / seconds:,.0f} rows/s"
            print(f"{form}: {n_rows:,} rows in {seconds:.1f} s ({rate}), {size_mb:.0f} MB, memory {memory_mb:.0f} MB")
            path.unlink()
        if given.release:
            seconds, memory_mb = timed("release", "export", given.release, str(folder / "release"))
            size_mb = sum(p.stat().st_size for p in (folder / "release").iterdir()) / 1e6
            print(f"release {given.release}: {seconds:.1f} s, {size_mb:.0f} MB, memory {memory_mb:.0f} MB")


if __name__ == "__main__":
    main()

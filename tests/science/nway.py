"""NWAY 4.8.0 as a program: installed from PyPI into a virtual environment of its own, once a machine.

NWAY is AGPL. Nothing of it is imported or read here: its programs get files and arguments, and write files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import environments
import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.table import Table

VERSION = "4.8.0"


@dataclass(frozen=True)
class Done:
    """A program that has ended well.

    Attributes
    ----------
    text : str
        What it printed.
    seconds : float
    peak_mb : float
        Largest memory so far as Linux tells, else 0.
    """

    text: str
    seconds: float
    peak_mb: float


def environment() -> Path:
    """Folder with NWAY's programs; see `environments.environment`. What they need is mostly at hand already."""
    return environments.environment(f"nway=={VERSION}", shares_ours=True)


def run(folder: Path, program: str, *arguments: object) -> Done:
    """Run one of its programs in a folder, where it leaves its files.

    Raises
    ------
    RuntimeError
        It failed; with its last words.
    """
    bin_ = environment()
    command = [str(bin_ / "python"), str(bin_ / program), *map(str, arguments)]
    # no display, and no cache: a cached match would be neither its time nor its answer
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"MPLBACKEND": "Agg"}
    shutil.rmtree(folder / "cache", ignore_errors=True)
    log = folder / f"{program}.log"
    start = time.perf_counter()
    with log.open("w") as out:
        child = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
        peak_mb = 0.0
        while child.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(child.pid))
            time.sleep(0.02)
    seconds = time.perf_counter() - start
    text = log.read_text(errors="replace")
    if child.returncode:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))} failed: {text[-1000:]}")
    return Done(text, seconds, peak_mb)


def _peak_mb(pid: int) -> float:
    """Not that of wait4, which begins with what its parent had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def write_catalogue(path: Path, name: str, area_deg2: float, columns: dict[str, np.ndarray]) -> None:
    """Write a catalogue as its programs want it: table name, SKYAREA, columns ID, RA, DEC and others."""
    table = Table(columns)
    table.meta.update(EXTNAME=name, SKYAREA=area_deg2)
    table.write(path, overwrite=True)


def read_matches(path: Path) -> pd.DataFrame:
    """Its answer, one row a hypothesis, all columns; -99 stands for none."""
    with fits.open(path) as hdus:
        data = hdus[1].data
        return pd.DataFrame({n: np.asarray(data[n]).astype(data[n].dtype.newbyteorder("=")) for n in data.names})


def cutoffs(text: str) -> dict[int, tuple[float, float]]:
    """What nway-calibrate-cutoff.py prints: false rate in percent -> cutoff of p_any, percent of matches above it."""
    found = re.findall(r"rate of <(\d+)%\s+--> use only counterparts with p_any>([\d.]+) \(([\d.]+)% of", text)
    return {int(rate): (float(cut), float(kept)) for rate, cut, kept in found}

"""Thirty nights of a service that nobody looks after.

A schedule runs every night with frozen learning, another one once a month and learns anew; a worker runs both, and the
gates look at what they made. Every night brings some detections. One night a file of counterparts has wrong positions,
one night a mission sends an empty file, and once the disk is full in the middle of the night. What is wrong must be
refused, all else published; old runs must leave by themselves, so that the database does not grow with the nights, and
the release of an early night must stay as it was.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from chaos_victims import Disk, small_disk
from common import private_database, wrapped

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.jobs import releases
from xcat.report.run.log import Log
from xcat.service import orders, schedules, worker
from xcat.simulate import simulate

PIPELINE = """
name: nights
definitions: [catalogues]
xray:
  - {catalogue: sim_xmm, files: [xmm_detections.fits]}
  - {catalogue: sim_swift, files: [swift_detections.csv.gz]}
counterparts:
  - {catalogue: sim_gaia, files: [gaia.fits]}
references:
  - {catalogue: sim_ref_agn, files: [ref_agn.csv]}
  - {catalogue: sim_ref_star, files: [ref_star.csv]}
classes: {AGN: 0.7, Star: 0.3}
properties: [abs_b, pm_mas_yr, hr1, hr2, log_fx_fb]
weights: equal
folds: 3
replicates: 0
"""
FROZEN = "extends: learning.yaml\nmodel: published\nmatch: {radius_arcsec: 10, learned: published}\n"
KEEP = 3
FIRST_SHARE = 0.6  # of the detections of XMM, which the first night has
LONGEST_S = 300.0
LABEL = "first"
FACTS = """
SELECT (SELECT pub.published_run()), (SELECT count(*) FROM pub.classified),
       pg_database_size(current_database()) / 1e6,
       (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '_[rc][0-9]+$'),
       (SELECT count(*) FROM pub.class_change)
"""
# what a night brings beside its detections
LEARN, SHIFTED, EMPTY, FULL = "learning", "wrong positions of Gaia", "an empty file of Swift", "a full disk"
MONTH = {1: LEARN, 7: SHIFTED, 12: EMPTY, 17: FULL, 22: LEARN}
REFUSED = (SHIFTED, EMPTY)


@dataclass
class Night:
    """What a night brought, and what came of it."""

    number: int
    event: str
    outcome: str
    run_id: int
    n_sources: int
    size_mb: float
    n_tables: int
    n_changed: int
    seconds: float

    @property
    def was_refused(self) -> bool:
        """Whether nothing was published because of what came."""
        return self.outcome.startswith("refusal")


class Service:
    """A database, two schedules, a worker, and a folder into which the data come."""

    def __init__(self, settings: Settings, folder: Path, disk: Disk | None, n_sources: int, n_nights: int) -> None:
        self.settings, self.disk, self.sky = settings, disk, folder / "sky"
        simulate(n_sources, 1, self.sky)
        self.xmm, self.gaia = (Table.read(self.sky / f"{name}.fits") for name in ("xmm_detections", "gaia"))
        for table in (self.xmm, self.gaia):
            for key in ("CHECKSUM", "DATASUM"):
                table.meta.pop(key, None)
        # by whole observations of sources in a random order: a source comes with its detections little by little
        self.order = np.random.default_rng(1).permutation(len(self.xmm))
        self.shares = np.linspace(FIRST_SHARE, 1.0, n_nights)
        self.swift = (self.sky / "swift_detections.csv.gz").read_bytes()
        self.log: list[str] = []
        options = {"replace": True, "keep": KEEP, "allow_rejects": 0.1}
        for name, text in (("learning", PIPELINE), ("nightly", FROZEN)):
            path = folder / f"{name}.yaml"
            path.write_text(text, encoding="utf-8")
            schedules.add(settings, name, "0 4 * * *", "UTC", path, self.sky, options)

    def night(self, number: int, event: str) -> Night:
        """Let the data of a night come, and its time; the worker does the rest."""
        rows = np.sort(self.order[: int(self.shares[number - 1] * len(self.xmm))])
        self.xmm[rows].write(self.sky / "xmm_detections.fits", overwrite=True)
        gaia = self.gaia.copy()
        if event == SHIFTED:
            gaia["DE_ICRS"] = np.clip(gaia["DE_ICRS"] + 0.02, -90, 90)
        gaia.write(self.sky / "gaia.fits", overwrite=True)
        head = gzip.decompress(self.swift).partition(b"\n")[0] + b"\n"
        (self.sky / "swift_detections.csv.gz").write_bytes(gzip.compress(head) if event == EMPTY else self.swift)
        name = "learning" if event == LEARN else "nightly"
        start = time.monotonic()
        with ready(self.settings) as conn:
            conn.execute("UPDATE xcat.schedule SET next_at = now() - interval '1 minute' WHERE name = %s", [name])
        self._work(FULL if event == FULL and self.disk is not None else "")
        with ready(self.settings) as conn:
            ((outcome,),) = conn.execute("SELECT last_outcome FROM xcat.schedule WHERE name = %s", [name])
            ((run_id, n_sources, size_mb, n_tables, n_changed),) = conn.execute(FACTS)
        seconds = time.monotonic() - start
        return Night(number, event, outcome, run_id, n_sources, float(size_mb), n_tables, n_changed, seconds)

    def _work(self, event: str) -> None:
        """Let the worker work until nothing waits; if the disk fills, it does so after a stage, and is freed later."""
        finished = Log.finished

        def filling(log: Log, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
            finished(log, kind, run_id, summary)
            if kind == "match":
                assert self.disk is not None
                self.disk.fill()

        if event == FULL:
            Log.finished = filling  # type: ignore[method-assign]
        deadline = time.monotonic() + LONGEST_S
        try:
            while time.monotonic() < deadline:
                worker.work(self.settings, self.log.append, once=True)
                if self.disk is not None:
                    self.disk.free()
                Log.finished = finished  # type: ignore[method-assign]
                with ready(self.settings) as conn:
                    if conn.execute("SELECT 1 FROM procrastinate.procrastinate_jobs").fetchone() is None:
                        return
                time.sleep(0.2)
        finally:
            Log.finished = finished  # type: ignore[method-assign]


def nights(
    service: Service, n_nights: int, events: dict[int, str], say: Callable[[Night], None] = lambda night: None
) -> list[Night]:
    """Live through some nights; after the first one its state is released."""
    found = []
    for number in range(1, n_nights + 1):
        found.append(service.night(number, events.get(number, "")))
        say(found[-1])
        if number == 1:
            with ready(service.settings) as conn:
                releases.create(conn, LABEL)
    return found


def faults(service: Service, found: Sequence[Night], events: dict[int, str]) -> list[str]:
    """What is not as it must be."""
    wrong = []
    for night in found:
        is_right = night.outcome.startswith("refusal" if events.get(night.number) in REFUSED else "success")
        if not is_right:
            wrong.append(f"night {night.number}: {night.outcome}")
    for night, before in zip(found[1:], found, strict=False):
        if night.was_refused and night.run_id != before.run_id:
            wrong.append(f"night {night.number} was refused and has published run {night.run_id}")
        if not night.was_refused and night.run_id == before.run_id:
            wrong.append(f"night {night.number} has published nothing")
    early = found[: 2 * KEEP]
    if len(found) > len(early) and found[-1].n_tables > 2 * max(night.n_tables for night in early):
        wrong.append(f"{early[-1].n_tables} tables in night {len(early)}, {found[-1].n_tables} in the last")
    with ready(service.settings) as conn:
        wrong += [f"release: {line}" for line in releases.verify(conn, LABEL)]
    return wrong


def report(found: Sequence[Night], wrong: Sequence[str], n_sources: int, command: str) -> str:
    """The page of results, in Markdown."""
    refused = [night for night in found if night.was_refused]
    half = found[len(found) // 2 - 1]
    lines = [
        f"# {len(found)} nights",
        "",
        (__doc__ or "").partition("\n\n")[2].strip(),
        "",
        wrapped(
            f"Measured with {n_sources:,} simulated sources of two missions on {os.cpu_count()} cores; {KEEP} runs of"
            " each stage are kept."
        ),
        "",
        f"    {command}",
        "",
        wrapped(
            f"{len(found) - len(refused)} nights were published, {len(refused)} refused. After night {half.number} the"
            f" database had {half.size_mb:.0f} MB in {half.n_tables} tables of runs and catalogues, after night"
            f" {found[-1].number} {found[-1].size_mb:.0f} MB in {found[-1].n_tables}, with"
            f" {found[-1].n_sources / half.n_sources:.2f} times as many sources. "
            + ("Nothing was wrong; the release of the first night is what it was." if not wrong else "; ".join(wrong))
        ),
        "",
        "| night | beside its detections | published | sources | other class | MB | tables | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n in found:
        shown = "refused" if n.was_refused else f"run {n.run_id}" if n.outcome.startswith("success") else "**failed**"
        cells = (n.number, n.event, shown, f"{n.n_sources:,}", "" if n.was_refused else n.n_changed)
        lines.append(f"| {' | '.join(map(str, cells))} | {n.size_mb:.0f} | {n.n_tables} | {n.seconds:.1f} |")
    lines += ["", *(f"- Night {night.number}: {night.outcome}" for night in refused), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--sources", type=int, default=1500)
    parser.add_argument("--report", type=Path, help="Write the page of results to this file.")
    options = parser.parse_args()
    orders.PAUSES = worker.PAUSES = (timedelta(seconds=1),) * 8
    with (
        tempfile.TemporaryDirectory(prefix="xcat-nights-") as made,
        small_disk(2000) as mounted,
        private_database(None if mounted is None else mounted.folder / "home") as config,
    ):
        service = Service(config, Path(made), mounted, options.sources, options.nights)
        lived = nights(service, options.nights, MONTH, lambda night: print(night, flush=True))
        problems = faults(service, lived, MONTH)
    text = report(
        lived,
        problems,
        options.sources,
        f"python benchmarks/nights.py --nights {options.nights} --sources {options.sources} --report FILE",
    )
    print(text)
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    sys.exit(bool(problems))

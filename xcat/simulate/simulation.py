"""Put the sky together and write it: one folder, whole or not at all, the same bytes for the same numbers."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.errors import InputError
from xcat.simulate import counterpart_tables, mission_tables, references, truth
from xcat.simulate.counterparts import Field, make_field
from xcat.simulate.definitions import DEFINITIONS
from xcat.simulate.missions import MISSIONS
from xcat.simulate.observe import Detections, add_spurious, observe
from xcat.simulate.photometry import Magnitudes, counterpart_magnitudes
from xcat.simulate.populations import CLASSES, Objects, draw_objects
from xcat.simulate.sky import PLACES, Galaxies, Targets, count_targets, make_galaxies, make_targets
from xcat.simulate.spoil import SPOILT, spoil
from xcat.simulate.write import Columns, write
from xcat.sky.geometry import to_position, to_vector

GENERATOR_VERSION = 3
SMALLEST_SKY, LARGEST_SKY = 100, 1_000_000
_LEAST_PER_MISSION = 10
_STREAMS = ("sky", "objects", "observe", "choice", "spurious", "field", "tables", "labels", "spoil")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Summary:
    """What was written, counted; the same as ``manifest.json``."""

    n_sources: int
    seed: int
    generator_version: int
    n_fields: dict[str, int]  # pointings by place
    rows: dict[str, int]  # by file, rows that cannot be used included
    rejects: dict[str, dict[str, int]]  # rows that cannot be used: by file and reason
    classes: dict[str, int]  # real objects that were detected, by class
    sources: dict[str, int]  # distinct real sources, by mission
    spurious: dict[str, int]  # detections of nothing, by mission
    labels: dict[str, int]  # detected objects that a reference catalogue lists, by catalogue
    n_wrong_labels: int
    n_conflicts: int

    @property
    def n_counterpart_rows(self) -> int:
        """Rows of all counterpart catalogues together."""
        return sum(self.rows[name] for name in counterpart_tables.FILES.values())

    @property
    def n_detected_sources(self) -> int:
        """Real sources that were detected, counted once for each mission that did."""
        return sum(self.sources.values())


def simulate(n_sources: int, seed: int, out: Path, progress: Progress | None = None) -> Summary:
    """Write a simulated sky as catalogue files.

    Parameters
    ----------
    n_sources : int
        Real X-ray objects that at least one mission detects.
    seed : int
        Equal seeds and numbers of sources give equal files, to the byte.
    out : Path
        Folder to make. If it holds this very sky, nothing is done; another simulated sky is replaced.
    progress : callable, optional
        Called with a step's name and the share of the work done, 0 to 1, before each step.

    Returns
    -------
    Summary
        Counts; also in ``manifest.json``.

    Raises
    ------
    InputError
        If the numbers make no sense, or `out` holds something that is not a simulated sky.
    """
    if not SMALLEST_SKY <= n_sources <= LARGEST_SKY:
        raise InputError(f"{n_sources} sources: a simulated sky has {SMALLEST_SKY} to {LARGEST_SKY}")
    if seed < 0:
        raise InputError(f"seed {seed}: must not be negative")
    out = Path(out)
    there = _already_there(out)
    if there and all(there.get(k) == v for k, v in _identity(n_sources, seed).items()):
        return Summary(**there)

    tell: Progress = progress or (lambda step, share: None)
    partial = out.parent / f".{out.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        summary = _Sky(n_sources, seed, tell).write(partial)
        if out.exists():
            old = out.parent / f".{out.name}.{os.getpid()}.old"
            out.rename(old)
            partial.rename(out)
            shutil.rmtree(old)
        else:
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    tell("done", 1.0)
    return summary


def _identity(n_sources: int, seed: int) -> dict[str, int]:
    return {"n_sources": n_sources, "seed": seed, "generator_version": GENERATOR_VERSION}


def _already_there(out: Path) -> dict[str, Any]:
    """Manifest of the sky that the folder holds; empty if there is nothing."""
    if not out.exists():
        return {}
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if "generator_version" in manifest:
            return dict(manifest)
    except (OSError, ValueError, TypeError):
        if out.is_dir() and not any(out.iterdir()):
            return {}
    raise InputError(f"{out} holds something that is not a simulated sky; choose another folder or remove it")


class _Sky:
    """The steps of one simulation; each draws from a random stream of its own."""

    def __init__(self, n_sources: int, seed: int, tell: Progress) -> None:
        self.n_sources, self.seed, self.tell = n_sources, seed, tell
        streams = np.random.SeedSequence([seed, n_sources]).spawn(len(_STREAMS))
        self.rng = {name: np.random.default_rng(s) for name, s in zip(_STREAMS, streams, strict=True)}

    def write(self, folder: Path) -> Summary:
        """Simulate, write all files into the folder, and count."""
        self.tell("sky", 0.0)
        n_hosts = count_targets(self.n_sources)[2]
        galaxies = make_galaxies(self.rng["sky"], n_hosts, 200 + self.n_sources // 20)
        targets = make_targets(self.rng["sky"], self.n_sources, galaxies)
        self.tell("X-ray sources", 0.05)
        objects, detections = self._detected(targets, galaxies)
        self.tell("counterparts", 0.25)
        circle_ra, circle_dec = _centres(detections)
        magnitudes, exists = counterpart_magnitudes(self.rng["field"], objects)
        field = make_field(self.rng["field"], objects, magnitudes, exists, circle_ra, circle_dec)
        labels = references.choose(self.rng["labels"], objects, magnitudes, _best_snr(objects, detections))
        return self._write_all(folder, galaxies, targets, objects, detections, field, magnitudes, labels)

    def _detected(self, targets: Targets, galaxies: Galaxies) -> tuple[Objects, tuple[Detections, ...]]:
        """Draw and observe candidates until enough are seen, then keep as many as were asked for."""
        floor_cgs = _flux_floor(targets)
        n_candidates = int(2.2 * self.n_sources) + 200
        while True:
            objects = draw_objects(self.rng["objects"], n_candidates, targets, floor_cgs, galaxies)
            spectrum = objects.spectrum()
            seen = [observe(self.rng["observe"], m, objects, spectrum, targets) for m in range(len(MISSIONS))]
            by_mission = [np.unique(d.object) for d in seen]
            detected = np.unique(np.concatenate(by_mission))
            if detected.size >= self.n_sources and min(x.size for x in by_mission) >= _LEAST_PER_MISSION:
                break
            n_candidates = int(1.4 * n_candidates)
        # the smallest skies would lose a mission by chance: some of each mission's sources come first
        first = np.concatenate([self.rng["choice"].permutation(x)[:_LEAST_PER_MISSION] for x in by_mission])
        rest = np.setdiff1d(detected, first)
        n_rest = self.n_sources - np.unique(first).size
        kept = np.union1d(first, self.rng["choice"].permutation(rest)[:n_rest])
        number = np.full(objects.kind.size, -1)
        number[kept] = np.arange(kept.size)
        detections = []
        for m, d in enumerate(seen):
            mine = d.take(np.flatnonzero(number[d.object] >= 0))
            mine = add_spurious(self.rng["spurious"], m, targets, replace(mine, object=number[mine.object]))
            # catalogues list observation by observation
            order = np.lexsort((self.rng["choice"].random(mine.object.size), mine.epoch, mine.target))
            detections.append(mine.take(order))
        return objects.take(kept), tuple(detections)

    def _write_all(
        self,
        folder: Path,
        galaxies: Galaxies,
        targets: Targets,
        objects: Objects,
        detections: tuple[Detections, ...],
        field: Field,
        magnitudes: Magnitudes,
        labels: references.Labels,
    ) -> Summary:
        self.rows: dict[str, int] = {}
        self.tell("X-ray catalogues", 0.45)
        xray = [make(d, m) for make, d, m in zip(mission_tables.TABLES, detections, MISSIONS, strict=True)]
        for name, table in zip(mission_tables.FILES, xray, strict=True):
            self._file(folder, name, table.columns)
        tables = {}
        for i, (name, make) in enumerate(counterpart_tables.TABLES.items()):
            self.tell(name, 0.6 + 0.1 * i)
            tables[name] = make(self.rng["tables"], field)
            self._file(folder, counterpart_tables.FILES[name], tables[name].columns)
        self.tell("references and truth", 0.9)
        self._file(folder, "galaxies.csv", _galaxy_columns(galaxies))
        for c, (name, members) in enumerate(zip(references.CATALOGUES, labels.listed, strict=True)):
            columns = references.reference_table(self.rng["labels"], c, members, objects)
            self._file(folder, f"{name}.csv", columns)
        ids = truth.counterpart_ids(objects.kind.size, field, tables)
        self._file(folder, "truth/xray.parquet", truth.xray_truth(detections, xray, objects, ids))
        self._file(
            folder,
            "truth/objects.parquet",
            truth.object_truth(objects, targets, galaxies, magnitudes, labels, detections, ids),
        )
        for name, text in DEFINITIONS.items():
            path = folder / "catalogues" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        summary = self._summary(targets, objects, detections, labels)
        (folder / "manifest.json").write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
        return summary

    def _file(self, folder: Path, name: str, columns: Columns) -> None:
        columns = spoil(self.rng["spoil"], name, columns)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        self.rows[name] = write(path, columns)

    def _summary(
        self,
        targets: Targets,
        objects: Objects,
        detections: tuple[Detections, ...],
        labels: references.Labels,
    ) -> Summary:
        def real(d: Detections) -> int:
            return int(np.unique(d.object[d.object >= 0]).size)

        names = [m.name for m in MISSIONS]
        return Summary(
            **_identity(self.n_sources, self.seed),
            n_fields={place: int((targets.place == i).sum()) for i, place in enumerate(PLACES)},
            rows=self.rows,
            rejects=SPOILT,
            classes=dict(zip(CLASSES, np.bincount(objects.class_id, minlength=5).tolist(), strict=True)),
            sources=dict(zip(names, map(real, detections), strict=True)),
            spurious={name: int((d.object < 0).sum()) for name, d in zip(names, detections, strict=True)},
            labels={n: int(x.size) for n, x in zip(references.CATALOGUES, labels.listed, strict=True)},
            n_wrong_labels=labels.n_wrong,
            n_conflicts=labels.n_conflict,
        )


def _flux_floor(targets: Targets) -> FloatArray:
    """Faintest flux worth drawing in each pointing, 0.2-12 keV, erg / (s cm2).

    Well below the limit, so that sources which variability and noise lift over it are there.
    """
    limits = []
    for m, mission in enumerate(MISSIONS):
        low, high = mission.full_kev
        to_standard = (12**0.3 - 0.2**0.3) / (high**0.3 - low**0.3)  # photon index 1.7
        limits.append(to_standard * mission.flux_limit_cgs(targets.exposure_s[:, m]))
    return np.asarray(0.6 * np.nanmin(np.concatenate(limits, axis=1), axis=1))


def _centres(detections: tuple[Detections, ...]) -> tuple[FloatArray, FloatArray]:
    """Weighted mean position of each source of each mission, and each spurious detection."""
    centres = []
    for d in detections:
        own = np.where(d.object < 0, d.object.max() + 1 + np.arange(d.object.size), d.object)
        _, source = np.unique(own, return_inverse=True)
        weighted = to_vector(d.ra_deg, d.dec_deg) / d.sigma_arcsec[:, None] ** 2
        centres.append(np.stack([np.bincount(source, weighted[:, axis]) for axis in range(3)], axis=1))
    return to_position(np.concatenate(centres))


def _best_snr(objects: Objects, detections: tuple[Detections, ...]) -> FloatArray:
    best = np.ones(objects.kind.size)
    for d in detections:
        real = d.object >= 0
        np.maximum.at(best, d.object[real], d.snr[real])
    return best


def _galaxy_columns(galaxies: Galaxies) -> Columns:
    """GLADE+ with HyperLEDA's isophotes: logarithms of the diameter in 0.1 arcmin and of major over minor axis."""
    return {
        "PGC": np.arange(1, galaxies.ra_deg.size + 1, dtype=np.int64),
        "Name": galaxies.name,
        "RAJ2000": np.round(galaxies.ra_deg, 6),
        "DEJ2000": np.round(galaxies.dec_deg, 6),
        "Dist": np.round(galaxies.distance_mpc, 3),
        "logd25Hyp": np.round(np.log10(10 * galaxies.d25_arcmin), 4),
        "logr25Hyp": np.round(-np.log10(galaxies.axis_ratio), 4),
        "PAHyp": np.round(galaxies.pa_deg, 1),
    }

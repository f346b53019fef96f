"""Simulate a sky and write it to a folder, completely or not at all, with the same bytes for the same numbers."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.errors import InputError
from xcat.simulate import counterpart_tables, mission_tables, references, truth
from xcat.simulate.counterparts import (
    ALLWISE_LIMIT_W1,
    CUT_OUT_ARCSEC,
    GAIA_LIMIT_G,
    TWOMASS_LIMIT_K,
    Circles,
    Magnitudes,
    counterpart_magnitudes,
    make_field,
)
from xcat.simulate.missions import MISSIONS
from xcat.simulate.observe import Detections, add_spurious, observe
from xcat.simulate.pointings import PLACES, Galaxies, Pointings, count_pointings, make_galaxies, make_pointings
from xcat.simulate.populations import CLASSES, Objects, draw_objects
from xcat.simulate.rows import slices
from xcat.simulate.write import SPOILT, Columns, Writer, spoil, write
from xcat.sky.geometry import to_position, to_vector

GENERATOR_VERSION = 5
SMALLEST_SKY, LARGEST_SKY = 100, 1_000_000
_LEAST_PER_MISSION = 10
_OBJECTS_AT_ONCE, _CIRCLES_AT_ONCE = 5_000, 2_500  # so that the memory does not grow with the sky
_STREAMS = ("sky", "objects", "observe", "choice", "spurious", "field", "tables", "labels", "spoil")

# What the definitions of the files state; the simulated 2MASS is cut in Ks and AllWISE in W1: J - Ks, W1 - W2 there
_J_K, _W1_W2 = 0.7, 1.0
_LIMITS = {
    "cut_out_arcsec": f"{CUT_OUT_ARCSEC:g}",
    "twomass_epoch_yr": counterpart_tables.TWOMASS_EPOCH_YR,
    "allwise_epoch_yr": counterpart_tables.ALLWISE_EPOCH_YR,
    "reference_epoch_yr": references.EPOCH_YR,
    "gaia_r": f"{GAIA_LIMIT_G - 0.5:g}",
    "gaia_b": f"{GAIA_LIMIT_G + 0.3:g}",
    "twomass_j": f"{TWOMASS_LIMIT_K + _J_K:g}",
    "twomass_w": f"{TWOMASS_LIMIT_K - 0.1:g}",
    "allwise_w1": f"{ALLWISE_LIMIT_W1:g}",
    "allwise_w2": f"{ALLWISE_LIMIT_W1 - _W1_W2:g}",
}

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Summary:
    """Counts of what was written; the same as ``manifest.json``."""

    n_sources: int
    seed: int
    deep_field: bool
    generator_version: int
    n_fields: dict[str, int]  # pointings by place
    counts_factor: float  # sources per square degree, divided by those of populations.yaml and of the AGN counts
    rows: dict[str, int]  # by file, including rows that cannot be used
    rejects: dict[str, dict[str, int]]  # rows that cannot be used: by file and reason
    classes: dict[str, int]  # real objects that were detected, by class
    sources: dict[str, int]  # distinct real sources, by mission
    spurious: dict[str, int]  # spurious detections, by mission
    labels: dict[str, int]  # detected objects that a reference catalogue lists, by catalogue
    n_wrong_labels: int
    n_conflicts: int

    @property
    def n_counterpart_rows(self) -> int:
        """Rows of all counterpart catalogues together."""
        return sum(self.rows[file] for file, _ in counterpart_tables.TABLES.values())


def simulate(
    n_sources: int, seed: int, out: Path, progress: Progress | None = None, *, deep_field: bool = False
) -> Summary:
    """Write a simulated sky as catalogue files.

    Parameters
    ----------
    n_sources : int
        Real X-ray objects that at least one mission detects.
    seed : int
        The same seed and number of sources give the same files, byte for byte.
    out : Path
        Folder to make. If it contains this sky already, nothing is done; another simulated sky is replaced.
    progress : callable, optional
        Called with a step's name and the share of the work done, 0 to 1, before each step.
    deep_field : bool
        One field at high latitude has a deep X-ray image, larger than the area of the counterpart catalogues there,
        which has a ragged edge.

    Returns
    -------
    Summary
        Counts; also in ``manifest.json``.

    Raises
    ------
    InputError
        If the numbers are out of range, or `out` contains something that is not a simulated sky.
    """
    if not SMALLEST_SKY <= n_sources <= LARGEST_SKY:
        raise InputError(f"{n_sources} sources: a simulated sky has {SMALLEST_SKY} to {LARGEST_SKY}")
    if seed < 0:
        raise InputError(f"seed {seed}: must not be negative")
    out = Path(out)
    existing = _manifest(out)
    if existing and all(existing.get(k) == v for k, v in _identity(n_sources, seed, deep_field).items()):
        return Summary(**existing)

    report: Progress = progress or (lambda step, share: None)
    partial = out.parent / f".{out.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        summary = _Simulation(n_sources, seed, deep_field, report).write(partial)
        if out.exists():
            old = out.parent / f".{out.name}.{os.getpid()}.old"
            out.rename(old)
            partial.rename(out)
            shutil.rmtree(old)
        else:
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report("done", 1.0)
    return summary


def _identity(n_sources: int, seed: int, deep_field: bool) -> dict[str, Any]:
    return {
        "n_sources": n_sources,
        "seed": seed,
        "deep_field": deep_field,
        "generator_version": GENERATOR_VERSION,
    }


def _manifest(out: Path) -> dict[str, Any]:
    """Manifest of the sky in the folder; empty for an empty folder or none."""
    if not out.exists():
        return {}
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if "generator_version" in manifest:
            return dict(manifest)
    except (OSError, ValueError, TypeError):
        if out.is_dir() and not any(out.iterdir()):
            return {}
    raise InputError(f"{out} contains something that is not a simulated sky; choose another folder or remove it")


class _Simulation:
    """The steps of one simulation; each draws from its own random stream."""

    def __init__(self, n_sources: int, seed: int, deep_field: bool, report: Progress) -> None:
        self.n_sources, self.seed, self.deep_field, self.report = n_sources, seed, deep_field, report
        self.rows: dict[str, int] = {}
        streams = np.random.SeedSequence([seed, n_sources]).spawn(len(_STREAMS))
        self.rng = {name: np.random.default_rng(s) for name, s in zip(_STREAMS, streams, strict=True)}

    def write(self, folder: Path) -> Summary:
        """Simulate, write all files into the folder, and count."""
        self.report("sky", 0.0)
        n_hosts = count_pointings(self.n_sources)[2]
        galaxies = make_galaxies(self.rng["sky"], n_hosts, 200 + self.n_sources // 20)
        pointings = make_pointings(self.rng["sky"], self.n_sources, galaxies, self.deep_field)
        self.report("X-ray sources", 0.05)
        objects, detections = self._detected(pointings, galaxies)
        magnitudes, exists = counterpart_magnitudes(self.rng["field"], objects)
        labels = references.choose(self.rng["labels"], objects, magnitudes, _best_snr(objects, detections))
        ids = truth.no_counterparts(objects.kind.size)
        circles = _circles(detections)
        self._counterparts(folder, pointings, objects, magnitudes, np.flatnonzero(exists), circles, ids)
        self.report("X-ray catalogues", 0.8)
        with Writer(folder / "truth/xray.parquet") as xray_truth:
            for (file, make_xray), d, mission in zip(mission_tables.TABLES.items(), detections, MISSIONS, strict=True):
                columns, native_id = make_xray(d, mission)
                self._file(folder, file, columns)
                xray_truth.add(truth.xray_truth(mission.name, d, native_id, objects, pointings, ids))
        self.rows["truth/xray.parquet"] = xray_truth.n_rows
        self.report("references and truth", 0.9)
        self._file(folder, "galaxies.csv", _galaxy_columns(galaxies))
        for c, (name, members) in enumerate(zip(references.CATALOGUES, labels.listed, strict=True)):
            columns = references.reference_table(self.rng["labels"], c, members, objects)
            self._file(folder, f"{name}.csv", columns)
        of_objects = truth.object_truth(objects, pointings, galaxies, magnitudes, labels, detections, ids)
        self._file(folder, "truth/objects.parquet", of_objects)
        (folder / "catalogues").mkdir(exist_ok=True)
        for template in (Path(__file__).parent / "definitions").glob("*.yaml"):
            text = Template(template.read_text(encoding="utf-8")).substitute(_LIMITS)
            (folder / "catalogues" / template.name).write_text(text, encoding="utf-8")
        summary = self._summary(pointings, objects, detections, labels)
        (folder / "manifest.json").write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
        return summary

    def _counterparts(
        self,
        folder: Path,
        pointings: Pointings,
        objects: Objects,
        magnitudes: Magnitudes,
        owner: IntArray,
        circles: Circles,
        ids: Columns,
    ) -> None:
        """Write the counterpart catalogues, band by band of declination from south to north, and fill in `ids`."""
        owner = owner[np.argsort(objects.dec_deg[owner], kind="stable")]
        bands = slices(circles.ra_deg.size, _CIRCLES_AT_ONCE)
        borders = np.searchsorted(objects.dec_deg[owner], circles.dec_deg[[b.start for b in bands[1:]]])
        listed = {name: counterpart_tables.Listed() for name in counterpart_tables.TABLES}
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(Writer(folder / file))
                for name, (file, _) in counterpart_tables.TABLES.items()
            }
            for number, (band, own) in enumerate(zip(bands, np.split(owner, borders), strict=True)):
                self.report("counterparts", 0.25 + 0.55 * number / len(bands))
                # circles of the bands before reach into this one; what they share has been filled
                start = np.searchsorted(circles.dec_deg, circles.dec_deg[band.start] - 2.01 * CUT_OUT_ARCSEC / 3600)
                near = circles[np.arange(start, band.stop)]
                n_new = band.stop - band.start
                field = make_field(self.rng["field"], objects[own], magnitudes[own], own, near, n_new, pointings)
                for name, (file, make) in counterpart_tables.TABLES.items():
                    table = make(self.rng["tables"], field, listed[name])
                    truth.fill_in(ids, name, field, table)
                    # the rows that cannot be used come with the last ones
                    last = number == len(bands) - 1
                    writers[name].add(spoil(self.rng["spoil"], file, table[0]) if last else table[0])
        self.rows |= {file: writers[name].n_rows for name, (file, _) in counterpart_tables.TABLES.items()}

    def _detected(self, pointings: Pointings, galaxies: Galaxies) -> tuple[Objects, tuple[Detections, ...]]:
        """Draw and observe candidates until enough are detected, then keep the number wanted."""
        floor_cgs = _flux_floor(pointings)
        factor = 1.0
        while True:
            objects = draw_objects(self.rng["objects"], factor, pointings, floor_cgs, galaxies)
            seen = self._observed(objects, pointings)
            by_mission = [np.unique(np.concatenate([d.object for d in pieces])) for pieces in seen]
            detected = np.unique(np.concatenate(by_mission))
            if detected.size >= self.n_sources and min(x.size for x in by_mission) >= _LEAST_PER_MISSION:
                break
            factor *= 1.25
        self.counts_factor = factor * self.n_sources / detected.size
        # some sources of each mission are kept first, or the smallest skies could lose a mission by chance
        first = np.concatenate([self.rng["choice"].permutation(x)[:_LEAST_PER_MISSION] for x in by_mission])
        rest = np.setdiff1d(detected, first)
        n_rest = self.n_sources - np.unique(first).size
        kept = np.union1d(first, self.rng["choice"].permutation(rest)[:n_rest])
        number = np.full(objects.kind.size, -1)
        number[kept] = np.arange(kept.size)
        detections = []
        for m, pieces in enumerate(seen):
            for i, d in enumerate(pieces):
                real = d[np.flatnonzero(number[d.object] >= 0)]
                pieces[i] = replace(real, object=number[real.object])
            real = Detections.joined(pieces)
            pieces.clear()
            rows = add_spurious(self.rng["spurious"], m, pointings, real)
            # catalogues list observation by observation
            order = np.lexsort((self.rng["choice"].random(rows.object.size), rows.epoch, rows.pointing))
            detections.append(rows[order])
        return objects[kept], tuple(detections)

    def _observed(self, objects: Objects, pointings: Pointings) -> list[list[Detections]]:
        """Detections of each mission, in pieces of some pointings; objects are in the order of their pointings."""
        n = objects.kind.size
        borders = np.searchsorted(objects.pointing, np.unique(objects.pointing[::_OBJECTS_AT_ONCE]))
        pieces: list[list[Detections]] = [[] for _ in MISSIONS]
        for start, stop in pairwise([*borders, n]):
            some = objects[np.arange(start, stop)]
            spectrum = some.spectrum()
            for m, piece in enumerate(pieces):
                d = observe(self.rng["observe"], m, some, spectrum, pointings)
                piece.append(replace(d, object=start + d.object))
        return pieces

    def _file(self, folder: Path, name: str, columns: Columns) -> None:
        self.rows[name] = write(folder / name, spoil(self.rng["spoil"], name, columns))

    def _summary(
        self, pointings: Pointings, objects: Objects, detections: tuple[Detections, ...], labels: references.Labels
    ) -> Summary:
        def real(d: Detections) -> int:
            return int(np.unique(d.object[d.object >= 0]).size)

        names = [m.name for m in MISSIONS]
        return Summary(
            **_identity(self.n_sources, self.seed, self.deep_field),
            n_fields={place: int((pointings.place == i).sum()) for i, place in enumerate(PLACES)},
            counts_factor=round(self.counts_factor, 4),
            rows=self.rows,
            rejects=SPOILT,
            classes=dict(zip(CLASSES, np.bincount(objects.class_id, minlength=5).tolist(), strict=True)),
            sources=dict(zip(names, map(real, detections), strict=True)),
            spurious={name: int((d.object < 0).sum()) for name, d in zip(names, detections, strict=True)},
            labels={n: int(x.size) for n, x in zip(references.CATALOGUES, labels.listed, strict=True)},
            n_wrong_labels=labels.n_wrong,
            n_conflicts=labels.n_conflict,
        )


def _flux_floor(pointings: Pointings) -> FloatArray:
    """Faintest flux worth drawing in each pointing, 0.2-12 keV, erg / (s cm2).

    Well below the limit, to include sources that variability and noise lift above it.
    """
    limits = []
    for m, mission in enumerate(MISSIONS):
        low, high = mission.bands_kev[0][0], mission.bands_kev[-1][1]
        to_standard = (12**0.3 - 0.2**0.3) / (high**0.3 - low**0.3)  # photon index 1.7
        limits.append(to_standard * mission.flux_limit_cgs(pointings.exposure_s[:, m]))
    return np.asarray(0.6 * np.nanmin(np.concatenate(limits, axis=1), axis=1))


def _circles(detections: tuple[Detections, ...]) -> Circles:
    """Weighted mean position of each source of each mission, and each spurious detection, from south to north."""
    parts = []
    for d in detections:
        number = np.where(d.object < 0, d.object.max() + 1 + np.arange(d.object.size), d.object)
        _, first, source = np.unique(number, return_index=True, return_inverse=True)
        weighted = to_vector(d.ra_deg, d.dec_deg) / d.sigma_arcsec[:, None] ** 2
        ra, dec = to_position(np.stack([np.bincount(source, weighted[:, axis]) for axis in range(3)], axis=1))
        parts.append(Circles(ra, dec, d.pointing[first]))
    circles = Circles.joined(parts)
    return circles[np.argsort(circles.dec_deg, kind="stable")]


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

"""Matching with calibration and magnitude priors, against NWAY 4.8 and against the bare q3c join of the same pairs.

Ours is the whole stage on catalogues that are loaded: search, magnitudes learned, hypotheses, shifted positions matched
and counted, everything stored and indexed in committed tables. NWAY's side is its own procedure: nway.py with `--mag
auto`, the program that makes the shifted catalogue, nway.py on that with the learned histogram, and
nway-calibrate-cutoff.py; it reads and writes FITS files and matches every source once more, shifted, where ours shifts
20,000. The bare side is given all positions, sources and shifted ones, in the order of the sky, and writes the pairs
into a temporary table without an index; with `--keep-pairs` it commits them in a table with a key, as ours does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import in_turn, peak_memory_mb, private_database
from psycopg import sql
from psycopg.types.json import Jsonb

from xcat.catalogues.definition import Definition
from xcat.catalogues.definition import load as definition_of
from xcat.config import Settings
from xcat.database import copy, partitions, runs
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import job
from xcat.ingest.load import ingest
from xcat.match import engine
from xcat.match.calibrate import shifted
from xcat.match.engine import MatchOptions
from xcat.match.haystack import MagnitudeTerm
from xcat.match.learning import PriorTable
from xcat.match.stage import MatchStageOptions, haystack_of, match_stage
from xcat.match.targets import Targets
from xcat.merge.sources import merge_stage
from xcat.sky import density_map, geometry, joins
from xcat.sky.footprint import Footprint

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "science")]
import nway  # noqa: E402 - the program's harness, shared with the tests

RADIUS_ARCSEC = 10.0
PER_DEG2 = 20_000.0
CUT_OUT_ARCSEC = 60.0
Columns = dict[str, np.ndarray]


def simulated(n_sources: int, n_objects: int, seed: int = 1) -> tuple[Columns, Columns]:
    """Sources with errors of 0.5 to 2 arcsec, half of which have a counterpart, and 20,000 objects per square degree.

    Both are in the order in which catalogues come, by zones of declination.
    """
    rng = np.random.default_rng(seed)
    side = np.sqrt(n_objects / PER_DEG2)

    def positions(n: int) -> tuple[np.ndarray, np.ndarray]:
        z = np.sin(np.radians(side / 2))
        ra, dec = rng.uniform(180 - side / 2, 180 + side / 2, n), np.degrees(np.arcsin(rng.uniform(-z, z, n)))
        order = np.lexsort((ra, np.floor(dec * 10)))
        return ra[order], dec[order]

    ra, dec = positions(n_objects)
    mag = 14 + 10 * np.log10(1 + 9 * rng.random(n_objects))
    x_ra, x_dec = positions(n_sources)
    err = rng.uniform(0.5, 2.0, n_sources)
    has = np.flatnonzero(rng.random(n_sources) < 0.5)
    chosen = np.sort(rng.choice(n_objects, has.size, replace=False))
    x_ra[has] = ra[chosen] + rng.normal(0, err[has]) / 3600 / np.cos(np.radians(dec[chosen]))
    x_dec[has] = dec[chosen] + rng.normal(0, err[has]) / 3600
    mag[chosen] = rng.normal(20, 1.5, has.size)
    sources = {"ra": x_ra, "dec": x_dec, "err_arcsec": err}
    return sources, {"ra": ra, "dec": dec, "err_arcsec": np.full(n_objects, 0.1), "mag": mag}


def load(
    settings: Settings, sources: Columns, *catalogues: Columns, sky: dict[str, object] | None = None
) -> tuple[int, Loaded, list[Loaded]]:
    """Write all as catalogues with their indexes and maps; merge the sources."""
    loaded = []
    named = [("bench_x", "xray_sources", sources)]
    named += [(f"bench_{k}", "optical", columns) for k, columns in enumerate(catalogues, 1)]
    for name, kind, columns in named:
        definition = Definition.from_dict(
            {
                "name": name,
                "title": "Made by a benchmark",
                "kind": kind,
                "citation": "none",
                "position_error": {"convention": "axis_1sigma", "constant": 1.0},
                "columns": {c: c for c in ("native_id", *columns) if c != "err_arcsec"},
                **({"sky": sky or {"local": True}, "completeness": "estimate"} if kind == "optical" else {}),
            }
        )
        with ready(settings) as conn:
            row = conn.execute(
                "INSERT INTO catalogue (name, version, is_current, kind, definition, definition_sha256)"
                " VALUES (%s, 1, true, %s, %s, %s)"
                " RETURNING catalogue_id",
                [name, kind, Jsonb(definition.as_dict()), definition.sha256],
            ).fetchone()
            assert row is not None
            n, counter = len(columns["ra"]), density_map.Counter()
            partitions.write(conn, definition.table_kind, row[0], _blocks(columns, row[0], n))
            if kind == "optical":
                counter.add(columns["ra"], columns["dec"])
                density_map.store(conn, row[0], counter)
        loaded.append(Loaded(row[0], definition))
    with runs.stage(settings, "merge", "benchmark", {}) as run:
        merge_stage(run, loaded[:1])
    return run.run_id, loaded[0], loaded[1:]


def _blocks(columns: Columns, catalogue_id: int, n: int, size: int = 500_000):  # type: ignore[no-untyped-def]
    for start in range(0, n, size):
        part = {name: values[start : start + size] for name, values in columns.items()}
        number = np.arange(start + 1, start + 1 + len(part["ra"]))
        yield {
            "catalogue_id": np.full(len(number), catalogue_id, np.int16),
            "object_id": number,
            "file_id": np.zeros(len(number), np.int32),
            "native_id": number.astype(np.bytes_),
            **part,
        }


def magnitude_of(catalogue: Loaded) -> str:
    """Its first magnitude."""
    return next(c for c in catalogue.definition.columns if c.startswith("mag"))


def match(
    settings: Settings, source_run_id: int, xray: Loaded, others: list[Loaded], radius_arcsec: float, **options: object
) -> dict[str, object]:
    """The stage; its summary."""
    magnitudes = {o.definition.name: [magnitude_of(o)] for o in others}
    with runs.stage(settings, "match", "benchmark", {"at": time.time()}, source_run_id=source_run_id) as run:
        how = MatchStageOptions(radius_arcsec=radius_arcsec, **options)  # type: ignore[arg-type]
        match_stage(run, source_run_id, [xray], others, how, magnitudes=magnitudes)
    return {"run_id": run.run_id, **run.summary}


def bare_join(
    settings: Settings, other: Loaded, needles: Columns, *, radius_arcsec: float = RADIUS_ARCSEC, keep: bool = False
) -> int:
    """Write the pairs of the same positions, in the order of the sky; their number."""
    with ready(settings) as conn:
        joins.make_tables(conn)
        types = {"id": "bigint", "ra": "double precision", "dec": "double precision"}
        conn.execute("CREATE TEMP TABLE centre (id bigint, ra float8, dec float8) ON COMMIT DROP")
        copy.copy_in(conn, "centre", [needles], types=types)
        fill = sql.SQL("INSERT INTO pg_temp.needle SELECT id, ra, dec, %(radius)s FROM centre")
        joins.needles(conn, sql.Composed([fill]), {"radius": radius_arcsec})
        n_pairs = joins.search(conn, other.table, "bare")
        if keep:
            conn.execute("CREATE TABLE bare_pair AS SELECT * FROM pg_temp.pair")
            conn.execute("ALTER TABLE bare_pair ADD PRIMARY KEY (id, object_id)")
        return n_pairs


def all_positions(settings: Settings, sources: Columns, other: Loaded) -> Columns:
    """Sources and the shifted positions that the stage makes, numbered by sky."""
    with ready(settings) as conn:
        map_ = density_map.load(conn, other.catalogue_id)
    targets = Targets.of({"id": np.arange(len(sources["ra"])), **sources})
    moved, _ = shifted(targets, [(Footprint(None, map_), np.ones(len(targets), bool))], None, RADIUS_ARCSEC)
    ra, dec = np.append(targets.ra, moved.ra), np.append(targets.dec, moved.dec)
    order = np.argsort(density_map.cells(ra, dec, 12))
    return {"id": np.arange(1, ra.size + 1), "ra": ra[order], "dec": dec[order]}


def cut_outs_of_sky(n_sources: int, n_catalogues: int, seed: int = 1) -> tuple[Columns, list[Columns]]:
    """Sources over the sky, with all objects of some catalogues within an arcmin of each: as a pipeline has them.

    Each catalogue has 12 objects in a circle on average; half of them, and the counterparts of half of the sources, are
    in all catalogues.
    """
    rng = np.random.default_rng(seed)
    x_ra, x_dec = rng.uniform(0, 360, n_sources), np.degrees(np.arcsin(rng.uniform(-0.99, 0.99, n_sources)))
    err = rng.uniform(0.5, 2.0, n_sources)

    def around(source: np.ndarray, east: np.ndarray, north: np.ndarray) -> Columns:
        ra, dec = geometry.offset(x_ra[source], x_dec[source], east, north)
        return {"ra": ra, "dec": dec, "err_arcsec": np.full(len(ra), 0.1)}

    def field(mean: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        source = np.repeat(np.arange(n_sources), rng.poisson(mean, n_sources))
        return source, *geometry.in_disc(rng, np.full(len(source), CUT_OUT_ARCSEC))

    has = np.flatnonzero(rng.random(n_sources) < 0.5)
    common = [
        np.concatenate(pair) for pair in zip(field(6), (has, *rng.normal(0, err[has], (2, has.size))), strict=True)
    ]
    catalogues = []
    for _ in range(n_catalogues):
        source, east, north = (np.concatenate(pair) for pair in zip(field(6), common, strict=True))
        objects = around(source, east + rng.normal(0, 0.1, len(source)), north + rng.normal(0, 0.1, len(source)))
        is_counterpart = np.arange(len(source)) >= len(source) - has.size
        objects["mag"] = np.where(is_counterpart, 18.0, 21.0) + rng.normal(0, 1, len(source))
        order = np.lexsort((objects["ra"], np.floor(objects["dec"] * 10)))
        catalogues.append({name: values[order] for name, values in objects.items()})
    return {"ra": x_ra, "dec": x_dec, "err_arcsec": err}, catalogues


def nway_procedure(folder: Path, sources: Columns, objects: Columns, maker: str) -> dict[str, float]:
    """Its programs one after the other: seconds of each."""
    area = len(objects["ra"]) / PER_DEG2
    for name, columns in (("X", sources), ("OPT", objects)):
        renamed = {"ID": np.arange(len(columns["ra"]), dtype=np.int32)}
        renamed |= {"RA": columns["ra"], "DEC": columns["dec"]}
        renamed |= {
            "pos_err" if n == "err_arcsec" else n.upper(): columns[n] for n in columns if n not in ("ra", "dec")
        }
        nway.write_catalogue(folder / f"{name}.fits", name, area, renamed)
    matching = ["OPT.fits", 0.1, "--radius", RADIUS_ARCSEC, "--prior-completeness", 0.5]
    shift = ["--shift-ra", 60] if "shifted" in maker else []
    steps: list[tuple[str, list[object]]] = [
        ("nway.py", ["X.fits", ":pos_err", *matching, "--mag", "OPT:MAG", "auto", "--out", "real.fits"]),
        (maker, ["--radius", 2 * RADIUS_ARCSEC, *shift, "X.fits", "fake.fits"]),
        ("nway.py", ["fake.fits", ":pos_err", *matching, "--mag", "OPT:MAG", "OPT_MAG_fit.txt", "--out", "fakes.fits"]),
        ("nway-calibrate-cutoff.py", ["real.fits", "fakes.fits"]),
    ]
    seconds = {}
    for number, (program, arguments) in enumerate(steps, 1):
        done = nway.run(folder, program, *arguments)
        seconds[f"{number}. {program}"] = done.seconds
        print(f"  {number}. {program:34s} {done.seconds:8.1f} s   {done.peak_mb:6.0f} MB", flush=True)
    print(f"  cutoffs (false rate %: p_any, % of matches kept): {nway.cutoffs(done.text)}")
    return seconds


class ServerMemory(threading.Thread):
    """Largest private memory of the server's processes, and of all of them together, as Linux counts it."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home, self.largest_mb, self.together_mb, self.stopped = home, 0.0, 0.0, threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self.stopped.wait(0.2):
            sizes = [_anonymous_mb(pid) for pid in _server_processes(self.home)]
            self.largest_mb = max([self.largest_mb, *sizes])
            self.together_mb = max(self.together_mb, sum(sizes))


def _server_processes(home: Path) -> list[int]:
    (pid_file,) = list(home.rglob("postmaster.pid")) or [None]
    if pid_file is None:
        return []
    parent = int(pid_file.read_text().split()[0])
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *map(int, children)]


def _anonymous_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has just ended
        return 0.0
    return next((float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0.0)


def two_way(options: argparse.Namespace) -> None:
    sources, objects = simulated(options.sources, options.objects)
    print(f"{options.sources:,} sources x {options.objects:,} objects within {RADIUS_ARCSEC:g} arcsec")
    with private_database() as settings:
        source_run_id, xray, (other,) = load(settings, sources, objects)
        needles = all_positions(settings, sources, other)
        done: list[dict[str, object]] = []
        bare: list[int] = []
        memory = ServerMemory(settings.home)
        memory.start()

        def ours() -> None:
            done.append(match(settings, source_run_id, xray, [other], RADIUS_ARCSEC))

        def reset() -> None:
            with ready(settings) as conn:
                conn.execute("DROP TABLE IF EXISTS bare_pair")
                for earlier in done[:-1]:
                    for table in ("match", "match_candidate", "hypothesis"):
                        conn.execute(f"DROP TABLE IF EXISTS {partitions.qualified(table, earlier['run_id'])}")  # type: ignore[arg-type]

        print("the whole match against the bare join of the same pairs")
        bare_side = partial(bare_join, settings, other, needles, keep=options.keep_pairs)
        in_turn(ours, lambda: bare.append(bare_side()), options.runs, before=reset)
        start = time.perf_counter()
        ours()
        seconds = time.perf_counter() - start
        memory.stopped.set()
        summary = done[-1]
        print(f"pairs: ours {summary['counts']}, bare {bare[-1]:,}")
        print(f"steps: {summary['seconds']}")
        print(f"found: {summary['matches']}")
        print(
            f"peak memory: this process {peak_memory_mb():.0f} MB (the made-up catalogues included), "
            f"the server's processes {memory.largest_mb:.0f} MB at most, {memory.together_mb:.0f} MB together"
        )
    if not options.nway:
        return
    with tempfile.TemporaryDirectory(prefix="xcat-nway-") as folder:
        print(f"NWAY {nway.VERSION}, its procedure (reads and writes FITS files):")
        steps = nway_procedure(Path(folder), sources, objects, f"nway-create-{options.nway}-catalogue.py")
    total, maker = sum(steps.values()), next(v for k, v in steps.items() if "create" in k)
    print(f"ours {seconds:.1f} s, NWAY {total:.1f} s: ratio {total / seconds:.1f}")
    print(f"without the program that shifts the catalogue {total - maker:.1f} s: ratio {(total - maker) / seconds:.1f}")


def cut_outs(options: argparse.Namespace) -> None:
    """The whole stage on cut-outs of several catalogues, and the bare joins of the same pairs.

    These are the joins of all positions with each catalogue, and of the objects near them with the next catalogue.
    """
    sources, catalogues = cut_outs_of_sky(options.sources, options.cut_outs)
    n_objects = sum(len(c["ra"]) for c in catalogues)
    print(f"{options.sources:,} sources x {n_objects:,} objects of {len(catalogues)} catalogues")
    with private_database() as settings:
        sky = {"around_sources_arcsec": CUT_OUT_ARCSEC}
        source_run_id, xray, others = load(settings, sources, *catalogues, sky=sky)
        targets = Targets.of({"id": np.arange(len(sources["ra"])), **sources})
        footprints = [(Footprint(), np.ones(len(targets), bool))]
        moved, _ = shifted(targets, footprints, CUT_OUT_ARCSEC, RADIUS_ARCSEC)
        ra, dec = np.append(targets.ra, moved.ra), np.append(targets.dec, moved.dec)
        order = np.argsort(density_map.cells(ra, dec, 12))
        needles = {"id": np.arange(1, ra.size + 1), "ra": ra[order], "dec": dec[order]}
        around = [(near(settings, a.table, needles), b) for a, b in pairwise(others)]
        done: list[dict[str, object]] = []
        bare: list[list[int]] = []

        def ours() -> None:
            done.append(match(settings, source_run_id, xray, others, RADIUS_ARCSEC))

        def joined() -> None:
            bare.append([bare_join(settings, other, needles) for other in others])
            bare[-1] += [bare_join(settings, other, objects, radius_arcsec=2.0) for objects, other in around]

        in_turn(ours, joined, options.runs)
        seconds = done[-1]["seconds"]
        assert isinstance(seconds, dict)
        print(f"pairs: ours {done[-1]['counts']}, bare {bare[-1]}")
        print(f"steps: {seconds}")
        print(f"preparing targets: {100 * seconds['targets'] / sum(seconds.values()):.1f} % of the match")


def near(settings: Settings, table: str, needles: Columns) -> Columns:
    """Objects of a catalogue within the search radius of positions, in the order of the sky."""
    with ready(settings) as conn:
        joins.make_tables(conn)
        joins.copy_needles(conn, needles | {"radius_arcsec": np.full(len(needles["ra"]), RADIUS_ARCSEC)})
        joins.search(conn, table, "near")
        types = [("ra", "double precision"), ("dec", "double precision")]
        found = copy.fetch_columns(conn, job("joins.paired_positions").compose(haystack=table), types)
    order = np.argsort(density_map.cells(found["ra"], found["dec"], 12))
    return {"id": np.arange(1, len(order) + 1), "ra": found["ra"][order], "dec": found["dec"][order]}


def three_way(options: argparse.Namespace) -> None:
    folder: Path = options.cosmos
    with private_database() as settings, tempfile.TemporaryDirectory(prefix="xcat-nway-") as work:
        loaded = []
        for name in ("cosmos_xmm", "cosmos_optical", "cosmos_irac"):
            ingest(settings, definition_of(name), [folder / f"{name}.fits"])
            with ready(settings) as conn:
                row = conn.execute("SELECT catalogue_id FROM catalogue WHERE name = %s", [name]).fetchone()
            assert row is not None
            loaded.append(Loaded(row[0], definition_of(name)))
        with runs.stage(settings, "merge", "benchmark", {}) as run:
            merge_stage(run, loaded[:1])
        arguments: list[object] = [
            folder / "cosmos_xmm.fits",
            ":pos_err",
            folder / "cosmos_optical.fits",
            0.1,
            folder / "cosmos_irac.fits",
            0.5,
            "--radius",
            15,
            "--prior-completeness",
            0.9,
            "--mag",
            "OPT:MAG",
            folder / "opt_mag_fit.txt",
            "--mag",
            "IRAC:mag_ch1",
            folder / "irac_mag_ch1_fit.txt",
            "--out",
            "out.fits",
        ]
        tables = {"cosmos_optical": "opt_mag_fit.txt", "cosmos_irac": "irac_mag_ch1_fit.txt"}

        def same_work() -> None:
            """The match that NWAY does: its histograms, its approximations, no shifted positions."""
            with ready(settings) as conn:
                haystacks = []
                for other in loaded[1:]:
                    haystack = haystack_of(conn, other, 0.9)
                    table = PriorTable(*np.loadtxt(folder / tables[haystack.name]).T)
                    term = MagnitudeTerm(magnitude_of(other), table)
                    haystacks.append(replace(haystack, terms=(term,)))
                names = ("id", "ra", "dec", "err_arcsec")
                query = "SELECT source_id, ra, dec, err_arcsec FROM source WHERE run_id = %s"
                rows = np.array(conn.execute(query, [run.run_id]).fetchall(), float)
                targets = Targets.of(dict(zip(names, rows.T, strict=True)))
                engine.match(
                    conn, targets, haystacks, MatchOptions(radius_arcsec=15.0, nway=True), with_calibration=False
                )
                conn.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM pg_temp.posterior")

        def forget() -> None:
            with ready(settings) as conn:
                conn.execute("DROP TABLE IF EXISTS kept")

        print("XMM-COSMOS x optical x IRAC: ours with its histograms and approximations; 'bare' is NWAY")
        in_turn(
            same_work,
            lambda: print(f"    NWAY {nway.run(Path(work), 'nway.py', *arguments).peak_mb:.0f} MB"),
            options.runs,
            before=forget,
        )
        start = time.perf_counter()
        summary = match(settings, run.run_id, loaded[0], loaded[1:], 15.0)
        print(f"the whole stage, magnitudes learned, {summary['counts']}: {time.perf_counter() - start:.1f} s")  # type: ignore[index]
        print(f"steps: {summary['seconds']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--nway", choices=("shifted", "fake"), help="run NWAY's procedure too, with this program")
    parser.add_argument("--keep-pairs", action="store_true", help="the bare side commits its pairs, with a key")
    parser.add_argument("--cut-outs", type=int, metavar="N", help="match with cut-outs of N catalogues over the sky")
    parser.add_argument("--large", action="store_true", help="600,000 x 20,000,000, once, without NWAY")
    parser.add_argument(
        "--cosmos", type=Path, help="folder of the three COSMOS files: only the three-way match of these"
    )
    options = parser.parse_args()
    if options.cosmos:
        three_way(options)
        return
    if options.cut_outs:
        cut_outs(options)
        return
    if options.large:
        options.sources, options.objects, options.runs, options.nway = 600_000, 20_000_000, 1, None
    two_way(options)


if __name__ == "__main__":
    main()

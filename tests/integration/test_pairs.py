"""The q3c join against brute force on the sphere, and the plan that it runs with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from psycopg import sql
from tiny import separation

from xcat.config import Settings
from xcat.database import copy
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import job
from xcat.match import engine
from xcat.match.haystack import Haystack
from xcat.sky import joins

TYPES = {"object_id": "bigint", "ra": "double precision", "dec": "double precision"}


@pytest.fixture(scope="module")
def work(module_settings: Settings) -> Iterator[Connection]:
    """One transaction with the temporary tables and an empty, indexed haystack."""
    with ready(module_settings) as conn:
        joins.make_tables(conn)
        conn.execute("CREATE TEMP TABLE hay (object_id bigint PRIMARY KEY, ra float8 NOT NULL, dec float8 NOT NULL)")
        conn.execute("CREATE INDEX hay_q3c ON hay (public.q3c_ang2ipix(ra, dec))")
        yield conn
        conn.rollback()


def _fill(conn: Connection, needle: np.ndarray, hay: np.ndarray) -> None:
    """`needle` has rows of ra, dec, radius in arcsec; `hay` of ra, dec."""
    conn.execute("TRUNCATE hay")
    joins.needles(conn, sql.SQL("INSERT INTO pg_temp.needle SELECT 1, 0, 0, 1 WHERE false").format())
    for table, values, names in (("needle", needle, ("id", *list(TYPES)[1:], "radius_arcsec")), ("hay", hay, TYPES)):
        if len(values):
            columns = dict(zip(names, (np.arange(1, len(values) + 1), *values.T), strict=True))
            copy.copy_in(
                conn,
                table,
                [columns],
                types={n: TYPES.get(n, "double precision" if n != "id" else "bigint") for n in names},
            )
        conn.execute(f"ANALYZE {table}")


def _found(conn: Connection) -> dict[tuple[int, int], float]:
    return {(a, b): sep for a, b, sep in conn.execute("SELECT id, object_id, sep_arcsec FROM pg_temp.pair")}


def _check(conn: Connection, needle: np.ndarray, hay: np.ndarray) -> None:
    """All pairs that brute force finds, no others, with their separations; a pair on the edge may go either way."""
    _fill(conn, needle, hay)
    n_pairs = joins.search(conn, "pg_temp.hay", "")
    found = _found(conn)
    assert n_pairs == len(found)
    if not (len(needle) and len(hay)):
        assert not found
        return
    true = separation(needle[:, None, 0], needle[:, None, 1], hay[None, :, 0], hay[None, :, 1])
    slack = 1e-6 + 1e-12 * needle[:, 2]  # arcsec
    sure = {(int(i) + 1, int(j) + 1) for i, j in np.argwhere(true < (needle[:, 2] - slack)[:, None])}
    possible = {(int(i) + 1, int(j) + 1) for i, j in np.argwhere(true <= (needle[:, 2] + slack)[:, None])}
    assert sure <= set(found) <= possible
    for (i, j), sep in found.items():
        assert sep == pytest.approx(true[i - 1, j - 1], rel=1e-9, abs=1e-6)


# centres where formulas break: right ascension 0, both poles, the equator, a corner and an edge of q3c's cube
CENTRES = st.sampled_from(
    [
        (0.0, 0.0),
        (359.9999999, 45.0),
        (0.0, 89.99),
        (123.0, 90.0),
        (10.0, -90.0),
        (300.0, -89.95),
        (45.0, 35.264389682754654),
        (45.0, 0.0),
        (200.0, -45.0),
    ]
)
RADII = st.sampled_from([0.01, 1.0, 10.0, 600.0, 7200.0, 36000.0])


@st.composite
def skies(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Needles and objects around an awkward place, at distances like the radius, some of them identical."""
    (ra0, dec0), radius = draw(CENTRES), draw(RADII)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(0, 6)), draw(st.integers(0, 25))

    def around(k: int) -> np.ndarray:
        r, angle = np.radians(1.5 * radius / 3600) * np.sqrt(rng.random(k)), rng.uniform(0, 2 * np.pi, k)
        ra, dec = np.radians([ra0, dec0])
        centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        north = np.cross(centre, east)
        v = np.cos(r)[:, None] * centre + np.sin(r)[:, None] * (
            np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
        )
        lon = np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360
        lat = np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))
        return np.stack([np.where(lon >= 360, 0.0, lon), lat], axis=1)

    hay = around(m)
    needle = np.concatenate([around(n), hay[: draw(st.integers(0, 3))]])  # some needles lie on an object
    return np.column_stack([needle, radius * rng.choice([0.3, 1.0, 1.4], len(needle))]), hay


@hypothesis(max_examples=60, deadline=None)
@given(sky=skies())
def test_the_join_finds_what_brute_force_finds(work: Connection, sky: tuple[np.ndarray, np.ndarray]) -> None:
    _check(work, *sky)


def test_the_whole_sky_at_once(work: Connection) -> None:
    rng = np.random.default_rng(3)

    def sphere(k: int) -> np.ndarray:
        return np.column_stack([rng.uniform(0, 360, k), np.degrees(np.arcsin(rng.uniform(-1, 1, k)))])

    _check(work, np.column_stack([sphere(40), rng.uniform(3600, 71_999, 40)]), sphere(2000))


def test_an_empty_side_gives_no_pair(work: Connection) -> None:
    one = np.array([[10.0, 20.0, 5.0]])
    _check(work, one, np.empty((0, 2)))
    _check(work, np.empty((0, 3)), one[:, :2])
    joins.count_ring(work, "pg_temp.hay", 1.0, "")
    assert work.execute("SELECT count(*) FROM pg_temp.ring").fetchone() == (0,)


def test_a_needle_with_ten_thousand_candidates(work: Connection) -> None:
    rng = np.random.default_rng(1)
    hay = np.array([359.9999, 89.9]) + rng.uniform(-1e-4, 1e-4, (10_000, 2))
    hay[:, 0] %= 360
    _check(work, np.array([[359.9999, 89.9, 10.0]]), hay)
    assert len(_found(work)) == 10_000


@pytest.mark.parametrize("radius", [float("nan"), -1.0, 0.0, 72_000.0, float("inf")])
def test_a_radius_that_q3c_would_misread_is_refused(work: Connection, radius: float) -> None:
    _refused(work, 10.0, 20.0, radius)


@pytest.mark.parametrize(
    ("ra", "dec"), [(-0.1, 0.0), (360.0, 0.0), (0.0, 90.1), (0.0, -100.0), (float("nan"), 0.0), (0.0, float("nan"))]
)
def test_a_position_off_the_sphere_is_refused(work: Connection, ra: float, dec: float) -> None:
    _refused(work, ra, dec, 1.0)


def _refused(conn: Connection, ra: float, dec: float, radius: float) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
        conn.execute("INSERT INTO pg_temp.needle VALUES (1, %s, %s, %s)", [ra, dec, radius])


def test_slices_change_nothing(work: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    needle = np.column_stack([rng.uniform(0, 1, 101), rng.uniform(0, 1, 101), np.full(101, 300.0)])
    _fill(work, needle, rng.uniform(0, 1, (500, 2)))
    whole = []
    for rows in (20_000, 7, 1):
        monkeypatch.setattr(joins, "SLICE_ROWS", rows)
        joins.search(work, "pg_temp.hay", "")
        joins.count_ring(work, "pg_temp.hay", 120.0, "")
        whole.append((_found(work), dict(work.execute("SELECT id, n_objects FROM pg_temp.ring").fetchall())))
    assert whole[0] == whole[1] == whole[2]
    found, ring = whole[0]
    assert len(ring) == 101
    for i in range(1, 102):
        assert ring[i] == sum(sep > 120 for (a, _), sep in found.items() if a == i)


def _nodes(plan: dict[str, object]) -> Iterator[dict[str, object]]:
    yield plan
    for child in plan.get("Plans", []):  # type: ignore[attr-defined]
        yield from _nodes(child)


@pytest.mark.parametrize("n_needles", [300, 20_000])
@pytest.mark.parametrize("statement", ["join", "count_ring", "locate"])
def test_the_plan_uses_the_index(work: Connection, statement: str, n_needles: int) -> None:
    """With the planner's settings of a search, on 200,000 objects, for few needles and for many."""
    rng = np.random.default_rng(2)
    if work.execute("SELECT count(*) FROM hay").fetchone() != (200_000,):
        _fill(work, np.empty((0, 3)), np.column_stack([rng.uniform(0, 360, 200_000), rng.uniform(-60, 60, 200_000)]))
    work.execute("TRUNCATE pg_temp.needle")
    work.execute(
        "INSERT INTO pg_temp.needle SELECT i, 360 * random(), 120 * random() - 60, 8 FROM generate_series(1, %s) AS i",
        [n_needles],
    )
    work.execute("ANALYZE pg_temp.needle")
    work.execute(job("match.forget").compose())
    work.execute(job("match.make_tables").compose())
    work.execute(
        "INSERT INTO pg_temp.target SELECT id, id, false, ra, dec, sind(dec), cosd(dec), 1, 0, 1, NULL, 0, 1, 1, '{20}'"
        " FROM pg_temp.needle"
    )
    work.execute(job("match.index_targets").compose())
    work.execute("ANALYZE pg_temp.target")
    seen = []

    class Watched:
        """A connection that explains the statement instead of running it."""

        def execute(self, query: object, params: object = None) -> object:
            if isinstance(params, dict) and "after" in params:
                text = query.as_string(work)  # type: ignore[attr-defined]
                plan = work.execute("EXPLAIN (FORMAT JSON) " + text, params).fetchone()  # type: ignore[arg-type,operator]
                assert plan is not None
                seen.append(plan[0][0]["Plan"])
            return work.execute(query, params)  # type: ignore[arg-type]

    if statement == "join":
        joins.search(Watched(), "pg_temp.hay", "")  # type: ignore[arg-type]
    elif statement == "count_ring":
        joins.count_ring(Watched(), "pg_temp.hay", 2.0, "")  # type: ignore[arg-type]
    else:
        for column in (
            "err_arcsec",
            "err_maj_arcsec",
            "err_min_arcsec",
            "err_pa_deg",
            "epoch_yr",
            "pmra_mas_yr",
            "pmdec_mas_yr",
        ):
            work.execute(f"ALTER TABLE hay ADD COLUMN IF NOT EXISTS {column} real DEFAULT 1")
        haystack = Haystack(1, "hay", "pg_temp.hay", 1.0)
        engine._locate(Watched(), 1, haystack, 8.0, n_needles, None)  # type: ignore[arg-type]
    assert seen
    for plan in seen:
        hay = [n for n in _nodes(plan) if n.get("Relation Name") == "hay" or n.get("Index Name") == "hay_q3c"]
        assert {n["Node Type"] for n in hay} <= {"Bitmap Heap Scan", "Bitmap Index Scan", "Index Scan"}
        assert any(n.get("Index Name") == "hay_q3c" for n in hay)

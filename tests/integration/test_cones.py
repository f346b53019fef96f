"""Cones of queries: the right rows, by the index, wherever they are and however large."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
import sphere_oracle as oracle
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from xcat.config import Settings
from xcat.database.connection import Connection, conninfo

#: Poles, and edges and corners of the cube whose faces q3c numbers.
_MIDDLES = [(0.0, 90.0), (12.0, -90.0), (0.0, 0.0), (45.0, 0.0), (315.0, 35.264), (200.0, 45.0), (359.9999, -29.0)]
_N_EACH = 4_000


def _points() -> tuple[oracle.Array, oracle.Array]:
    """Positions that are the denser the nearer to a middle: a cone of any radius has some of them."""
    rng = np.random.default_rng(3)
    stars = [
        oracle.star(ra, dec, 1.0, rng.random(_N_EACH).tolist(), (10.0 ** rng.uniform(-4, 2.25, _N_EACH)).tolist())
        for ra, dec in _MIDDLES
    ]
    return oracle.degrees(np.concatenate(stars))


@pytest.fixture(scope="module")
def conn(module_settings: Settings) -> Iterator[Connection]:
    with psycopg.connect(conninfo(str(module_settings.database_url))) as conn:
        conn.execute("CREATE TABLE pub.points (id bigint, ra float8, dec float8)")
        ra, dec = (x.tolist() for x in _points())
        conn.execute("INSERT INTO pub.points SELECT * FROM unnest(%s::bigint[], %s, %s)", [[*range(len(ra))], ra, dec])
        conn.execute("CREATE INDEX points_q3c ON pub.points (public.q3c_ang2ipix(ra, dec)); ANALYZE pub.points")
        conn.execute("SET enable_seqscan = off")
        yield conn


_CONE = "SELECT id FROM pub.points WHERE pub.in_cone(ra, dec, {}, {}, {})"


@hypothesis_settings(max_examples=120, deadline=None)
@given(
    middle=st.sampled_from(_MIDDLES),
    log_radius=st.floats(-3, 2.2),
    away=st.floats(0, 1.2),
    turn=st.floats(0, 1),
)
@example(middle=(45.0, 0.0), log_radius=float(np.log10(0.5)), away=0.0, turn=0.0)
@example(middle=(0.0, 90.0), log_radius=float(np.log10(20.0)), away=0.0, turn=0.0)
def test_the_rows_of_a_cone(
    conn: Connection, middle: tuple[float, float], log_radius: float, away: float, turn: float
) -> None:
    """Those that are nearer than the radius; what is within a rounding of the border may be either."""
    radius = 10.0**log_radius
    (ra,), (dec,) = (x.tolist() for x in oracle.degrees(oracle.star(*middle, away * radius, [turn], [1.0])))
    found = {row[0] for row in conn.execute(_CONE.format(ra, dec, radius))}  # type: ignore[call-overload]
    apart = oracle.separation(oracle.unit(*_points()), oracle.unit(ra, dec))
    assert set(np.flatnonzero(apart < radius - 1e-8).tolist()) <= found
    assert found <= set(np.flatnonzero(apart < radius + 1e-8).tolist())


@pytest.mark.parametrize("radius", ["0", "-1", "'NaN'", "NULL"])
def test_a_radius_that_is_none_finds_nothing(conn: Connection, radius: str) -> None:
    """q3c takes -1 for 1, and NaN for the whole sky."""
    assert conn.execute(_CONE.format(0, 0, radius)).fetchall() == []  # type: ignore[call-overload]


@pytest.mark.parametrize(("radius", "n_ranges"), [("0.1", 4), ("30 / 60.0", 4), ("0.6", 100), ("20", 100)])
def test_a_small_cone_is_planned_with_few_ranges(conn: Connection, radius: str, n_ranges: int) -> None:
    plan = "\n".join(row[0] for row in conn.execute(b"EXPLAIN " + _CONE.format(10, 10, radius).encode()))
    assert plan.count("Bitmap Index Scan on points_q3c") == n_ranges, plan


def test_numbers_may_be_parameters(conn: Connection) -> None:
    """Of a statement that is prepared, too: the plan is made for its numbers, and reads the index."""
    query = b"SELECT count(*) FROM pub.points WHERE pub.in_cone(ra, dec, %s, %s, %s)"
    counts = [conn.execute(query, [0.0, 0.0, 0.1], prepare=True).fetchone() for _ in range(8)]
    assert len(set(counts)) == 1 and counts[0] > (50,)  # type: ignore[operator]
    (plans,) = conn.execute("SELECT sum(custom_plans) FROM pg_prepared_statements WHERE statement LIKE '%in_cone%'")
    assert plans == (8,)

"""What a publication shows: its tables, and what people are told of it. To see that it stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

from xcat.database import schema
from xcat.database.connection import Connection
from xcat.report.explain import gather as why
from xcat.report.run import summary


def tables(conn: Connection, run_id: int | None) -> dict[str, tuple[Any, ...]]:
    """Rows and checksum of every published table: of a run, or of what the views show now."""
    found = {}
    for name in schema.PUB_TABLES:
        place = name if run_id is not None else None
        relation = f"pub.{place.removesuffix('_runs')}_r{run_id}" if place else f"pub.{name}"
        where = "" if run_id is not None else " WHERE run_id = pub.published_run()"
        row = conn.execute(
            f"SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {relation} AS t{where}"
        ).fetchone()
        assert row is not None
        found[name] = row
    return found


def answers(conn: Connection, run_id: int) -> str:
    """What people are told of a run: explanations of some sources, the report, and its candidates."""
    ids = [row[0] for row in conn.execute(f"SELECT source_id FROM pub.classified_r{run_id} ORDER BY 1 LIMIT 400")]
    told = [why.to_json(why.explain(conn, source, run_id)) for source in ids[::40]]
    texts = [why.text(why.explain(conn, source, run_id)) for source in ids[::150]]
    report = {**summary.as_json(summary.report(conn, run_id)), "published": None}  # which may change, of course
    return json.dumps([told, texts, report], default=str, sort_keys=True)

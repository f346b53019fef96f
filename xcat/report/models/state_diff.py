"""Two published states side by side: which sources are new, gone, or of another class, and through what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, job
from xcat.jobs import changes, states
from xcat.jobs.states import State
from xcat.output.terminal import aligned

_LINEAGE = {
    "source_run_id": "merge",
    "link_run_id": "link",
    "match_run_id": "match",
    "property_run_id": "properties",
    "label_run_id": "label",
    "model_run_id": "fit",
}


def diff(settings: Settings, old_run_id: int, new_run_id: int, max_rows: int = 20) -> dict[str, Any]:
    """Compare two states.

    Parameters
    ----------
    old_run_id, new_run_id : int
        Classify runs that have their flat tables.
    max_rows : int
        Sources to list of those that changed, that are new, and that are gone.

    Returns
    -------
    dict
        JSON-ready but for times: states (old and new), n_old, n_new, n_same (sources), n_by_position (of those in
        common), n_new_sources, n_gone, n_changed, matrix (rows: old class), causes, changes, new_sources, gone_sources,
        stages (those that differ, with both runs), inputs (files of one of them only).

    Raises
    ------
    XcatError
        One of them has no flat tables.
    """
    with ready(settings) as conn:
        old, new = states.state(conn, old_run_id), states.state(conn, new_run_id)
        counts = states.pair(conn, old, new)
        found = changes.find(conn, old, new)
        conn.execute(job("states.keep_changes").compose(changes=found.query), found.params)
        causes = dicts(conn.execute(job("states.causes").compose()))
        limit = {"limit": max_rows}
        runs = {"old": old_run_id, "new": new_run_id}
        return {
            "states": {key: _about(each) for key, each in (("old", old), ("new", new))},
            **counts,
            "n_new_sources": counts["n_new"] - counts["n_same"],
            "n_gone": counts["n_old"] - counts["n_same"],
            "n_changed": sum(cause["n"] for cause in causes),
            "matrix": _matrix(conn, old, new),
            "causes": causes,
            "changes": dicts(conn.execute(job("states.changed").compose(), limit)),
            "new_sources": _only_in(conn, new, "new_id", max_rows),
            "gone_sources": _only_in(conn, old, "old_id", max_rows),
            "stages": {name: [old[key], new[key]] for key, name in _LINEAGE.items() if old[key] != new[key]},
            "inputs": dicts(conn.execute(job("states.inputs").compose(), runs)),
        }


def _about(state: State) -> dict[str, Any]:
    return {key: state[key] for key in ("run_id", "name", "published_at", "is_published", "classes")}


def _matrix(conn: Connection, old: State, new: State) -> dict[str, Any]:
    classes = list(dict.fromkeys([*old["classes"], *new["classes"]]))
    query = job("states.matrix").compose(old=states.table(old), new=states.table(new))
    counts = {(before, after): n for before, after, n in conn.execute(query)}
    return {"classes": classes, "counts": [[counts.get((a, b), 0) for b in classes] for a in classes]}


def _only_in(conn: Connection, state: State, key: str, limit: int) -> list[dict[str, Any]]:
    query = job("states.only_in").compose(table=states.table(state), key=key)
    return dicts(conn.execute(query, {"limit": limit}))


def text(diff: dict[str, Any]) -> str:
    """The difference in words; see `diff`."""
    old, new = (diff["states"][key] for key in ("old", "new"))
    same = f"{diff['n_same']:,} in common"
    if diff["n_by_position"]:
        same += f" ({diff['n_by_position']:,} by position: numbered anew)"
    classes = diff["matrix"]["classes"]
    matrix = [["class was", *(f"is {c}" for c in classes)]]
    matrix += [[c, *(f"{n:,}" for n in row)] for c, row in zip(classes, diff["matrix"]["counts"], strict=True)]
    lines = [
        f"from run {old['run_id']} of {old['name']} ({old['published_at']:%Y-%m-%d %H:%M}) "
        f"to run {new['run_id']} of {new['name']} ({new['published_at']:%Y-%m-%d %H:%M})",
        f"{diff['n_old']:,} sources then, {diff['n_new']:,} now: {same}, {diff['n_new_sources']:,} new, "
        f"{diff['n_gone']:,} gone",
        f"{diff['n_changed']:,} of the {diff['n_same']:,} in common change class "
        f"({diff['n_changed'] / max(diff['n_same'], 1):.2%})",
    ]
    if diff["stages"]:
        runs = (f"{name} run {a or '-'} to {b or '-'}" for name, (a, b) in diff["stages"].items())
        lines.append(f"other stages: {', '.join(runs)}")
    for file in diff["inputs"]:
        rows = "" if file["n_rows"] is None else f" ({file['n_rows']:,} rows)"
        lines.append(f"{'now' if file['is_new'] else 'then'} only: {file['catalogue']}: {file['file_name']}{rows}")
    if diff["n_changed"]:
        causes = [["cause", "property", "sources", "mean push"]]
        causes += [[c["cause"], c["property"] or "-", f"{c['n']:,}", _signed(c["push"])] for c in diff["causes"]]
        lines += ["", *aligned(matrix, range(1, len(classes) + 1)), "", *aligned(causes, {2, 3}), "", *_changes(diff)]
    for key, n, words in (("new_sources", "n_new_sources", "new"), ("gone_sources", "n_gone", "gone")):
        if diff[n] and diff[key]:
            listed = [[words, "mission", "class", "p"]]
            listed += [[s["name"], s["catalogue"], s["class"], f"{s['p_class']:.3f}"] for s in diff[key]]
            more = [f"{len(diff[key])} of {diff[n]:,}; for more: --max-rows"] if len(diff[key]) < diff[n] else []
            lines += ["", *aligned(listed, {3}), *more]
    return "\n".join(lines)


def _changes(diff: dict[str, Any]) -> Iterator[str]:
    rows = [["source", "was", "p", "is", "p", "cause", "property", "push", "then", "now"]]
    for row in diff["changes"]:
        classes = [row["old_class"], f"{row['old_p_class']:.3f}", row["class"], f"{row['p_class']:.3f}"]
        values = [_value(row["old_property_value"]), _value(row["property_value"])]
        if row["cause"] == "counterpart":
            values = [row["old_counterpart"] or "-", row["counterpart"] or "-"]
        rows.append([row["name"], *classes, row["cause"], row["property"] or "-", _signed(row["push"]), *values])
    yield from aligned(rows, {2, 4, 7})
    if len(diff["changes"]) < diff["n_changed"]:
        yield f"{len(diff['changes'])} of {diff['n_changed']:,}; for more: --max-rows"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

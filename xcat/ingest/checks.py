"""What a load must pass before it becomes visible: enough usable rows, values that can be, little lost by replacing.

Everything is checked in the transaction of the load, from the rows as they would be stored: what is refused leaves the
database as it was. Limits are those of the definition's ``checks``, or of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from psycopg import sql

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import INTEGER_COLUMNS, TEXT_COLUMNS
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import InputError, StageError
from xcat.ingest import plausible
from xcat.ingest.rows import VALUE_LEFT_EMPTY
from xcat.sky.occupied import occupied_deg2

#: Rows that are good, only loaded already; they count neither as used nor as rejected.
_KNOWN = "duplicate id: already loaded from another file"
_SAMPLE_ROWS = 10_000
_ERRORS = ("err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg")


@dataclass(frozen=True)
class Allowed:
    """What the user allows, in place of the definition's checks and of the gates: shares between 0 and 1."""

    rejects: float | None = None
    loss: float | None = None


class Version(NamedTuple):
    """A version of a catalogue."""

    definition: Definition
    catalogue_id: int

    @property
    def table(self) -> str:
        """Qualified name of its table."""
        return partitions.qualified(self.definition.table_kind, self.catalogue_id)


#: The definition's checks as they are.
NOTHING_MORE = Allowed()


def check_rows(
    definition: Definition, files: Sequence[dict[str, Any]], rejects: Sequence[dict[str, Any]], allowed: Allowed
) -> list[str]:
    """Refuse a file that gives no rows, or too few of those that it has; give remarks.

    Parameters
    ----------
    files : sequence of dict
        ``name``, ``n_rows``, ``n_rejected`` and ``n_skipped`` of each file.
    rejects : sequence of dict
        Rejected rows by ``file_name``, ``reason`` and ``column_name``.

    Raises
    ------
    InputError
        Names the file, both figures and the reasons.
    """
    limit = definition.checks.max_rejected if allowed.rejects is None else allowed.rejects
    remarks = []
    for file in files:
        name, n_rows, n_rejected, n_skipped = (file[key] for key in ("name", "n_rows", "n_rejected", "n_skipped"))
        of_file = [r for r in rejects if r["file_name"] == name and not r["reason"].endswith(VALUE_LEFT_EMPTY)]
        why = "; ".join(
            f"{r['n']:,} x {r['reason']}" + (f" in column {r['column_name']}" if r["column_name"] else "")
            for r in of_file
        )
        n_bad = n_rejected - sum(r["n"] for r in of_file if r["reason"] == _KNOWN)
        if not n_rows:
            if n_skipped and not n_rejected and any(other["n_rows"] for other in files):
                remarks.append(f"{name}: none of its {n_skipped:,} rows is wanted by 'read: only'")
                continue
            if n_rejected:
                text = f"none of its {n_rejected:,} rows can be used ({why})"
            else:
                text = f"none of its {n_skipped:,} rows is wanted by 'read: only'" if n_skipped else "it has no rows"
            raise InputError(f"{definition.name}: {name}: {text}; nothing was loaded")
        share = n_bad / (n_rows + n_bad)
        if share > limit:
            raise InputError(
                f"{definition.name}: {name}: {n_bad:,} of {n_rows + n_bad:,} rows cannot be used "
                f"({share:.1%}, at most {limit:.1%} are allowed): {why}. Nothing was loaded. If these rows may be "
                f"left out: --allow-rejects {_up(share)}, or 'checks: {{max_rejected: {_up(share)}}}' in the definition"
            )
    return remarks


def check_values(
    conn: Connection,
    definition: Definition,
    table: str,
    files: dict[int, str],
    n_rows: int,
    stated: set[str],
    before: Version | None,
    append: bool,
) -> list[str]:
    """Refuse columns whose values cannot be, or are not what they were; give remarks.

    Parameters
    ----------
    table : str
        Qualified name of the table with the new rows.
    files : dict
        file_id to name of the new files.
    n_rows : int
        Number of new rows.
    stated : set of str
        Columns of the files for which every file states a unit: what is implausible there is only told.
    before : Version, optional
        The one that was current.
    append : bool
        The new rows are added to it: those of one observation may have one date.

    Raises
    ------
    InputError
        Names file, column and figures.
    """
    checks, origins = definition.checks, _origins(definition)
    new = _sample(conn, definition, table, n_rows)
    names = [n for n in new.dtype.names or () if n in origins and n not in checks.any_value]
    label = ", ".join(files.values()) if len(files) < 4 else f"{len(files)} files"
    remarks: list[str] = []

    def refuse(where: str, name: str, text: str, advice: str) -> InputError:
        column = ", ".join(origins[name]) or name
        return InputError(
            f"{definition.name}: {where}: column '{column}' ({name}): {text}. Nothing was loaded. {advice}"
        )

    any_value = "If that is right, name it in the definition: 'checks: {{any_value: [{}]}}'"
    for file_id, file in files.items():
        rows = new[new["file_id"] == file_id]
        for name in names:
            if name in TEXT_COLUMNS or name == "class":
                continue
            text = plausible.implausible(name, rows[name])
            if text and not stated.issuperset(origins[name]):
                raise refuse(file, name, text, f"Give its true unit in the definition. {any_value.format(name)}")
            text = text or plausible.doubtful(name, rows[name])
            if text:
                remarks.append(f"WARNING: {file}: column '{', '.join(origins[name])}' ({name}): {text}")
        remarks += _hours(definition, file, rows, stated, refuse)
    if before is None or before.definition.table_kind != definition.table_kind:
        return remarks
    old = _sample(conn, before.definition, before.table, _count(conn, "count_rows", before.table))
    for name in names:
        # what the definition says of it now need not be what it was
        if name not in (old.dtype.names or ()) or _meaning(before.definition, name) != _meaning(definition, name):
            continue
        text = plausible.emptied(old[name], new[name])
        text = text or (None if append else plausible.constant(old[name], new[name]))
        if text is None and name not in TEXT_COLUMNS | INTEGER_COLUMNS | {"ra", "dec", "class"}:
            text = plausible.shifted(name, old[name], new[name])
        if text:
            raise refuse(label, name, text, any_value.format(name))
    return remarks


def _hours(definition: Definition, file: str, rows: np.ndarray, stated: set[str], refuse: Any) -> list[str]:
    """Refuse right ascensions that must be hours, and remark on those that may be."""
    spec = definition.columns["ra"]
    if spec.transform or spec.unit is not None or spec.from_[0] in stated or "ra" in definition.checks.any_value:
        return []
    found = plausible.hours(rows["ra"], rows["dec"])
    if found is None:
        return []
    text, certain = found
    if certain:
        raise refuse(file, "ra", f"{text}: these are hours, not degrees", "Say 'unit: hourangle' or 'unit: deg' there")
    return [
        f"WARNING: {file}: column '{spec.from_[0]}' has no unit and is taken as degrees, but {text}. Are these hours?"
    ]


def check_loss(conn: Connection, before: Version, after: Version, allowed: Allowed) -> None:
    """Refuse a replacement that loses too many rows, sources, or too much of the sky.

    Parameters
    ----------
    before, after : Version
        What is replaced, by what.

    Raises
    ------
    StageError
        Names both figures and the option that allows it.
    """
    checks = after.definition.checks
    n_rows = [_count(conn, "count_rows", version.table) for version in (before, after)]
    lost: list[tuple[str, float, float, float]] = [("rows", n_rows[0], n_rows[1], checks.max_rows_lost)]
    if all("source_native_id" in version.definition.columns for version in (before, after)):
        n_sources = [_count(conn, "count_sources", version.table) for version in (before, after)]
        lost.append(("sources", n_sources[0], n_sources[1], checks.max_sources_lost))
    area = _area(conn, before.table, after.table)
    lost.append(("square degrees with objects", *area, checks.max_area_lost))
    over = [
        (f"{was:,.6g} {what}, of which {is_:,.6g} would be left ({1 - is_ / was:.1%} lost)", 1 - is_ / was, limit)
        for what, was, is_, limit in (
            (w, b, a, limit if allowed.loss is None else allowed.loss) for w, b, a, limit in lost
        )
        if was and 1 - is_ / was > limit
    ]
    if over:
        worst = max(share for _, share, _ in over)
        limits = ", ".join(f"{limit:.1%}" for limit in sorted({limit for *_, limit in over}))
        raise StageError(
            f"{after.definition.name}: --replace would lose much of what is loaded: "
            f"{'; '.join(text for text, *_ in over)}; at most {limits} may be lost. "
            f"Nothing was changed. If that is right: --allow-loss {_up(worst)}"
        )


def _up(share: float) -> str:
    """A share, rounded up to two digits."""
    return f"{min(1.0, ceil(share * 100) / 100):g}"


def _origins(definition: Definition) -> dict[str, tuple[str, ...]]:
    """Columns of the file by the standard column that they make."""
    origins = {name: spec.from_ for name, spec in definition.columns.items()}
    error = definition.position_error
    if error is not None:
        origins |= dict.fromkeys(_ERRORS[:3], tuple(c for spec in error.columns for c in spec.from_))
        origins["err_pa_deg"] = (error.pa,) if error.pa else ()
    if definition.kind == "reference":
        origins["class"] = definition.columns["class_native"].from_ if "class_native" in definition.columns else ()
    return origins


def _meaning(definition: Definition, name: str) -> Any:
    """What a definition says of a standard column."""
    if name in _ERRORS:
        return definition.position_error
    if name == "class":
        return definition.columns.get("class_native"), definition.classes, definition.klass
    return definition.columns.get(name), definition.nulls


def _sample(conn: Connection, definition: Definition, table: str, n_rows: int) -> np.ndarray:
    """Rows spread over a table, at most about 10,000, as numbers: NaN for NULL, texts by a hash."""
    types = copy.column_types(conn, table)
    names = ["file_id", *(n for n in types if n in _origins(definition) and n != "native_id")]
    columns = sql.SQL(", ").join(
        job("ingest.sampled_text" if types[n] == "text" else "ingest.sampled_number").compose(name=n) for n in names
    )
    percent = min(100.0, 100.0 * _SAMPLE_ROWS / max(1, n_rows))
    query = job("ingest.sample").compose(columns=columns, loaded=table, percent=sql.Literal(percent))
    return copy.fetch_columns(conn, query, [(name, "double precision") for name in names])


def _area(conn: Connection, before: str, after: str) -> tuple[float, float]:
    """Square degrees with objects in a table, and the part of them that has objects in another one, too."""
    types = [("cell", "bigint"), ("n_objects", "bigint")]
    old, new = (copy.fetch_columns(conn, job("ingest.cells").compose(loaded=t), types) for t in (before, after))
    return occupied_deg2(old["cell"], old["n_objects"], new["cell"], base_cells=6)


def _count(conn: Connection, statement: str, table: str) -> int:
    row = conn.execute(job(f"ingest.{statement}").compose(loaded=table)).fetchone()
    assert row is not None
    return int(row[0])

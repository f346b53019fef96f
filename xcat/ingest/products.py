"""Light curves and spectra of sources to rows, all files of a call or none.

The products are versions as catalogues are: sets of files, the current of which people see. A file whose source cannot
be found is kept with its reason among the rejected rows, and is tried again when it is given again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from xcat import progress
from xcat.config import Settings
from xcat.database import retention
from xcat.database.connection import Connection, ready
from xcat.database.runs import Run, stage
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import InputError
from xcat.ingest import product_files, product_rows, product_source, spectrum_files
from xcat.ingest.load import PRODUCTS, InputFile, checksum
from xcat.ingest.product_files import Curve, Product
from xcat.ingest.product_source import Assigned, UnassignedError

_DEFINITION = {"name": PRODUCTS, "title": "Light curves and spectra of sources"}
_SHA256 = hashlib.sha256(b"source products 1").hexdigest()


@dataclass
class Loaded:
    """What a call has loaded.

    Attributes
    ----------
    files : list of dict
        ``file_name``, ``name`` of its source, ``assigned_by``, ``n_rows``, ``n_left_out``, ``n_blocks`` of each file.
    unassigned : list of dict
        ``file_name`` and ``reason`` of files whose source was not found.
    already : list of str
        Files that are loaded with the same content.
    parts : list of str
        Responses and backgrounds, which belong to a spectrum.
    removed : int
        How many other files were taken out, to be replaced by these.
    """

    files: list[dict[str, Any]] = field(default_factory=list)
    unassigned: list[dict[str, str]] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    removed: int = 0


@dataclass
class _File:
    file: InputFile
    products: list[Product]
    assigned: list[Assigned] = field(default_factory=list)
    reason: str = ""


def ingest(settings: Settings, paths: Sequence[Path], *, source: str = "", replace: bool = False) -> Loaded:
    """Load light curves and spectra.

    Parameters
    ----------
    paths : sequence of Path
        Files, and folders that are searched for them.
    source : str, optional
        Name or number of the published source that all of them are of; else each file tells it
        (`xcat.ingest.product_source.assign`).
    replace : bool
        These files become all products.

    Raises
    ------
    InputError
        A file cannot be used, is of another source, or none tells its source; names file and row. Nothing is loaded.
    """
    found = product_files.found(paths)
    loaded = Loaded()
    read = _read(found, loaded)
    if not read:
        raise InputError("no light curve and no spectrum is among these files, only responses and backgrounds")
    with ready(settings) as conn:
        before = dicts(conn.execute(job("products.files").compose(), {"name": PRODUCTS}))
    used = {row["sha256"] for row in before if row["is_used"]}
    given = {each.file.sha256 for each in read}
    if given <= used and not (replace and given != {row["sha256"] for row in before}):
        loaded.already = [each.file.path.name for each in read]
        return loaded
    inputs = {"files": [each.file.entry for each in read]}
    config = {"files": sorted(given), "replace": replace, "source": source}
    with stage(settings, "ingest", PRODUCTS, config, inputs=inputs) as run:
        _load(run, read, loaded, source, replace)
        run.summary |= {"products": len(loaded.files), "unassigned": loaded.unassigned, "already": loaded.already}
    retention.sweep(settings)
    return loaded


def _read(paths: Sequence[Path], loaded: Loaded) -> list[_File]:
    """Read every file; the same content given twice is an error."""
    read: dict[str, _File] = {}
    with progress.bar("read", len(paths)) as advance:
        for path in paths:
            products = product_files.read(path)
            advance(1)
            if products is None:
                loaded.parts.append(path.name)
                continue
            file = _checksum(path, products)
            if file.sha256 in read:
                raise InputError(f"the same content is given more than once: {read[file.sha256].file.path}, {path}")
            read[file.sha256] = _File(file, products)
    return list(read.values())


def _checksum(path: Path, products: Sequence[Product]) -> InputFile:
    """Checksum of a file; that of a spectrum holds its response, area and background, too."""
    file = checksum(path)
    if isinstance(products[0].data, Curve):
        return file
    with product_files.opened(path, product_files.content(path)) as hdus:
        parts = [checksum(each).sha256 for each in spectrum_files.companions(path, hdus)]
    return dataclasses.replace(file, sha256=hashlib.sha256("".join([file.sha256, *parts]).encode()).hexdigest())


def _load(run: Run, read: list[_File], loaded: Loaded, source: str, replace: bool) -> None:
    conn = run.conn
    conn.execute(job("ingest.lock").compose(), {"name": PRODUCTS})
    before = dicts(conn.execute(job("products.files").compose(), {"name": PRODUCTS}))
    used = {row["sha256"]: row["file_id"] for row in before if row["is_used"]}
    new = [each for each in read if each.file.sha256 not in used]
    loaded.already = [each.file.path.name for each in read if each.file.sha256 in used]
    wanted = product_source.given(conn, source) if source else None
    with run.step("assign"):
        for each in new:
            try:
                each.assigned = [product_source.assign(conn, each.file.path, p, wanted) for p in each.products]
            except UnassignedError as error:
                each.reason = str(error)
    if new and all(each.reason for each in new) and not loaded.already:
        shown = "; ".join(f"{each.file.path.name}: {each.reason}" for each in new[:3])
        more = f"; and {len(new) - 3} more" if len(new) > 3 else ""
        raise InputError(f"no file could be assigned to a published source; nothing was loaded: {shown}{more}")
    if replace:
        loaded.removed = len({row["sha256"] for row in before} - {each.file.sha256 for each in read})
    kept = [used[each.file.sha256] for each in read if each.file.sha256 in used]
    again = [row["file_id"] for row in before if row["sha256"] in {each.file.sha256 for each in new}]
    version, previous = _version(conn, replace)
    conn.execute(job("products.leave_out").compose(), {"catalogue_id": version, "file_ids": again})
    conn.execute(job("products.put_in").compose(), {"catalogue_id": version, "file_ids": kept})
    with run.step("write"), progress.bar("write", len(new)) as advance:
        for each in new:
            _write(conn, run.run_id, version, each, loaded)
            advance(1)
    for statement in ("make_current", "set_current"):
        conn.execute(job(f"ingest.{statement}").compose(), {"name": PRODUCTS, "catalogue_id": version})
    if previous not in (None, version) or again:
        retention.forget_unread_versions(conn)


def _version(conn: Connection, replace: bool) -> tuple[int, int | None]:
    """The version to load into, and the one that was current."""
    row = conn.execute(job("ingest.catalogue").compose(), {"name": PRODUCTS}).fetchone()
    before = None if row is None else int(row[0])
    if before is not None:
        conn.execute(job("ingest.lock_content").compose(), {"catalogue_id": before})
    of_before = {"catalogue_id": before}
    if before is None or replace:
        values = {"name": PRODUCTS, "kind": "products", "definition": Jsonb(_DEFINITION), "definition_sha256": _SHA256}
        return _number(conn, "ingest.add_catalogue", values), before
    if _number(conn, "ingest.is_read", of_before):
        return _number(conn, "ingest.copy_catalogue", of_before), before
    return before, before


def _number(conn: Connection, statement: str, values: dict[str, Any]) -> int:
    row = conn.execute(job(statement).compose(), values).fetchone()
    assert row is not None
    return int(row[0])


def _write(conn: Connection, run_id: int, version: int, each: _File, loaded: Loaded) -> None:
    """Enter a file, its products and the rows that it could not use."""
    file = each.file
    file_id = _number(conn, "ingest.add_file", {"catalogue_id": version, "run_id": run_id, **file.entry})
    rejects = [(1, None, None, each.reason)] if each.reason else [r for p in each.products for r in p.left_out]
    insert(
        conn,
        "xcat.reject",
        [(file_id, *reject) for reject in rejects],
        ("file_id", "row_number", "column_name", "value", "reason"),
    )
    n_rows = 0
    for product, assigned in zip(each.products, each.assigned, strict=False):
        facts = product_rows.write(conn, file_id, product, assigned)
        n_rows += facts["n_bins"]
        told = {key: facts[key] for key in ("name", "assigned_by", "product_kind", "n_bins", "n_blocks")}
        loaded.files.append({"file_name": file.path.name, "n_left_out": len(product.left_out), **told})
    if each.reason:
        loaded.unassigned.append({"file_name": file.path.name, "reason": each.reason})
    conn.execute(job("ingest.count_file").compose(), {"file_id": file_id, "n_rows": n_rows})

"""A release as a folder of files: Parquet and VOTable, a README, how to cite it, and the checksums of all.

The folder is there as a whole or not at all. Written again by the same versions of the libraries, the tables are equal
byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from xcat import __version__, atomic, progress
from xcat.arrays import jsonable
from xcat.database.connection import Connection
from xcat.errors import InputError
from xcat.jobs import releases
from xcat.output import files, pages, stored
from xcat.output.provenance import CITATION, KEY, provenance

FORMATS = {name: files.FORMATS[name] for name in ("parquet", "votable")}
SUMS, RECORD = "SHA256SUMS", "release.json"
_BLOCK_BYTES = 1 << 20
_OF_SOURCES = ("classified", "master_sources", "ulx_candidates")
_OF_COUNTERPARTS = ("optical", "infrared")


def export(conn: Connection, label: str, folder: Path, formats: list[str] | None = None) -> list[str]:
    """Write the tables of a release to a new folder.

    Parameters
    ----------
    formats : list of str, optional
        Of `FORMATS`; default: all.

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    XcatError
        The folder exists, or cannot be written.
    """
    release = releases.kept(conn, label)
    endings = [FORMATS[name] for name in formats or FORMATS]
    with atomic.writing_folder(folder) as part:
        tables = release["record"]["tables"]
        with progress.bar("release: files", len(tables)) as advance:
            for name in tables:
                write_table(conn, release, name, part, endings)
                advance(1)
        names = [f"{name}{ending}" for name in tables for ending in endings]
        record = {
            "label": label,
            "created_at": _time(release),
            "written_by": f"xcat {__version__}",
            **release["record"],
        }
        texts = {
            RECORD: json.dumps(jsonable(record, infinity=True), indent=2, ensure_ascii=False) + "\n",
            "CITATION.cff": _citation(release),
            "README.md": pages.text("release.md", record=record, about=_about(conn), citation=CITATION, sums=SUMS),
        }
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8")
        names = sorted([*names, *texts])
        (part / SUMS).write_text("".join(f"{_sha256(part / name)}  {name}\n" for name in names), encoding="utf-8")
    return [*names, SUMS]


def _time(release: dict[str, Any]) -> str:
    return str(release["created_at"].isoformat(timespec="seconds").replace("+00:00", "Z"))


def write_table(conn: Connection, release: dict[str, Any], name: str, folder: Path, endings: list[str]) -> None:
    """Write one table of a release in one or several formats."""
    table = released(conn, release, name)
    for ending in endings:
        files.write(table, folder / f"{name}{ending}")


def released(conn: Connection, release: dict[str, Any], name: str) -> stored.Stored:
    """One table of a release, to be written to a file; the same whenever it is written."""
    record = release["record"]
    about = record["tables"][name]
    facts = provenance(
        "release", run_id=release["run_id"], model_run_id=record["model_run_id"], release=release["label"]
    )
    facts |= {"request_date": _time(release), "table": name, "rows": about["rows"]} | epochs(name, record["inputs"])
    n_evidence = record["tables"]["model_term"]["rows"] * record["tables"]["model_class"]["rows"]
    return of_run(conn, name, release["run_id"], about["columns"], about["rows"], n_evidence, facts)


def epochs(name: str, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the positions of a table of a run have as their epochs, for its provenance.

    Parameters
    ----------
    inputs : sequence of mapping
        The catalogues of the run, with ``catalogue``, ``kind`` and ``epoch_yr``: see the query ``releases.inputs``.

    Returns
    -------
    dict
        ``epoch``, in words; ``epoch_yr``, where all positions have the same one.
    """
    if name in _OF_SOURCES:
        return {"epoch": "of each source the mean of its observations, the first at mjd_first, the last at mjd_last"}
    if name != "counterparts":
        return {}
    known = {i["catalogue"]: i.get("epoch_yr") for i in inputs if i["kind"] in _OF_COUNTERPARTS}
    stated = ", ".join(f"{catalogue} {'unknown' if e is None else f'J{e:g}'}" for catalogue, e in known.items())
    common = set(known.values())
    return {"epoch": f"of the object's catalogue: {stated}"} | (
        {"epoch_yr": common.pop()} if len(common) == 1 and None not in common else {}
    )


def of_run(
    conn: Connection,
    name: str,
    run_id: int,
    columns: list[str],
    n_rows: int,
    n_evidence: int,
    facts: dict[str, Any],
) -> stored.Stored:
    """The rows of a run in one of `xcat.jobs.releases.TABLES`, to be written to a file.

    Parameters
    ----------
    n_evidence : int
        Numbers of ``source_evidence.evidence``: one per term and class.
    facts : dict
        Provenance.
    """
    relation = releases.relation(name)
    described = stored.columns_of(conn, relation, columns)
    if name == "source_evidence":
        described = [c._replace(n_elements=n_evidence) if c.name == "evidence" else c for c in described]
    return stored.Stored(conn, relation, run_id, described, releases.TABLES[name], n_rows, {KEY: facts})


def _about(conn: Connection) -> dict[str, str]:
    """What each table holds, as the database says."""
    query = "SELECT obj_description(to_regclass(%s), 'pg_class')"
    return {name: str(conn.execute(query, [releases.relation(name)]).fetchall()[0][0]) for name in releases.TABLES}


def _citation(release: dict[str, Any]) -> str:
    record = release["record"]
    method = {
        "type": "article",
        "title": "Probabilistic classification of X-ray sources applied to Swift-XRT and XMM-Newton catalogs",
        "authors": [{"family-names": n} for n in ("Tranin", "Godet", "Webb", "Primorac")],
        "journal": "Astronomy & Astrophysics",
        "volume": 657,
        "start": "A138",
        "year": 2022,
        "doi": "10.1051/0004-6361/202141259",
    }
    about = {
        "cff-version": "1.2.0",
        "message": "If you use these tables, please cite them, the method, and the catalogues that README.md names.",
        "type": "dataset",
        "title": f"Classification of X-ray sources: {record['pipeline']}, release {release['label']}",
        **({"abstract": record["note"]} if record["note"] else {}),
        "version": release["label"],
        "date-released": f"{release['created_at']:%Y-%m-%d}",
        "authors": [{"name": name} for name in record["authors"]],
        "references": [method],
    }
    return str(yaml.safe_dump(about, sort_keys=False, allow_unicode=True))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def verify(release: dict[str, Any], folder: Path) -> list[str]:
    """Sum up the files of a release again; say what is not as it was written, a line each.

    Parameters
    ----------
    release : dict
        See `xcat.jobs.releases.show`; its record is what the files must say.

    Raises
    ------
    InputError
        The folder has no checksums, or is of another release.
    """
    try:
        sums = (folder / SUMS).read_text(encoding="utf-8")
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        wanted = {name: digest for digest, _, name in (line.partition("  ") for line in sums.splitlines())}
        label, tables = record["label"], record["tables"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no folder of xcat release export: {error}") from None
    if label != release["label"]:
        raise InputError(f"{folder} holds the release {label}, not {release['label']}")
    differences = [
        f"{name}: the table is not that of the release in the database"
        for name in {**tables, **release["record"]["tables"]}
        if tables.get(name) != release["record"]["tables"].get(name)
    ]
    there = {path.name for path in folder.iterdir()} - {SUMS}
    differences += [f"{name}: the file is gone" for name in sorted(wanted.keys() - there)]
    differences += [f"{name}: the file is not of the release" for name in sorted(there - wanted.keys())]
    differences += [
        f"{name}: the content is not what was written"
        for name in sorted(wanted.keys() & there)
        if _sha256(folder / name) != wanted[name]
    ]
    return differences + [
        f"{name}.parquet: {n_rows:,} rows, not {tables[name]['rows']:,}"
        for name in tables
        if (n_rows := _rows_of(folder / f"{name}.parquet")) not in (None, tables[name]["rows"])
    ]


def _rows_of(path: Path) -> int | None:
    """Rows of a Parquet file; None if it is absent or damaged, which the checksums tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None

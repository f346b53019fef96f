"""Small tables of somebody's own, as files, and the commands that match them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.table import MaskedColumn, Table
from typer.testing import CliRunner

from xcat.cli import own_commands
from xcat.config import Settings
from xcat.database.connection import connect
from xcat.output.files import write

app = own_commands.commands


def run(*arguments: Any) -> dict[str, Any]:
    """Run a command with --json; what it prints."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if result.exception is not None:
        raise result.exception
    return dict(json.loads(result.stdout))


def sky(n: int = 60, n_field: int = 4000, seed: int = 3) -> tuple[Table, Table]:
    """X-ray sources with counterparts for most, among field objects, on one square degree at RA = 0."""
    rng = np.random.default_rng(seed)

    def place(m: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.uniform(-0.5, 0.5, m) % 360, rng.uniform(9.5, 10.5, m)

    ra, dec = place(n)
    err = rng.uniform(0.5, 2.0, n)
    mine = Table(
        {
            "src_id": np.arange(1000, 1000 + n),
            "ra": ra,
            "dec": dec,
            "pos_err": err,
            "flux": 10.0 ** rng.uniform(-16, -12, n),
        }
    )
    mine["flux"].unit, mine["pos_err"].unit, mine["ra"].unit = "erg / (s cm2)", "arcsec", "deg"
    mine["flux"].description = "Flux"
    has = rng.random(n) < 0.8
    scatter = rng.normal(size=(2, n)) * err / 3600
    field_ra, field_dec = place(n_field)
    all_ra = np.concatenate([(ra + scatter[0] / np.cos(np.radians(dec)))[has] % 360, field_ra])
    all_dec = np.concatenate([(dec + scatter[1])[has], field_dec])
    mags = np.concatenate([rng.normal(18, 1, has.sum()), rng.normal(23, 1.5, n_field)])
    order = rng.permutation(len(all_ra))
    other = Table(
        {
            "ID": np.arange(1, len(all_ra) + 1),
            "RA": all_ra[order],
            "DEC": all_dec[order],
            "MAG": mags[order].astype("f4"),
        }
    )
    other["MAG"].unit = "mag"
    return mine, other


def save(table: Table, path: Path) -> Path:
    """Write a table."""
    return write(table, path, overwrite=True)


def read(path: Path) -> Table:
    """Read a table; astropy makes floats of Parquet's whole numbers with gaps."""
    if path.suffix != ".parquet":
        return Table.read(path, format="votable" if path.suffix == ".vot" else None)
    out = Table()
    whole = pq.read_table(path)
    for field in whole.schema:
        values = whole.column(field.name).to_pylist()
        mask = [v is None for v in values]
        blank = next((v for v in values if v is not None), 0)
        out[field.name] = MaskedColumn([blank if v is None else v for v in values], mask=mask)
        out[field.name].unit = (field.metadata or {}).get(b"unit", b"").decode() or None
    return out


def relations(settings: Settings) -> tuple[list[Any], int]:
    """All tables and indexes of the database and its rows in ``run``: what a match of files must not change."""
    with contextlib.closing(connect(settings)) as conn:
        names = conn.execute("SELECT relnamespace::regnamespace::text, relname FROM pg_class ORDER BY 1, 2").fetchall()
        row = conn.execute("SELECT count(*) FROM xcat.run").fetchone()
    return names, row[0] if row else 0


def stderr_of(*arguments: Any) -> str:
    """Run a command as a person does; what it prints on standard error."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    assert not result.stdout
    return result.stderr

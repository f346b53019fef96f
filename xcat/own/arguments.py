"""Arguments of a match of user tables: tables with their errors, magnitudes with their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xcat.errors import ConfigError, InputError
from xcat.ingest.files import named_table
from xcat.match.learning import PriorTable
from xcat.tables.facts import TableLike


@dataclass(frozen=True)
class FileSpec:
    """A file or table, and its positional error: columns, a number in arcsec, or None to guess."""

    table: TableLike
    pos_err: str | float | None = None


@dataclass(frozen=True)
class MagnitudeSpec:
    """A magnitude of a table (or a colour, ``g-r``), and the file with its histograms; None to learn them."""

    table: str
    column: str
    histogram: Path | None = None


def file_spec(text: str) -> FileSpec:
    """Split ``FILE`` or ``FILE:ERR``; FILE may name a table in it, as in ``FILE[NAME]``.

    ERR is a column, ``RA_ERR,DEC_ERR``, ``MAJ,MIN,PA`` or a number in arcsec.

    Raises
    ------
    InputError
        There is no such file.
    """
    if named_table(Path(text))[0].exists():
        return FileSpec(Path(text))
    name, colon, error = text.rpartition(":")
    if colon and name and named_table(Path(name))[0].exists():
        if not error.strip():
            raise ConfigError(f"{text}: a column or a number in arcsec is missing after the colon")
        return FileSpec(Path(name), error.strip())
    raise InputError(f"{name if colon and name else text}: there is no such file (write FILE or FILE:ERROR)")


def magnitude_spec(text: str) -> MagnitudeSpec:
    """Split ``TABLE:COLUMN``, ``TABLE:COLUMN:auto`` or ``TABLE:COLUMN:FILE``.

    Raises
    ------
    ConfigError
        It has another form, or there is no such file.
    """
    parts = text.split(":", 2)
    if len(parts) < 2 or not all(p.strip() for p in parts):
        raise ConfigError(f"--mag takes TABLE:COLUMN, TABLE:COLUMN:auto or TABLE:COLUMN:FILE, not {text!r}")
    table, column = parts[0].strip(), parts[1].strip()
    if len(parts) == 2 or parts[2].strip() == "auto":
        return MagnitudeSpec(table, column)
    path = Path(parts[2])
    if not path.is_file():
        raise ConfigError(f"--mag {text}: there is no file {path}; 'auto' learns the histogram from the match")
    return MagnitudeSpec(table, column, path)


def read_histogram(path: Path) -> PriorTable:
    """Read a histogram in NWAY's form: columns lo, hi (mag), selected, others (1/mag); lines with # are comments.

    Raises
    ------
    InputError
        Not four columns of numbers, bins that overlap or are empty, or densities below 0; names the line.
    """
    rows, lines = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            low, high, counterparts, others = map(float, fields)
        except ValueError:
            raise InputError(f"{path}: line {number} is not 'lo hi selected others': {line.strip()!r}") from None
        rows.append((low, high, counterparts, others))
        lines.append(number)
    if not rows:
        raise InputError(f"{path}: there is no bin in this file")
    table = np.array(rows)
    wrong = ~np.isfinite(table).all(axis=1) | (table[:, 1] <= table[:, 0]) | (table[:, 2:] < 0).any(axis=1)
    wrong[1:] |= table[1:, 0] < table[:-1, 1] - 1e-4 * np.abs(table[:-1, 1])  # ends are rounded in these files
    if wrong.any():
        raise InputError(
            f"{path}: line {lines[int(wrong.argmax())]}: bins must ascend without overlap, densities be 0 or more"
        )
    if not table[:, 2].sum() or not table[:, 3].sum():
        raise InputError(f"{path}: counterparts or others are 0 in all bins")
    return PriorTable(*table.T.copy())


def numbers_of_tables(options: Sequence[str], option: str) -> dict[str, float]:
    """Parse ``TABLE:NUMBER`` options.

    Raises
    ------
    ConfigError
        Another form, or a number that is not above 0.
    """
    numbers = {}
    for text in options:
        table, _, number = text.rpartition(":")
        try:
            numbers[table] = float(number)
        except ValueError:
            numbers[table] = float("nan")
        if not table or not numbers[table] > 0:
            raise ConfigError(f"{option} takes TABLE:NUMBER with a number above 0, not {text!r}")
    return numbers

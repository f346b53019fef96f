"""What every reader of a file format hands over, and how it finds the columns that it was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from xcat.errors import InputError

CHUNK_ROWS = 100_000


@dataclass
class Opened:
    """A table that has been opened: its header is known, its rows are still to come.

    Parameters
    ----------
    batches : iterator of pyarrow.RecordBatch
        The rows; only the wanted columns, under the names that the definition uses.
    n_rows : int, optional
        Number of rows, where the header says it.
    units : dict
        Units that the file itself states, by column.
    tell : callable, optional
        Bytes of the file that have been read.
    close : callable
        Lets go of the file.
    """

    batches: Iterator[pa.RecordBatch]
    n_rows: int | None = None
    units: dict[str, str] = field(default_factory=dict)
    tell: Callable[[], int] | None = None
    close: Callable[[], None] = lambda: None


def locate(wanted: Sequence[str], present: Iterable[str], path: Path) -> dict[str, int]:
    """Find the wanted columns among those of the file.

    Names are compared as written, then without regard to case (FITS does not tell case apart).

    Returns
    -------
    dict
        Index in the file of every wanted column.

    Raises
    ------
    InputError
        If a column is missing, or is there more than once.
    """
    names = [name.strip() for name in present]
    exact: dict[str, list[int]] = {}
    folded: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        exact.setdefault(name, []).append(index)
        folded.setdefault(name.casefold(), []).append(index)
    found: dict[str, int] = {}
    for name in wanted:
        places = exact.get(name) or folded.get(name.casefold()) or []
        if not places:
            raise InputError(_missing(name, names, path))
        if len(places) > 1:
            raise InputError(f"{path}: column '{name}' is there {len(places)} times; rename the others first")
        found[name] = places[0]
    return found


def _missing(name: str, names: Sequence[str], path: Path) -> str:
    by_fold = {n.casefold(): n for n in names if n}
    close = [by_fold[c] for c in difflib.get_close_matches(name.casefold(), by_fold, n=3, cutoff=0.5)]
    similar = f"similar: {', '.join(close)}" if close else f"it has: {', '.join(list(by_fold.values())[:30])}"
    return (
        f"{path}: there is no column '{name}' ({similar}). "
        "Use the definition that belongs to this file, or write one with 'extends' that renames the column"
    )

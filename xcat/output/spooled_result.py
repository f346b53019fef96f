"""A result too long for memory: its rows on the disk, given to the writers of files piece by piece."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from xcat.errors import XcatError
from xcat.output.provenance import KEY
from xcat.output.results import Seen
from xcat.output.statement import Head, Row

if TYPE_CHECKING:
    from astropy.table import Table

_BATCH_ROWS, _BATCH_MB = 5000, 8.0
_PIECE_MB = 16.0


class Rows(Protocol):
    """What gives rows: an `xcat.output.statement.Answer`, or a part of one."""

    @property
    def heads(self) -> Sequence[Head]:
        """Its columns."""

    def rows(self) -> Iterator[Row]:
        """Its rows, once."""


class SpooledResult:
    """The rows of a statement, written to a temporary file as they come; close it when it has been used.

    Parameters
    ----------
    answer : Rows
        The statement, which is run.
    beside : Path
        The file that will be written: its folder has the space.
    max_mb : float
        The most that the rows, and the file, may take.
    facts : dict
        Provenance, which every piece carries.
    ending : str, optional
        The format of the file, where it is not that of the ending of its name.

    Raises
    ------
    XcatError
        The result takes more than `max_mb`, or the disk is full.
    """

    def __init__(
        self, answer: Rows, beside: Path, max_mb: float, facts: dict[str, Any], ending: str | None = None
    ) -> None:
        self._seen, self._facts = Seen(answer.heads), facts
        self._is_wide = (ending or beside.suffix.lower()) == ".fits"  # whose columns are as wide as their longest text
        self._file = tempfile.TemporaryFile(dir=beside.parent)  # noqa: SIM115  closed by __exit__
        try:
            batch, written_mb = list[tuple[Any, ...]](), 0.0
            for row in answer.rows():
                batch.append(row)
                self._seen.add(row)
                if len(batch) == _BATCH_ROWS or self._seen.raw_mb - written_mb > _BATCH_MB:
                    self._write(batch)
                    batch, written_mb = [], self._seen.raw_mb
                    self._check(beside, max_mb)
            self._write(batch)
            self._check(beside, max_mb)
        except OSError as error:
            self._file.close()
            raise XcatError(f"{beside}: the result cannot be kept ({error.strerror or error})") from error
        except BaseException:
            self._file.close()
            raise

    def _write(self, batch: list[tuple[Any, ...]]) -> None:
        pickle.dump(batch, self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def _check(self, beside: Path, max_mb: float) -> None:
        size = max(self._seen.raw_mb, self.n_rows * self._seen.row_bytes / 4e6 if self._is_wide else 0.0)
        if size > max_mb:
            raise XcatError(
                f"{beside}: the result takes more than {max_mb:,.0f} MB: stopped at row {self.n_rows:,}, nothing was "
                "written. Ask for fewer rows (LIMIT) or columns, or raise XCAT_MAX_FILE_MB"
            )

    @property
    def n_rows(self) -> int:
        """Rows of the result."""
        return self._seen.n_rows

    def pieces(self) -> Iterator[Table]:
        """The rows in tables of the same types, of a size that fits into memory; at least one."""
        n_rows = max(1, min(_BATCH_ROWS, int(_PIECE_MB * 1e6 / self._seen.row_bytes)))
        self._file.seek(0)
        place, n_given = 0, 0
        while n_given < self.n_rows or not place:
            self._file.seek(place)  # another walk through the file may be under way
            batch = pickle.load(self._file)
            place = self._file.tell()
            n_given += len(batch)
            for start in range(0, len(batch), n_rows) or (0,):
                table = self._seen.table(batch[start : start + n_rows]).astropy()
                table.meta[KEY] = self._facts
                yield table

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

"""The layout of a FITS file, checked against its size before anything is allocated by what its headers say.

A header can promise 10^9 columns or rows, or fewer rows than the file has. So the blocks of the file are walked first,
within bounds, and every byte must be accounted for; checksums are verified where the file has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from xcat.errors import InputError

BLOCK = 2880
_CARD = 80
_MOST_HEADER_BLOCKS = 1000  # 36,000 cards; the longest headers of archives have some thousands
_MOST_EXTENSIONS = 10_000
_BITPIX = (8, 16, 32, 64, -32, -64)
_STRUCTURE = re.compile(
    rb"^(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP"
    rb"|(TTYPE|TFORM|TUNIT|TNULL|TSCAL|TZERO|TDIM|TBCOL|TUCD)\d+) *$",
    re.I,
)
_SUM_BYTES = 1 << 24
_ALL_ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class Extension:
    """One header with its data: number in the file, header, and where header and data are, in bytes."""

    path: Path
    number: int
    header: fits.Header
    header_start: int
    data_start: int
    data_bytes: int

    @property
    def name(self) -> str:
        """EXTNAME; empty where there is none."""
        return str(self.header.get("EXTNAME", "")).strip()

    @property
    def is_table(self) -> bool:
        """Whether it has rows; compressed images are stored as tables, too, but are none."""
        kinds = ("BINTABLE", "A3DTABLE", "TABLE")
        return str(self.header.get("XTENSION", "")).strip() in kinds and not self.header.get("ZIMAGE", False)

    @property
    def data_end(self) -> int:
        """Where the next header begins: data fill whole blocks."""
        return self.data_start + -(-self.data_bytes // BLOCK) * BLOCK

    def __str__(self) -> str:
        about = f" '{self.name}'" if self.name else ""
        rows = f" ({self.header['NAXIS2']:,} rows)" if self.is_table else ""
        return f"{self.number}{about}{rows}"

    def whole(self, keyword: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number of the header, within bounds.

        Raises
        ------
        InputError
            It is missing, no whole number, or outside.
        """
        value = self.value(keyword, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            wanted = f"{least}" if least == most else f"a whole number from {least:,} to {most:,}"
            raise InputError(
                f"{self.path}: {keyword} of extension {self.number} is {_shown(value)}, but must be {wanted}; "
                "the header is damaged"
            )
        return value

    def value(self, keyword: str, default: Any = None) -> Any:
        """A value of the header.

        Raises
        ------
        InputError
            Its card is damaged.
        """
        try:
            return self.header.get(keyword, default)
        except VerifyError:
            raise InputError(
                f"{self.path}: the header card {keyword} of extension {self.number} cannot be read; the file is damaged"
            ) from None


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) < 40 else f"{text[:36]} ..."


def extensions(path: Path, plain: Path) -> list[Extension]:
    """Walk the headers of a FITS file; the first entry is the primary one.

    Parameters
    ----------
    path : Path
        The file in messages.
    plain : Path
        The file, not packed.

    Raises
    ------
    InputError
        A header is damaged or has no end, or the file has more or fewer bytes than its headers promise.
    """
    found: list[Extension] = []
    size, start = plain.stat().st_size, 0
    with plain.open("rb") as stream:
        while start < size:
            stream.seek(start)
            if found and stream.read(8) != b"XTENSION":
                last = found[-1]
                raise InputError(
                    f"{path}: its headers promise {start:,} bytes, the file has {size:,}; after extension {last} come "
                    f"{size - start:,} bytes that belong to nothing. The file is damaged, or more than one"
                )
            if len(found) == _MOST_EXTENSIONS:
                raise InputError(f"{path}: more than {_MOST_EXTENSIONS:,} extensions; this is not read")
            stream.seek(start)
            raw = _raw_header(path, stream, len(found))
            made = _extension(path, len(found), raw, start)
            _check_end(path, made, size, stream)
            found.append(made)
            start = made.data_end
    return found


def first_table(path: Path, stream: BufferedReader) -> Extension:
    """Walk the headers of a stream as far as the first table, whose rows are what it gives next.

    For files whose rows are read once, in their order: they need not be unpacked to disk.

    Raises
    ------
    InputError
        A header is damaged or has no end, or there is no table.
    """
    start = 0
    for number in range(_MOST_EXTENSIONS):
        if number and not stream.peek(1):
            break
        made = _extension(path, number, _raw_header(path, stream, number), start)
        if made.is_table:
            return made
        left = made.data_end - made.data_start
        while left and (n_read := len(stream.read(min(left, _SUM_BYTES)))):
            left -= n_read
        if left:
            raise InputError(f"{path}: the file ends inside extension {made}; fetch it again")
        start = made.data_end
    raise InputError(f"{path}: there is no table in the FITS file")


def _raw_header(path: Path, stream: IO[bytes], number: int) -> bytes:
    blocks: list[bytes] = []
    while True:
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            raise InputError(f"{path}: the file ends inside the header of extension {number}; fetch it again")
        blocks.append(block)
        if any(block[i : i + 8] == b"END     " for i in range(0, BLOCK, _CARD)):
            return b"".join(blocks)
        if len(blocks) == _MOST_HEADER_BLOCKS:
            raise InputError(
                f"{path}: the header of extension {number} does not end within {_MOST_HEADER_BLOCKS * BLOCK:,} bytes; "
                "the file is damaged"
            )


def _cards(raw: bytes) -> Iterator[bytes]:
    for i in range(0, len(raw), _CARD):
        card = raw[i : i + _CARD]
        if card[:8] == b"END     ":
            return
        yield card


def _extension(path: Path, number: int, raw: bytes, start: int) -> Extension:
    first = b"XTENSION" if number else b"SIMPLE  "
    if raw[:8] != first:
        raise InputError(
            f"{path}: the first header card is {raw[:30].decode('ascii', 'replace')!r}, not "
            f"{first.decode().strip()}; the file is damaged"
        )
    known: dict[bytes, bytes] = {}
    for card in _cards(raw):
        keyword = card[:8]
        if not _STRUCTURE.match(keyword):
            continue
        if keyword != keyword.upper() or card[8:10] != b"= " or not all(32 <= byte < 127 for byte in card):
            raise InputError(
                f"{path}: the header card {card[:40].decode('ascii', 'replace')!r} of extension {number} is damaged"
            )
        if known.setdefault(keyword, card) != card:
            raise InputError(
                f"{path}: {keyword.decode().strip()} occurs twice with different values in the header of extension "
                f"{number}; the file is damaged"
            )
    text = b"".join(_cards(raw)).decode("ascii", "replace").replace("\ufffd", "?")
    header = fits.Header.fromstring(text)
    made = Extension(path, number, header, start, start + len(raw), 0)
    return Extension(path, number, header, start, start + len(raw), _data_bytes(made))


def _data_bytes(extension: Extension) -> int:
    """Bytes of the data by the standard's formula, every number within bounds."""
    most = 1 << 62
    bits = extension.value("BITPIX")
    if bits not in _BITPIX or isinstance(bits, bool):
        extension.whole("BITPIX", 8, 8)
    n_axes = extension.whole("NAXIS", 0, 999)
    axes = [extension.whole(f"NAXIS{i + 1}", 0, most) for i in range(n_axes)]
    n_groups, n_more = extension.whole("GCOUNT", 0, most, 1), extension.whole("PCOUNT", 0, most, 0)
    if extension.is_table:
        extension.whole("BITPIX", 8, 8)
        extension.whole("NAXIS", 2, 2)
        extension.whole("GCOUNT", 1, 1, 1)
        extension.whole("TFIELDS", 0, 999)
    if not axes:
        return 0
    if axes[0] == 0 and extension.header.get("GROUPS") is True:
        axes = axes[1:]
    return abs(int(bits)) // 8 * n_groups * (n_more + prod(axes))


def _check_end(path: Path, made: Extension, size: int, stream: IO[bytes]) -> None:
    """Refuse data that the file does not have, and fill bytes of the last block that are rows."""
    end = made.data_start + made.data_bytes
    if end > size:
        if made.is_table:
            n_complete = min((size - made.data_start) // max(made.header["NAXIS1"], 1), made.header["NAXIS2"])
            raise InputError(
                f"{path}: the file is cut off after row {n_complete:,} of {made.header['NAXIS2']:,} (its headers "
                f"promise {end:,} bytes, it has {size:,}); fetch it again"
            )
        raise InputError(f"{path}: extension {made} should end at byte {end:,}, the file has {size:,}; fetch it again")
    if made.data_end > size:
        raise InputError(
            f"{path}: the file has {size:,} bytes and ends inside the last block of extension {made.number}, which "
            f"goes to byte {made.data_end:,}; bytes are missing. Fetch it again"
        )
    stream.seek(end)
    fill = stream.read(made.data_end - end)
    if made.is_table and fill.strip(b"\0 "):
        raise InputError(
            f"{path}: after the {made.header['NAXIS2']:,} rows that extension {made.number} promises there are more "
            "bytes than fill the last block; the header is damaged"
        )


def verify(plain: Path, extension: Extension) -> None:
    """Compare an extension with its DATASUM and CHECKSUM, where it has them.

    Raises
    ------
    InputError
        A sum differs.
    """
    state = plain.stat()
    key = (str(plain), state.st_mtime_ns, state.st_size)
    of_data = _sum32(*key, extension.data_start, extension.data_end)
    stated = str(extension.value("DATASUM", "")).strip()
    number = extension.number
    if stated and stated != str(of_data) and not (stated.isdecimal() and int(stated) == of_data):
        raise InputError(
            f"{extension.path}: DATASUM of extension {number} is {stated[:20]}, its data sum up to {of_data}; "
            "the file is damaged. Fetch it again"
        )
    if str(extension.value("CHECKSUM", "")).strip():
        total = _folded(_sum32(*key, extension.header_start, extension.data_start) + of_data)
        if total not in (0, _ALL_ONES):
            raise InputError(
                f"{extension.path}: the CHECKSUM of extension {number} differs by {total:,}: header or data are not as "
                "they were written. Fetch the file again; if it was edited on purpose, renew its CHECKSUM"
            )


@lru_cache(maxsize=64)
def _sum32(plain: str, mtime_ns: int, size: int, start: int, stop: int) -> int:
    """Ones' complement sum of a part of a file, which has a size that is a multiple of 4."""
    total = 0
    with Path(plain).open("rb") as stream:
        stream.seek(start)
        for at in range(start, stop, _SUM_BYTES):
            part = stream.read(min(_SUM_BYTES, stop - at))
            total = _folded(total + int(np.frombuffer(part, ">u4").sum(dtype=np.uint64)))
    return total


def _folded(total: int) -> int:
    while total > _ALL_ONES:
        total = (total & _ALL_ONES) + (total >> 32)
    return total

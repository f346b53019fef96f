"""Files before anything is read of them: regular ones only, unpacked within bounds, told apart by their content."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from xcat.errors import InputError

_SNIFF_BYTES = 65536
#: A file that becomes larger than this and this many times larger than it was is no table (tables pack 2 to 50 times).
_MOST_UNPACKED_BYTES, _MOST_UNPACKED_RATIO = 1 << 30, 200
_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_PACKED_NAMES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "an array of numpy",
    b"ARROW1": "an Arrow (Feather) file",
    b"\x1f\x9d": "packed by 'compress'",
}
_NOT_REGULAR = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
#: The longest marks first: that of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_SUFFIXES = {
    **dict.fromkeys((".fits", ".fit", ".fts"), "FITS"),
    **dict.fromkeys((".vot", ".votable"), "VOTable"),
    **dict.fromkeys((".parquet", ".parq", ".pq"), "Parquet"),
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat", ".ecsv", ".mrt"), "text"),
}
_KINDS = {"fits": "FITS", "votable": "VOTable", "parquet": "Parquet", "csv": "text", "ecsv": "text", "mrt": "text"}


def regular(path: Path) -> Path:
    """A path that is a file on disk, itself or through links; other things have no end, or no content.

    Raises
    ------
    InputError
        There is nothing of this name, or a folder, pipe, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISREG(mode):
        return path
    what = next((name for is_kind, name in _NOT_REGULAR if is_kind(mode)), "no file")
    raise InputError(f"{path}: this is {what}; only regular files are read. Copy the table to a file first")


def named_table(path: Path) -> tuple[Path, int | str | None]:
    """Split ``FILE[NAME]``: the file, and the name or number of a table in it, or None for a plain name of a file."""
    match = re.fullmatch(r"(.+)\[([^\[\]]+)\]", str(path))
    if match is None or path.exists():
        return path, None
    name = match[2].strip()
    return Path(match[1]), int(name) if name.isascii() and name.isdecimal() and len(name) < 6 else name


def unpacked_name(path: Path) -> str:
    """Name of a file without the ending that its packing added."""
    return path.stem if path.suffix.lower() in _PACKED_NAMES else path.name


def packing(head: bytes) -> str:
    """How a file is packed, by its first bytes; empty if it is not."""
    if head.startswith(b"BZh") and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
        return ""  # a text that begins so
    return next((name for magic, name in _PACKINGS.items() if head.startswith(magic)), "")


def unpacked(path: Path) -> io.BufferedReader:
    """Open a file for reading, unpacked if it is gzip, bzip2, xz or zstd, whatever its name.

    Raises
    ------
    InputError
        It is not a regular file; while it is read: it unpacks to far more than a table would.
    """
    raw = regular(path).open("rb")
    how = packing(raw.peek(16)[:16])
    return io.BufferedReader(_Unpacking(path, raw, how), 1 << 18) if how else raw


class _Unpacking(io.RawIOBase):
    """The unpacked bytes of a file; refuses one that has next to no content for its size."""

    def __init__(self, path: Path, packed: io.BufferedReader, how: str):
        self._path, self._packed, self._n_bytes = path, packed, 0
        self._n_packed = path.stat().st_size
        self._stream: Any
        if how == "gzip":
            self._stream = gzip.GzipFile(fileobj=packed)
        elif how == "bzip2":
            self._stream = bz2.BZ2File(packed)
        elif how == "xz":
            self._stream = lzma.LZMAFile(packed)  # noqa: SIM115 - closed below
        else:
            self._stream = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self._n_bytes += len(content)
        if self._n_bytes > _MOST_UNPACKED_BYTES and self._n_bytes > _MOST_UNPACKED_RATIO * self._n_packed:
            raise InputError(
                f"{self._path}: unpacks to more than {_MOST_UNPACKED_RATIO} times its {self._n_packed:,} bytes "
                f"(so far {self._n_bytes:,}); this is not a table. If it is one, unpack it first"
            )
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


def plain_file(path: Path, stack: ExitStack) -> Path:
    """The file itself, or unpacked as a temporary file that the stack removes: for readers that must seek."""
    with unpacked(path) as stream:
        if not isinstance(stream.raw, _Unpacking):
            return path
        temporary = stack.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 - closed by the stack
        shutil.copyfileobj(stream, temporary, 1 << 20)
    temporary.flush()
    return Path(temporary.name)


def byte_order_mark(head: bytes) -> str:
    """Encoding that a text says by its first bytes (utf-8-sig, utf-16, utf-32); empty if it says none."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), "")


def sniff(path: Path, encoding: str = "utf-8") -> str:
    """Tell the format of a file by its content, and by its neighbours for a bare fixed-width table.

    Parameters
    ----------
    encoding : str
        Of a text that does not say its own by a byte order mark.

    Returns
    -------
    str
        fits, votable, parquet, ecsv, mrt or csv.

    Raises
    ------
    InputError
        The file is empty, a web page, all zeros, or of a kind that is not a table.
    """
    with unpacked(path) as stream:
        head = stream.read(_SNIFF_BYTES)
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    if not head.strip(b"\0"):
        raise InputError(f"{path}: the file begins with {len(head):,} zero bytes and no table; fetch it again")
    if head.startswith(b"SIMPLE  =") or head[80:89] == b"BITPIX  =":
        return "fits"  # of a damaged first card, the header's own check tells
    if head.startswith(b"PAR1"):
        return "parquet"
    _refuse_other_kinds(path, head)
    encoding = byte_order_mark(head) or encoding
    text = head.decode(encoding, "replace")
    _refuse_no_text(path, text, head)
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        if "VOTABLE" in text:
            return "votable"
        raise InputError(f"{path}: this is a web page or other XML, not a table; was the download refused?")
    if start.startswith("# %ECSV"):
        return "ecsv"
    if "Byte-by-byte Description of file" in text or _described_beside(path):
        return "mrt"
    return "csv"


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    kind = next((name for magic, name in _OTHER_KINDS.items() if head.startswith(magic)), "")
    if not kind and head[257:262] == b"ustar":
        kind = "a tar archive"
    if kind:
        raise InputError(f"{path}: this is {kind}, not a table. Unpack or convert it to FITS, VOTable, Parquet or CSV")
    if packing(head):
        raise InputError(f"{path}: this is packed more than once (inside: {packing(head)}). Unpack it first")


def _refuse_no_text(path: Path, text: str, head: bytes) -> None:
    # tab, line ends, form feed and the end mark of old systems occur in text; other control characters do not
    n_control = sum(text.count(chr(code)) for code in range(32) if code not in (9, 10, 11, 12, 13, 26))
    if n_control <= len(text) // 20:
        return
    for wide, at in (("utf-16-le", 1), ("utf-16-be", 0)):
        if head[at::2].count(0) > 0.9 * len(head[at::2]) and head[1 - at :: 2].count(0) == 0:
            raise InputError(
                f"{path}: this seems to be text in {wide}; say so in a definition, as in 'read: {{encoding: {wide}}}', "
                "or convert it to UTF-8"
            )
    raise InputError(
        f"{path}: neither text nor FITS, VOTable or Parquet ({n_control:,} of the first {len(head):,} bytes "
        "are control characters); is it damaged?"
    )


def _described_beside(path: Path) -> bool:
    """Whether a CDS ``ReadMe`` in the same folder describes the file byte by byte, also for the packed file's name."""
    readme, names = path.with_name("ReadMe"), {path.name, unpacked_name(path)}
    return readme.is_file() and any(
        line.startswith("Byte-by-byte Description of file") and any(name in line for name in names)
        for line in readme.read_text(encoding="utf-8", errors="replace").splitlines()
    )


def belied(path: Path, format_: str) -> list[str]:
    """A message, if the ending of a file's name says another format or packing than its content."""
    with regular(path).open("rb") as stream:
        how = packing(stream.read(16))
    says_packed = _PACKED_NAMES.get(path.suffix.lower(), "")
    says = _SUFFIXES.get(Path(unpacked_name(path)).suffix.lower())
    what = []
    if says_packed != how:
        what.append(f"packed with {how}" if how else "not packed")
    if says is not None and says != _KINDS[format_]:
        what.append(_KINDS[format_])
    return [f"{path}: by its content this is {' and '.join(what)}, whatever its name says; read so"] if what else []

"""The lines of a text file, whatever its encoding and its line ends, as UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from xcat.errors import InputError

#: What stands for bytes that are not of the encoding.
REPLACED = "\ufffd".encode()
_READ_BYTES = 1 << 20
_MAX_LINE_BYTES = 16 << 20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


class Lines:
    """Lines, or all that is left of them as a stream that Arrow reads.

    Parameters
    ----------
    stream : binary file
        The content, unpacked.
    encoding : str
        Of the text, if it has no byte order mark.

    Attributes
    ----------
    has_quotes : bool
        Whether there was a quotation mark in what was read as a stream.
    n_ends : int
        Line ends in what was read as a stream.
    is_damaged : bool
        Whether bytes were replaced (by U+FFFD) that are not of the encoding.
    """

    closed = False

    def __init__(self, path: Path, stream: io.BufferedIOBase, encoding: str) -> None:
        self._path, self._stream = path, stream
        self._buffer = stream.read(4096)
        said = next((name for mark, name in _MARKS if self._buffer.startswith(mark)), encoding)
        self._encoding, self.is_damaged = said, False
        # most tables are plain ASCII, which needs no decoding
        is_utf8 = codecs.lookup(said).name == "utf-8"
        self._decoder = None if is_utf8 else codecs.getincrementaldecoder(said)()
        self._buffer = self._decode(self._buffer)
        self._joins_blanks = self._is_done = False
        self._at = 0  # what of the buffer is used up
        self.has_quotes, self.n_ends = False, 0

    def _decode(self, raw: bytes) -> bytes:
        if self._decoder is None:
            if raw.isascii():
                return raw
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            content = self._decoder.decode(raw, final=not raw).encode()
        except UnicodeError as error:
            raise self.wrong_encoding(f" ({' '.join(str(error).split())[:200]})") from error
        self.is_damaged = self.is_damaged or content.count(REPLACED) > raw.count(REPLACED)
        return content

    def _more(self, n: int) -> bytes:
        """What comes next of the file, as UTF-8; empty at its end."""
        while not self._is_done:
            raw = self._stream.read(n)
            self._is_done = not raw
            content = self._decode(raw)
            if content:
                return content
        return b""

    def line(self) -> str | None:
        """The next line without its end; None after the last."""
        while True:
            start, end = self._next_end()
            # a carriage return at the end of what was read may be the first half of an end
            if end and (end < len(self._buffer) or self._is_done):
                raw, self._at = self._buffer[self._at : start], end
                return self._text(raw)
            content = self._more(_READ_BYTES)
            rest, self._at = self._buffer[self._at :], 0
            if not content:
                self._buffer = b""
                return self._text(rest.rstrip(b"\r\n")) if rest else None
            self._buffer = rest + content
            if len(self._buffer) > _MAX_LINE_BYTES and not self._next_end()[1]:
                raise InputError(
                    f"{self._path}: a line at its beginning has more than {_MAX_LINE_BYTES >> 20} MB; "
                    "is this a text table?"
                )

    def _next_end(self) -> tuple[int, int]:
        """Where the next end of a line starts and ends; (0, 0) if there is none in the buffer."""
        feed = self._buffer.find(b"\n", self._at)
        turn = self._buffer.find(b"\r", self._at, feed if feed >= 0 else len(self._buffer))
        if turn < 0:
            return (feed, feed + 1) if feed >= 0 else (0, 0)
        return turn, turn + (2 if feed == turn + 1 else 1)

    def _text(self, raw: bytes) -> str:
        if self.is_damaged and REPLACED in raw:
            if b"\0" in self._buffer:
                raise InputError(f"{self._path}: cannot be read as text: it has NUL bytes. Is it of another format?")
            raise self.wrong_encoding()
        return raw.decode()

    def wrong_encoding(self, detail: str = "") -> InputError:
        """The error of a text that is not of its encoding."""
        say = "say which it is, as in 'read: {encoding: latin-1}'"
        return InputError(f"{self._path}: the text is not {self._encoding}; {say}{detail}")

    def skip(self, n_lines: int, key: str) -> None:
        """Skip lines.

        Raises
        ------
        InputError
            The file ends before.
        """
        for number in range(n_lines):
            if self.line() is None:
                raise InputError(f"{self._path}: has only {number:,} lines to skip, '{key}' says {n_lines:,}")

    def header(self, comment: str | None) -> str:
        """The first line with content that is no remark; it ends where its quotes are closed."""
        while (text := self.line()) is not None:
            if text.strip() and not (comment and text.startswith(comment)):
                break
        while text is not None and text.count('"') % 2 and (more := self.line()) is not None:
            text += f" {more}"
            if len(text) > _MAX_LINE_BYTES:
                raise InputError(f"{self._path}: a quote in the names of the columns is never closed")
        return text or ""

    def put_back(self, lines: list[str]) -> None:
        """Put lines back that were read."""
        self._buffer, self._at = "".join(f"{line}\n" for line in lines).encode() + self._buffer[self._at :], 0

    def join_blanks(self) -> None:
        """From now on several blanks count as one, and those around a line not at all."""
        self._joins_blanks = True

    def is_at_end(self) -> bool:
        """Whether there is nothing more."""
        return not self.beginning(1)

    def beginning(self, n: int) -> bytes:
        """The next `n` bytes, or what there is, which stay to be read."""
        self._buffer, self._at = self._buffer[self._at :], 0
        while len(self._buffer) < n and (content := self._more(_READ_BYTES)):
            self._buffer += content
        return self._buffer[:n]

    def pass_over(self, n: int) -> None:
        """Leave out bytes that `beginning` has shown."""
        self._at += n

    def read(self, n: int) -> bytes:
        """The next `n` bytes of what is left, as UTF-8, or what there is; none at the end."""
        self.beginning(n)  # whole blocks, so that the batches do not depend on how the file is packed
        content, self._buffer = self._buffer, b""
        if self._joins_blanks:
            content = self._joined(content, n)
        content, self._buffer = content[:n], content[n:]
        self.has_quotes = self.has_quotes or b'"' in content
        self.n_ends += content.count(b"\n") or content.count(b"\r")
        return content

    def _joined(self, content: bytes, n: int) -> bytes:
        while content and content[-1:] in b" \t\r\n" and (more := self._more(n)):
            content += more  # a run of blanks is joined as a whole
        content = re.sub(rb"[ \t]*(\r\n|\r|\n)[ \t]*", b"\n", re.sub(rb"[ \t]+", b" ", content))
        return content.strip(b" ") if self._is_done else content.lstrip(b" ")


def last_line(path: Path) -> list[str]:
    """A warning, if the last line of a file does not end: it may be cut off."""
    with path.open("rb") as stream:
        packed = stream.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")  # a packed file that is cut off shows
        stream.seek(max(stream.seek(0, 2) - 60, 0))
        end = stream.read()
    # in UTF-16 and UTF-32 there are zeros behind the line end, and old systems mark the end of a file
    if packed or (end.rstrip(b" \t\0\x1a") or b"\n").endswith((b"\n", b"\r")):
        return []
    last = re.split(r"[\r\n]", end.decode("utf-8", "replace"))[-1]
    return [f"{path}: WARNING: the last line has no end ('{last[-40:]}'): is the file cut off there?"]


def refuse_replaced(lines: Lines, columns: list[pa.Array]) -> None:
    """Refuse text in which bytes were replaced; in columns that nobody needs they may be."""
    replaced = REPLACED.decode()
    if lines.is_damaged and any(pc.any(pc.match_substring(c, replaced)).as_py() for c in columns):
        raise lines.wrong_encoding()

"""Bytes as lines of base64, the form that binary rows have in a VOTable."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

_LINE_BYTES = 57 * 16  # of a line; a multiple of 3


def base64_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of bytes as lines of base64."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) - len(data) % _LINE_BYTES
        rest = data[whole:]
        yield b"".join(base64.b64encode(data[i : i + _LINE_BYTES]) + b"\n" for i in range(0, whole, _LINE_BYTES))
    yield base64.b64encode(rest) + b"\n"

"""The area of a catalogue: a MOC (IVOA Multi-Order Coverage map), in a definition or a file."""

from __future__ import annotations

import re
from pathlib import Path

from mocpy import MOC

_FINEST = 29
_SUFFIXES = (".fits", ".fit", ".fits.gz", ".json", ".txt", ".moc")


def area_text(value: str, folder: Path) -> str:
    """The area of a definition as text: an IVOA string such as ``6/1-40``, or a file with a MOC (FITS, or text).

    Raises
    ------
    ValueError
        It is neither, or covers nothing.
    """
    text = value.strip()
    if text.lower().endswith(_SUFFIXES):
        path = folder / Path(text).expanduser()
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        is_fits = ".fit" in path.name.lower()
        try:
            moc = MOC.load(path, format="fits" if is_fits else "json" if path.suffix == ".json" else "ascii")
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is no MOC of the sky in ICRS ({_first_line(error)})") from None
    else:
        try:
            if any(int(order) > _FINEST for order in re.findall(r"(\d+)/", text)):
                raise ValueError(f"the finest order is {_FINEST}")
            moc = MOC.from_string(text.replace(",", " "), format="ascii")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"'{text[:60]}' is neither a MOC, such as '6/1-40 7/200', nor the file of one ({_first_line(error)})"
            ) from None
    whole = " ".join(str(moc.to_string(format="ascii")).split())
    if not re.search(r"/\d", whole):
        raise ValueError(f"'{text[:60]}' covers nothing")
    return whole


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].removeprefix("Parse error: 0: ").rstrip(":. ")

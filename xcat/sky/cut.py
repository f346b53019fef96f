"""A reference that was cut to what is near X-ray sources (``xcat cut``), with the counts of all its objects beside it.

The footer of the cut says that it is one, and the checksum of the counts: the rows are never taken for the whole sky.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from xcat.errors import InputError
from xcat.sky.density_map import Counter

#: Key in the footer of the Parquet file.
CUT_KEY = "xcat.cut"


def density_file(path: Path) -> Path:
    """File with the counts of the whole reference."""
    return path.with_suffix(".density.parquet")


def coverage_file(path: Path) -> Path:
    """File with the area in which all objects are there."""
    return path.with_suffix(".moc.fits")


def counts_of(path: Path) -> Counter | None:
    """The counts of the whole reference that a file was cut from; None if it is no cut.

    Raises
    ------
    InputError
        It is a cut, and the file with the counts is missing or of another cut.
    """
    if path.suffix.lower() != ".parquet":
        return None
    import pyarrow.parquet as pq

    note = (pq.read_schema(path).metadata or {}).get(CUT_KEY.encode())
    if note is None:
        return None
    beside = density_file(path)
    if not beside.is_file():
        raise InputError(
            f"{path} is a cut of a larger catalogue; the counts of the whole, {beside.name}, must be beside it: "
            "without them the sky would seem empty between the sources"
        )
    if hashlib.sha256(beside.read_bytes()).hexdigest() != json.loads(note).get("density_sha256"):
        raise InputError(f"{beside}: these are not the counts that {path.name} was made with. Make both: xcat cut")
    counts = pq.read_table(beside)
    counter = Counter()
    names = ("healpix", "n_objects", "occupied_parts")
    counter.merge(*(counts[name].to_numpy().astype(np.int64) for name in names))
    return counter

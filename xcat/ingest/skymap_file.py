"""Sky maps in FITS files, plain or packed: multi-order (column UNIQ), or flat HEALPix (RING or NESTED).

The rows of a flat nested map are read once, in their order, and four equal cells become one as they come: 12 million
rows of a published map are 20,000 cells, and are never in memory together.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.errors import InputError
from xcat.ingest.files import sniff, unpacked
from xcat.ingest.fits_layout import Extension, first_table
from xcat.ingest.opened import UNREADABLE, shortened
from xcat.ingest.skymap_columns import KEYWORDS, MapTable, is_galactic, map_table, repeat
from xcat.sky.nested import FINEST, Cells, join_cells, of_uniq
from xcat.sky.skymap import SkyMap, is_unseen

if TYPE_CHECKING:
    from astropy.table import Table

#: The largest maps: flat ones of NSIDE 2048.
MOST_CELLS = 12 * 2048**2
_MOST_APART = 4  # of so many cells that are read one may be kept: others are joined
_EVENT = {"object": "OBJECT", "date_obs": "DATE-OBS", "instruments": "INSTRUME", "creator": "CREATOR"}
_DISTANCE = {"distance_mean_mpc": "DISTMEAN", "distance_std_mpc": "DISTSTD"}
_CHUNK_CELLS = 4**7  # what fits into the processor's cache takes half the time


def read_skymap(path: Path, column: str = "", most_cells: int = MOST_CELLS) -> SkyMap:
    """Read a map of probability.

    Parameters
    ----------
    path : Path
        FITS, plain or packed (gzip, bzip2, xz, zstd).
    column : str
        Column of the probability; PROB, PROBABILITY or PROBDENSITY if not given. It is a density if its name or its
        unit says so.
    most_cells : int
        Refuse larger maps.

    Raises
    ------
    InputError
        The file cannot be read, or is no map of probability in equatorial or galactic coordinates; the message names
        file, column and row.
    """
    try:
        kind = sniff(path)
        if kind != "fits":
            raise InputError(f"{path}: a sky map is a FITS file with HEALPix cells, this is {kind}")
        with unpacked(path) as stream:
            return _read(path, stream, column, most_cells)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {shortened(error)}. Fetch it again") from error


def read_skymap_table(
    table: Table, column: str = "", name: str = "the sky map", most_cells: int = MOST_CELLS
) -> SkyMap:
    """Read a map from a table in memory, with the columns and, in its ``meta``, the header of a FITS file.

    Parameters
    ----------
    name : str
        What to call it in messages.

    Raises
    ------
    InputError
        As `read_skymap`.
    """
    from astropy.io import fits
    from astropy.table import Table

    packed = io.BytesIO()
    keywords = {key: value for key, value in table.meta.items() if str(key).upper() in KEYWORDS}
    numbers = [name for name in table.colnames if table[name].dtype.kind in "iuf"]
    hdu = fits.table_to_hdu(Table([table[name] for name in numbers], meta=keywords))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(packed)
    return _read(Path(name), io.BufferedReader(io.BytesIO(packed.getvalue())), column, most_cells)


def _read(path: Path, stream: BufferedReader, column: str, most_cells: int) -> SkyMap:
    hdu = first_table(path, stream)
    notes: list[str] = []
    table = map_table(hdu, column, notes)
    facts = {"file": path.name} | {name: hdu.value(key) for name, key in (_EVENT | _DISTANCE).items()}
    facts = {name: value for name, value in facts.items() if value not in (None, "")}
    in_galactic = is_galactic(hdu, notes)
    read = _multi_order if table.ordering == "NUNIQ" else _flat
    order, cell, values, row = read(table, stream, most_cells)
    _read_to_end(stream)
    return SkyMap.of_cells(
        order,
        cell,
        values[0],
        is_density=table.is_density,
        distance=values[1:] if len(values) > 1 else None,
        row=row,
        where=str(path),
        names=(table.index.facts.name if table.index else "", table.columns[0].facts.name),
        is_galactic=in_galactic,
        facts=facts,
        notes=notes,
    )


def _check_size(table: MapTable, n_cells: int, most_cells: int) -> None:
    if n_cells > most_cells:
        raise InputError(
            f"{table.where}: the map has {n_cells:,} cells, more than {most_cells:,}; make a multi-order map of it, or "
            "one of lower resolution"
        )


def _rows(table: MapTable, stream: BufferedReader) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of the table in pieces, each after the number of rows before it."""
    hdu, used = table.hdu, [*table.columns, *([table.index] if table.index else [])]
    dtype = np.dtype(
        {
            "names": [f"f{k}" for k in range(len(used))],
            "formats": [f"({repeat(c)},){c.type}" for c in used],
            "offsets": [c.start for c in used],
            "itemsize": int(hdu.header["NAXIS1"]),
        }
    )
    at_once = max(_CHUNK_CELLS // table.n_per_row, 1)
    buffer = memoryview(bytearray(min(at_once, table.n_rows) * dtype.itemsize))
    for start in range(0, table.n_rows, at_once):
        wanted = min(at_once, table.n_rows - start) * dtype.itemsize
        n_bytes = 0
        while n_bytes < wanted:
            n_read = stream.readinto(buffer[n_bytes:wanted])
            if not n_read:
                n_complete = start + n_bytes // dtype.itemsize
                raise InputError(
                    f"{hdu.path}: the file is cut off after row {n_complete:,} of {table.n_rows:,}; fetch it again"
                )
            n_bytes += n_read
        yield start, np.frombuffer(buffer[:wanted], dtype)


def _read_to_end(stream: BufferedReader) -> None:
    """Have the packing's own checksum compared, which stands at its end."""
    while stream.read(1 << 20):
        pass


def _multi_order(
    table: MapTable, stream: BufferedReader, most_cells: int
) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    values, indices, index = [], [], table.index
    assert index is not None
    _check_size(table, table.n_rows * table.n_per_row, most_cells // _MOST_APART)
    for start, part in _rows(table, stream):
        values.append(table.values(part))
        uniq = table.numbers(part)
        wrong = np.flatnonzero((uniq < 4) | (uniq >= 4 ** (FINEST + 2)))
        if len(wrong):
            raise InputError(
                f"{table.where}: column '{index.facts.name}', row {start + wrong[0] // table.n_per_row + 1:,}: "
                f"{uniq[wrong[0]]} is no cell; they go from 4 to {4 ** (FINEST + 2) - 1}"
            )
        indices.append(uniq)
    uniq = np.concatenate(indices) if indices else np.zeros(0, np.int64)
    order, cell = of_uniq(uniq)
    value = np.concatenate(values, axis=1) if values else np.zeros((len(table.columns), 0))
    row = np.arange(len(uniq)) // table.n_per_row + 1
    return order, cell, value, row


def _flat(
    table: MapTable, stream: BufferedReader, most_cells: int
) -> tuple[IntArray, IntArray, FloatArray, IntArray | None]:
    """The cells of a map of one order, equal ones joined."""
    order = _order(table.hdu)
    n_pixels, n_cells = 12 * 4**order, table.n_rows * table.n_per_row
    if table.index is None and n_cells != n_pixels:
        raise InputError(
            f"{table.where}: NSIDE {2**order} has {n_pixels:,} pixels, the table has {n_cells:,}; the header is wrong, "
            "or the file is cut off"
        )
    _check_size(table, n_cells, most_cells)
    if table.index is not None:
        return _of_pixels(table, _rows(table, stream), order)
    pieces: list[Cells] = []
    n_kept = 0
    for cell, values, place in (_nested if table.ordering == "NESTED" else _ring)(table, stream, order):
        unseen = is_unseen(values[0])
        if unseen.any():
            cell, values, place = cell[~unseen], values[:, ~unseen], place[~unseen]
        table.check(values[0], place)
        joined = join_cells(order, cell, values)
        pieces += joined
        n_kept += sum(len(numbers) for _, numbers, _ in joined)
        if n_kept > most_cells // _MOST_APART:
            raise InputError(
                f"{table.where}: the map has more than {most_cells // _MOST_APART:,} cells of different values; make "
                "one of lower resolution"
            )
    orders, cells, values = (np.concatenate(each, axis=-1) for each in zip(*pieces, strict=True))
    if not table.is_density:
        values[0] = np.ldexp(values[0], 2 * (order - orders))  # of all pixels that became one cell
    return orders, cells, values, None


def _nested(table: MapTable, stream: BufferedReader, order: int) -> Iterator[tuple[IntArray, FloatArray, IntArray]]:
    """Nested cells in their order, their values, and how many cells of the file come before each."""
    for start, part in _rows(table, stream):
        cell = np.arange(len(part) * table.n_per_row) + start * table.n_per_row
        yield cell, table.values(part), cell


def _ring(table: MapTable, stream: BufferedReader, order: int) -> Iterator[tuple[IntArray, FloatArray, IntArray]]:
    """The same of a map whose cells are in rings: it is read as a whole."""
    from astropy_healpix.core import nested_to_ring

    whole = np.empty((len(table.columns), 12 * 4**order))
    for start, part in _rows(table, stream):
        whole[:, start * table.n_per_row : (start + len(part)) * table.n_per_row] = table.values(part)
    for first in range(0, whole.shape[1], _CHUNK_CELLS):
        cell = np.arange(first, min(first + _CHUNK_CELLS, whole.shape[1]))
        place = np.asarray(nested_to_ring(cell, 2**order), np.int64)
        yield cell, whole[:, place], place


def _order(hdu: Extension) -> int:
    nside = hdu.whole("NSIDE", 1, 2**FINEST)
    if nside & (nside - 1):
        raise InputError(f"{hdu.path}: NSIDE is {nside}; only powers of 2 have nested cells. Make the map again")
    return nside.bit_length() - 1


def _of_pixels(
    table: MapTable, rows: Iterator[tuple[int, np.ndarray]], order: int
) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """The cells of a flat map that lists some pixels with their numbers."""
    values, pixels, index = [], [], table.index
    assert index is not None
    for _, part in rows:
        values.append(table.values(part))
        pixels.append(table.numbers(part))
    pixel = np.concatenate(pixels) if pixels else np.zeros(0, np.int64)
    value = np.concatenate(values, axis=1) if values else np.zeros((len(table.columns), 0))
    row = np.arange(len(pixel)) // table.n_per_row + 1
    wrong = np.flatnonzero((pixel < 0) | (pixel >= 12 * 4**order))
    if len(wrong):
        raise InputError(
            f"{table.where}: column '{index.facts.name}', row {row[wrong[0]]:,}: {pixel[wrong[0]]} is no pixel of "
            f"NSIDE {2**order}; they go from 0 to {12 * 4**order - 1}"
        )
    if table.ordering == "RING":
        from astropy_healpix.core import ring_to_nested

        pixel = np.asarray(ring_to_nested(pixel, 2**order), np.int64)
    has = ~is_unseen(value[0])
    return np.full(has.sum(), order), pixel[has], value[:, has], row[has]

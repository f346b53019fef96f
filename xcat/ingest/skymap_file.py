"""Sky maps in FITS files, plain or packed: multi-order (column UNIQ), or flat HEALPix (RING or NESTED).

The rows of a flat nested map are read once, in their order, and four equal cells become one as they come: 12 million rows
of a published map are 20,000 cells, and are never in memory together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.errors import InputError
from xcat.ingest.files import sniff, unpacked
from xcat.ingest.fits_layout import Extension, first_table
from xcat.ingest.fits_table import FitsColumn, binary_columns
from xcat.ingest.opened import UNREADABLE, shortened
from xcat.sky.nested import FINEST, Cells, join_cells, of_uniq
from xcat.sky.skymap import SkyMap, check_values, is_unseen

#: The largest maps: flat ones of NSIDE 2048.
MOST_CELLS = 12 * 2048**2
_CHUNK_CELLS = 4**9
_PROBABILITIES = ("PROB", "PROBABILITY")
_DENSITIES = ("PROBDENSITY", "PROB_DENSITY", "PROBABILITY_DENSITY", "PROBABILITY DENSITY")
_ORDERINGS = {"NESTED": "NESTED", "NEST": "NESTED", "RING": "RING", "NUNIQ": "NUNIQ", "UNIQ": "NUNIQ"}
_EQUATORIAL = ("C", "CEL", "CELESTIAL", "EQ", "EQU", "EQUATORIAL", "ICRS", "FK5", "J2000")
_GALACTIC = ("G", "GAL", "GALACTIC")
_EVENT = {"object": "OBJECT", "date_obs": "DATE-OBS", "instruments": "INSTRUME", "creator": "CREATOR"}
_DISTANCE = {"distance_mean_mpc": "DISTMEAN", "distance_std_mpc": "DISTSTD"}


@dataclass
class _Table:
    """The table of a map: its columns, and how they become values."""

    hdu: Extension
    ordering: str
    columns: list[FitsColumn]
    factors: list[float]
    index: FitsColumn | None
    is_density: bool

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return int(self.hdu.header["NAXIS2"])

    @property
    def where(self) -> str:
        """What to call the map in messages."""
        return str(self.hdu.path)

    @property
    def n_per_row(self) -> int:
        """Cells of a row: healpy writes 1,024."""
        return _repeat(self.columns[0])

    def values(self, part: np.ndarray) -> FloatArray:
        """Values of some rows, shape (n_columns, n)."""
        out = np.empty((len(self.columns), len(part) * self.n_per_row))
        for k, (column, factor) in enumerate(zip(self.columns, self.factors, strict=True)):
            out[k] = part[f"f{k}"].ravel()
            if column.scale != 1 or column.zero != 0:
                out[k] = out[k] * column.scale + column.zero
            if factor != 1:
                out[k] *= factor
        return out

    def check(self, values: FloatArray, cells_before: IntArray) -> None:
        """Refuse values that are no probabilities; `cells_before` says how many cells of the file come before each."""
        check_values(values, self.where, self.columns[0].facts.name, cells_before // self.n_per_row + 1)


def read_skymap(path: Path, column: str = "", most_cells: int = MOST_CELLS) -> SkyMap:
    """Read a map of probability.

    Parameters
    ----------
    path : Path
        FITS, plain or packed (gzip, bzip2, xz, zstd).
    column : str
        Column of the probability; PROB, PROBABILITY or PROBDENSITY if not given. It is a density if its name or its unit
        says so.
    most_cells : int
        Refuse larger maps.

    Raises
    ------
    InputError
        The file cannot be read, or is no map of probability in equatorial or galactic coordinates; the message names
        file, column and row.
    """
    kind = sniff(path)
    if kind != "fits":
        raise InputError(f"{path}: a sky map is a FITS file with HEALPix cells, this is {kind}")
    try:
        with unpacked(path) as stream:
            hdu = first_table(path, stream)
            notes: list[str] = []
            table = _table(hdu, column, notes)
            facts = {"file": path.name} | {name: hdu.value(key) for name, key in (_EVENT | _DISTANCE).items()}
            facts = {name: value for name, value in facts.items() if value not in (None, "")}
            is_galactic = _is_galactic(hdu, notes)
            make = _multi_order if table.ordering == "NUNIQ" else _flat
            order, cell, values, row = make(table, stream, most_cells)
            _read_to_end(stream)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {shortened(error)}. Fetch it again") from error
    return SkyMap.of_cells(
        order,
        cell,
        values[0],
        is_density=table.is_density,
        distance=values[1:] if len(values) > 1 else None,
        row=row,
        where=str(path),
        names=(table.index.facts.name if table.index else "", table.columns[0].facts.name),
        is_galactic=is_galactic,
        facts=facts,
        notes=notes,
    )


def _table(hdu: Extension, wanted: str, notes: list[str]) -> _Table:
    """Find the columns."""
    path, by_name = hdu.path, {c.facts.name.upper(): c for c in binary_columns(hdu)}
    index = by_name.get("UNIQ")
    ordering = str(hdu.value("ORDERING", "")).strip().upper()
    if not ordering and index is not None:
        notes.append(f"{path}: no ORDERING in the header; taken as multi-order, for there is a column UNIQ")
        ordering = "NUNIQ"
    if ordering not in _ORDERINGS:
        says = f"is {ordering[:20]!r}" if ordering else "is missing"
        raise InputError(f"{path}: ORDERING {says}; it must be NESTED, RING or NUNIQ, else no cell has a place")
    ordering = _ORDERINGS[ordering]
    if (ordering == "NUNIQ") != (index is not None):
        says = "there is no column UNIQ" if index is None else "there is a column UNIQ, which only NUNIQ has"
        raise InputError(f"{path}: ORDERING is {ordering}, but {says}; the header is wrong, or the file is no sky map")
    if ordering != "NUNIQ" and str(hdu.value("INDXSCHM", "")).strip().upper() == "EXPLICIT":
        index = by_name.get("PIXEL")
        if index is None:
            raise InputError(f"{path}: INDXSCHM is EXPLICIT, but there is no column PIXEL; the header is wrong")
    names = [wanted.upper()] if wanted else [n for n in (*_PROBABILITIES, *_DENSITIES) if n in by_name]
    if not names or names[0] not in by_name:
        searched = f"column '{wanted}'" if wanted else "column PROB, PROBABILITY or PROBDENSITY"
        has = ", ".join(c.facts.name for c in by_name.values())
        raise InputError(f"{path}: there is no {searched}; the table has {has}. Name the right one with --column")
    value = by_name[names[0]]
    per_sr = _per_steradian(value.facts.unit)
    is_density = names[0] in _DENSITIES or per_sr is not None
    columns, factors = [value], [(per_sr or 1.0) if is_density else 1.0]
    distance = [by_name[name] for name in ("DISTMU", "DISTSIGMA") if name in by_name]
    if len(distance) == 2:
        columns, factors = columns + distance, factors + [_in_mpc(path, c) for c in distance]
    elif distance:
        notes.append(f"{path}: of DISTMU and DISTSIGMA only {distance[0].facts.name} is there; distances are not used")
    used = [*columns, *([index] if index else [])]
    for each in used:
        if each.code not in ("BIJK" if each is index else "EDIJK") or _repeat(each) != _repeat(value):
            raise InputError(f"{path}: column '{each.facts.name}' does not hold a number for every cell")
    return _Table(hdu, ordering, columns, factors, index, is_density)


def _repeat(column: FitsColumn) -> int:
    return column.width // np.dtype(column.type).itemsize if column.type and column.code != "A" else 0


def _unit(text: str) -> Any:
    from astropy.units import Unit

    return Unit(text, parse_strict="silent")


def _per_steradian(unit: str) -> float | None:
    """Steradians to the power of minus one in a unit of density; None for other units."""
    from astropy.units import UnitConversionError, sr

    try:
        return float(_unit(unit).to(1 / sr))
    except (UnitConversionError, TypeError, ValueError):
        return None


def _in_mpc(path: Path, column: FitsColumn) -> float:
    """Mpc in the unit of a distance; Mpc if it has none."""
    from astropy.units import Mpc, UnitConversionError

    if not column.facts.unit:
        return 1.0
    try:
        return float(_unit(column.facts.unit).to(Mpc))
    except (UnitConversionError, TypeError, ValueError):
        raise InputError(
            f"{path}: column '{column.facts.name}' has the unit {column.facts.unit[:20]!r}, which is no distance; correct "
            "its TUNIT"
        ) from None


def _is_galactic(hdu: Extension, notes: list[str]) -> bool:
    frame = str(hdu.value("COORDSYS", "")).strip().upper()
    if not frame:
        notes.append(f"{hdu.path}: no COORDSYS in the header; taken as equatorial (C)")
    if frame and frame not in (*_EQUATORIAL, *_GALACTIC):
        raise InputError(
            f"{hdu.path}: COORDSYS is {frame[:20]!r}; only maps in equatorial (C) and galactic (G) coordinates are read. "
            "Rotate the map first"
        )
    return frame in _GALACTIC


def _rows(table: _Table, stream: BufferedReader, most_cells: int, n_cells: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of the table in pieces, each after the number of rows before it."""
    hdu, used = table.hdu, [*table.columns, *([table.index] if table.index else [])]
    if n_cells > most_cells:
        raise InputError(
            f"{hdu.path}: the map has {n_cells:,} cells, more than {most_cells:,}; make a multi-order map of it, or one of "
            "lower resolution"
        )
    dtype = np.dtype(
        {
            "names": [f"f{k}" for k in range(len(used))],
            "formats": [f"({_repeat(c)},){c.type}" for c in used],
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


def _multi_order(table: _Table, stream: BufferedReader, most_cells: int) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    values, indices, index = [], [], table.index
    assert index is not None
    for start, part in _rows(table, stream, most_cells, table.n_rows * table.n_per_row):
        values.append(table.values(part))
        uniq = part[f"f{len(table.columns)}"].astype(np.int64).ravel()
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


def _flat(table: _Table, stream: BufferedReader, most_cells: int) -> tuple[IntArray, IntArray, FloatArray, IntArray | None]:
    """The cells of a map of one order, equal ones joined."""
    order = _order(table.hdu)
    n_pixels, n_cells = 12 * 4**order, table.n_rows * table.n_per_row
    pieces: list[Cells] = []
    if table.index is None and n_cells != n_pixels:
        raise InputError(
            f"{table.where}: NSIDE {2**order} has {n_pixels:,} pixels, the table has {n_cells:,}; the header is wrong, or "
            "the file is cut off"
        )
    rows = _rows(table, stream, most_cells, n_cells)
    if table.index is not None:
        return _of_pixels(table, rows, order)
    if table.ordering == "NESTED":
        for start, part in rows:
            cell, values = np.arange(len(part) * table.n_per_row) + start * table.n_per_row, table.values(part)
            cell, values = _with_value(table, cell, values, cell)
            pieces += join_cells(order, cell, values)
    else:
        ring = [table.values(part) for _, part in rows]
        whole = np.concatenate(ring, axis=1) if ring else np.zeros((len(table.columns), 0))
        from astropy_healpix.core import nested_to_ring

        for first in range(0, n_pixels, _CHUNK_CELLS):
            cell = np.arange(first, min(first + _CHUNK_CELLS, n_pixels))
            place = np.asarray(nested_to_ring(cell, 2**order), np.int64)
            cell, values = _with_value(table, cell, whole[:, place], place)
            pieces += join_cells(order, cell, values)
    orders, cells, values = (np.concatenate(each, axis=-1) for each in zip(*pieces, strict=True))
    if not table.is_density:
        values[0] = np.ldexp(values[0], 2 * (order - orders))  # of all pixels that became one cell
    return orders, cells, values, None


def _order(hdu: Extension) -> int:
    nside = hdu.whole("NSIDE", 1, 2**FINEST)
    if nside & (nside - 1):
        raise InputError(f"{hdu.path}: NSIDE is {nside}; only powers of 2 have nested cells. Make the map again")
    return nside.bit_length() - 1


def _of_pixels(
    table: _Table, rows: Iterator[tuple[int, np.ndarray]], order: int
) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """The cells of a flat map that lists some pixels with their numbers."""
    values, pixels, index = [], [], table.index
    assert index is not None
    for _, part in rows:
        values.append(table.values(part))
        pixels.append(part[f"f{len(table.columns)}"].astype(np.int64).ravel())
    pixel = np.concatenate(pixels) if pixels else np.zeros(0, np.int64)
    value = np.concatenate(values, axis=1) if values else np.zeros((len(table.columns), 0))
    row = np.arange(len(pixel)) // table.n_per_row + 1
    wrong = np.flatnonzero((pixel < 0) | (pixel >= 12 * 4**order))
    if len(wrong):
        raise InputError(
            f"{table.where}: column '{index.facts.name}', row {row[wrong[0]]:,}: {pixel[wrong[0]]} is no pixel of NSIDE "
            f"{2**order}; they go from 0 to {12 * 4**order - 1}"
        )
    if table.ordering == "RING":
        from astropy_healpix.core import ring_to_nested

        pixel = np.asarray(ring_to_nested(pixel, 2**order), np.int64)
    has = ~is_unseen(value[0])
    return np.full(has.sum(), order), pixel[has], value[:, has], row[has]


def _with_value(table: _Table, cell: IntArray, values: FloatArray, place: IntArray) -> tuple[IntArray, FloatArray]:
    """The cells that have a value, which is checked; `place` is where in the file they are."""
    unseen = is_unseen(values[0])
    if unseen.any():
        cell, values, place = cell[~unseen], values[:, ~unseen], place[~unseen]
    table.check(values[0], place)
    return cell, values

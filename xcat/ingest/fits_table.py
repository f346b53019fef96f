"""FITS tables, mapped into memory and converted to native numbers chunk by chunk."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.utils.exceptions import AstropyUserWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest.opened import ColumnFacts, TableReader, array_batches, is_gzip, locate, unpacked


def open_fits(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open the first table of a FITS file, or the one that ``read.hdu`` names."""
    plain = path
    if is_gzip(path) and definition.file_columns:  # memory mapping needs plain bytes
        temporary = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".fits"))  # noqa: SIM115 - closed by the stack
        with unpacked(path) as packed:
            shutil.copyfileobj(packed, temporary, 1 << 20)
        temporary.flush()
        plain = Path(temporary.name)
    with table_hdu(plain, definition.read.hdu, path) as hdu:
        columns, found = hdu.columns, _columns(hdu)
        area = hdu.header.get("SKYAREA", fits.getheader(plain, 0).get("SKYAREA"))
        keywords = {"EXTNAME": hdu.header.get("EXTNAME", ""), "SKYAREA": area}
        if not definition.file_columns:
            return TableReader(path, iter(()), columns=found, meta=keywords)  # only the header is wanted
        places = locate(definition.file_columns, columns.names, path)
        n_rows = int(hdu.header["NAXIS2"])
        units = {name: columns[i].unit for name, i in places.items() if columns[i].unit}
        if isinstance(hdu, fits.TableHDU):  # ASCII tables are old and small
            data = {name: np.array(hdu.data.field(i)) for name, i in places.items()}
            return TableReader(path, array_batches(data, n_rows, chunk_rows), n_rows, units, found, keywords)
        rows = _mapped(plain, path, hdu, n_rows)
        wanted = {name: columns[i] for name, i in places.items()}
        for name, i in places.items():
            if found[i].unusable:
                raise InputError(f"{path}: column '{name}' {found[i].unusable}, not single numbers")
    return TableReader(path, _batches(rows, wanted, chunk_rows), n_rows, units, found, keywords)


def _columns(hdu: Any) -> list[ColumnFacts]:
    found = []
    for i, column in enumerate(hdu.columns, start=1):
        ucd = str(hdu.header.get(f"TUCD{i}", hdu.header.get(f"TBUCD{i}", "")))
        about = str(hdu.header.get(f"TCOMM{i}", hdu.header.get(f"TDESC{i}", "")))
        code, is_binary = column.format.format, isinstance(hdu, fits.BinTableHDU)
        is_array = is_binary and (code in "PQXCM" or (code != "A" and column.format.repeat != 1))
        unusable = f"({column.format}) holds arrays" if is_array else ""
        found.append(ColumnFacts(column.name.strip(), column.unit or "", ucd, about, unusable=unusable))
    return found


@contextmanager
def table_hdu(plain: Path, wanted: int | str | None, path: Path) -> Iterator[Any]:
    """Open the first table of a FITS file, or the extension of this number or name; `path` is for messages."""
    with warnings.catch_warnings():
        # archives bend the standard in harmless ways; a cut-off file is noticed when its rows are mapped
        warnings.simplefilter("ignore", VerifyWarning)
        warnings.simplefilter("ignore", AstropyUserWarning)
        with fits.open(plain, memmap=True) as hdus:
            try:
                candidates = hdus if wanted is None else [hdus[wanted]]
            except (KeyError, IndexError):
                candidates = []
            hdu = next((h for h in candidates if isinstance(h, fits.BinTableHDU | fits.TableHDU)), None)
            if hdu is None:
                where = "" if wanted is None else f"extension {wanted!r} of "
                raise InputError(f"{path}: there is no table in {where}the FITS file")
            yield hdu


def _mapped(plain: Path, path: Path, hdu: fits.BinTableHDU, n_rows: int) -> npt.NDArray[np.void]:
    """Map the rows of a binary table; the bytes stay on disk until a chunk is copied."""
    dtype = hdu.columns.dtype.newbyteorder(">")
    width = int(hdu.header["NAXIS1"])
    if dtype.itemsize != width:
        raise InputError(f"{path}: the columns take {dtype.itemsize} bytes per row, the header says {width}")
    start = hdu.fileinfo()["datLoc"]
    n_complete = max(0, plain.stat().st_size - start) // max(width, 1)
    if n_complete < n_rows:
        raise InputError(f"{path}: the file is cut off after row {n_complete} of {n_rows}; fetch it again")
    if n_rows == 0:
        return np.empty(0, dtype)
    return np.memmap(plain, dtype, mode="r", offset=start, shape=(n_rows,))


def _converted(column: fits.Column, stored: npt.NDArray[Any]) -> pa.Array:
    """Stored values of one column as numbers or text."""
    code, zero = column.format.format, 0 if column.bzero in ("", None) else column.bzero
    if code == "A":
        raw = pa.array(np.ascontiguousarray(stored).reshape(len(stored)), pa.binary())
        try:
            return raw.cast(pa.string())
        except pa.ArrowInvalid:  # FITS allows ASCII only; what else is found is mostly Latin-1
            return pa.array([v.decode("latin-1") for v in raw.to_pylist()], pa.string())
    values = stored.astype(stored.dtype.newbyteorder("="))
    if code == "L":
        return pa.array(values == ord("T"), mask=values == 0)
    mask = None if column.null in ("", None) or code in "ED" else values == column.null
    if zero == 2**63:  # unsigned 64-bit integers, by the convention of the standard
        return pa.array(values.view(np.uint64) ^ np.uint64(2**63), mask=mask)
    scale = 1 if column.bscale in ("", None) else column.bscale
    if scale != 1 or zero != 0:
        whole = scale == 1 and float(zero).is_integer() and code not in "ED"
        values = values.astype(np.int64 if whole else np.float64) * scale + (int(zero) if whole else zero)
    return pa.array(values, mask=mask)


def _batches(rows: npt.NDArray[np.void], columns: dict[str, fits.Column], chunk_rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), chunk_rows):
        part = rows[start : start + chunk_rows]
        yield pa.record_batch([_converted(c, part[c.name]) for c in columns.values()], names=list(columns))

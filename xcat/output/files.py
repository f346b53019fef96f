"""Tables as files. Units, descriptions and UCDs are kept wherever the format has a place for them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable import from_table, writeto
from astropy.table import Column, Table, meta
from astropy.units import UnitsWarning

from xcat.atomic import TABLES, check_new, writing
from xcat.errors import XcatError


def write(table: Table, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a table to a file, in the format of the ending of its name.

    The file appears complete or not at all: it is written under another name and renamed.

    Parameters
    ----------
    table : Table
    path : Path or str
        Ends in .fits, .vot, .xml, .votable, .parquet, .csv or .ecsv.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    XcatError
        Unknown ending, a file that exists already, or a folder that cannot be written to.
    """
    path = Path(path)
    check_new(path, TABLES, overwrite)
    try:
        with writing(path) as part:
            _WRITERS[path.suffix.lower()](table, part)
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _fits(table: Table, path: Path) -> None:
    plain = table.copy(copy_data=False)
    plain.meta = {}  # its keys are longer than FITS keywords
    for name in plain.colnames:
        # table_to_hdu would turn descriptions into a YAML block in the comments; TCOMMn is what others read
        plain[name].info.description = None
        if plain[name].dtype.kind == "U":
            plain[name] = _ascii(plain[name])
        elif plain[name].dtype.kind == "b" and hasattr(plain[name], "mask"):
            plain[name] = _logical(plain[name])
        _safe_null(plain[name])
    hdu = fits.table_to_hdu(plain)
    for i, column in enumerate(table.itercols(), start=1):
        ucd, about = column.meta.get("ucd"), column.description
        if ucd:
            hdu.header.set(f"TUCD{i}", ucd, "unified content descriptor", after=f"TFORM{i}")
        if about:
            hdu.header.set(f"TCOMM{i}", _escaped(about), after=f"TFORM{i}")
    for key, value in table.meta.items():
        hdu.header.add_history(_escaped(f"{key}: {value}"))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True, checksum=True)


def _escaped(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _safe_null(column: Column) -> None:
    """Write NULL of an integer as the least number, not as numpy's 999999, which may occur."""
    if column.dtype.kind in "iu" and hasattr(column, "fill_value"):
        column.fill_value = np.iinfo(column.dtype).min


def _ascii(column: Column) -> Column:
    """FITS holds ASCII only; other characters are written as escapes, so that none is lost."""
    data = np.char.encode(np.ma.filled(column, ""), "ascii", "backslashreplace")
    return Column(data, unit=column.unit, meta=column.meta)


def _logical(column: Column) -> Column:
    """FITS logicals have no mask: true, false and NULL are written as the texts 'T', 'F' and blank."""
    text = np.where(np.ma.getmaskarray(column), b"", np.where(np.ma.filled(column, False), b"T", b"F"))
    return Column(text, meta=column.meta)


def _votable(table: Table, path: Path) -> None:
    plain = table.copy(copy_data=False)
    for name in plain.colnames:
        column = plain[name]
        if column.ndim > 1 and column.dtype.kind == "U":
            plain[name] = _as_json_text(column)
        _safe_null(column)
    with warnings.catch_warnings():
        # VOUnit deprecates erg, the unit of X-ray astronomy
        warnings.filterwarnings("ignore", message="The unit 'erg'", category=UnitsWarning)
        writeto(from_table(plain), str(path))


def _parquet(table: Table, path: Path) -> None:
    arrays, fields = [], []
    # astropy reads the units and the lengths of texts from these keys
    notes_of_table = {"table_meta_yaml": "\n".join(meta.get_yaml_from_table(table))}
    for name in table.colnames:
        column = table[name]
        notes = {
            "unit": "" if column.unit is None else column.unit.to_string(),
            "ucd": column.meta.get("ucd", ""),
            "description": column.description or "",
        }
        arrays.append(_arrow(column))
        fields.append(pa.field(name, arrays[-1].type, metadata={k: v for k, v in notes.items() if v}))
        if column.dtype.kind == "U":
            notes_of_table[f"table::len::{name}"] = str(max(column.dtype.itemsize // 4, 1))
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=notes_of_table)), path, write_page_checksum=True
    )


def _arrow(column: Column) -> Any:
    data, mask = np.asarray(column), np.ma.getmaskarray(column).ravel() if hasattr(column, "mask") else None
    flat = pa.array(data.ravel().astype(object) if data.dtype.kind == "U" else data.ravel(), mask=mask)
    return flat if data.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, data.shape[1])


def _as_json_text(column: Column) -> Column:
    """Arrays as JSON, for formats that have none."""
    text = [json.dumps(np.ma.asarray(row).tolist()) for row in column]
    return Column(np.array(text, dtype=np.str_), description=column.description, meta=column.meta)


def _csv(table: Table, path: Path) -> None:
    plain = table.copy(copy_data=False)
    for name in plain.colnames:
        if plain[name].ndim > 1:
            plain[name] = _as_json_text(plain[name])
    plain.write(path, format="ascii.csv", overwrite=True)


_WRITERS: dict[str, Callable[[Table, Path], None]] = {
    **dict.fromkeys((".vot", ".xml", ".votable"), _votable),
    ".fits": _fits,
    ".parquet": _parquet,
    ".csv": _csv,
    ".ecsv": lambda table, path: table.write(path, format="ascii.ecsv", overwrite=True),
}

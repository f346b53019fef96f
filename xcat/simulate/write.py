"""Files: FITS, CSV and Parquet, the same bytes for the same rows; and rows that no reader can use."""

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

Columns: TypeAlias = dict[str, np.ndarray]

# Why a row cannot be used, in the words of the ingest stage.
DECLINATION = "declination outside -90 to 90 degrees"
NO_POSITION = "no position"
DUPLICATE_ID = "duplicate id"
NOT_A_NUMBER = "not a number"

# Units in the header of FITS tables, where the column has one.
_FITS_UNITS = {
    "RA": "deg", "DEC": "deg", "RADEC_ERR": "arcsec", "MJD_START": "d", "EP_ONTIME": "s",
    "EP_OFFAX": "arcmin",
    "EP_EXTENT": "arcsec", "RA_ICRS": "deg", "DE_ICRS": "deg", "e_RA_ICRS": "mas", "e_DE_ICRS": "mas",
    "Plx": "mas",
    "e_Plx": "mas", "pmRA": "mas/yr", "pmDE": "mas/yr", "e_pmRA": "mas/yr", "e_pmDE": "mas/yr",
    "RAJ2000": "deg",
    "DEJ2000": "deg", "errMaj": "arcsec", "errMin": "arcsec", "errPA": "deg",
} | {f"EP_{b}_FLUX{e}": "erg s-1 cm-2" for b in (2, 3, 4, 8) for e in ("", "_ERR")} | {
    f"{e}{b}mag": "mag" for b in ("G", "BP", "RP", "J", "H", "K") for e in ("", "e_")
}  # fmt: skip


def write(path: Path, columns: Columns) -> int:
    """Write a table in the format that the name's ending says; return the number of rows."""
    if path.name.endswith(".fits"):
        _write_fits(path, columns)
    elif path.name.endswith(".parquet"):
        table = pa.table({name: pa.array(_unicode(values)) for name, values in columns.items()})
        pq.write_table(table, path, compression="zstd")
    else:
        _write_csv(path, columns)
    return len(next(iter(columns.values())))


def _unicode(values: np.ndarray) -> np.ndarray:
    return values.astype("U") if values.dtype.kind == "S" else values


def _write_fits(path: Path, columns: Columns) -> None:
    plain = {k: v.astype("S") if v.dtype.kind == "U" else v for k, v in columns.items()}
    rows = np.empty(len(next(iter(plain.values()))), dtype=[(k, v.dtype.newbyteorder(">")) for k, v in plain.items()])
    for name, values in plain.items():
        rows[name] = values
    table = fits.BinTableHDU(rows, name="CATALOGUE")
    for column in table.columns:
        if column.name in _FITS_UNITS:
            column.unit = _FITS_UNITS[column.name]
    table.writeto(path)


def _write_csv(path: Path, columns: Columns) -> None:
    text = io.StringIO()
    pd.DataFrame({name: _unicode(values) for name, values in columns.items()}).to_csv(
        text, index=False, lineterminator="\n"
    )
    content = text.getvalue().encode()
    # no time and no name in the gzip header: equal rows give equal files
    path.write_bytes(gzip.compress(content, compresslevel=3, mtime=0) if path.suffix == ".gz" else content)


def spoil(
    rng: np.random.Generator,
    columns: Columns,
    rejects: Mapping[str, int],
    id_column: str,
    position: tuple[str, str],
    number_column: str = "",
) -> Columns:
    """Slip rows into a table that no reader can use.

    Parameters
    ----------
    rejects : mapping
        How many rows for each reason. A duplicate comes after the row that it repeats; text where `number_column`
        has a number is for CSV only.
    id_column : str
        Integer or text column with the identifier; the other bad rows get new ones.
    position : tuple of str
        The columns of right ascension and declination.
    """
    n = columns[id_column].size
    reasons = np.repeat(list(rejects), list(rejects.values()))
    copied = rng.integers(0, n, reasons.size)
    where = rng.uniform(0, n, reasons.size)
    where = np.where(reasons == DUPLICATE_ID, rng.uniform(copied + 0.5, n), where)
    order = np.argsort(np.concatenate([np.arange(n), where]), kind="stable")
    index = np.concatenate([np.arange(n), copied])
    bad = np.concatenate([np.full(n, ""), reasons])
    out = {name: values[index] for name, values in columns.items()}

    fresh = np.flatnonzero((bad != "") & (bad != DUPLICATE_ID))
    if columns[id_column].dtype.kind in "iu":
        out[id_column][fresh] = columns[id_column].max() + 1 + np.arange(fresh.size)
    else:
        out[id_column] = out[id_column].astype(object)
        out[id_column][fresh] = [f"SPOILT {i + 1}" for i in range(fresh.size)]
    ra, dec = position
    blank: float | str = np.nan if columns[ra].dtype.kind == "f" else ""
    out[ra][bad == NO_POSITION] = blank
    out[dec][bad == NO_POSITION] = blank
    out[dec][bad == DECLINATION] = 100.0
    if number_column and NOT_A_NUMBER in rejects:
        out[number_column] = out[number_column].astype(object)
        out[number_column][bad == NOT_A_NUMBER] = "see notes"
    return {name: values[order] for name, values in out.items()}

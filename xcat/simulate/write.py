"""Files: FITS, CSV and Parquet, the same bytes for the same rows."""

import gzip
import io
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

Columns: TypeAlias = dict[str, np.ndarray]

# Units in the header of FITS tables, where the column has one.
_FITS_UNITS = {
    **dict.fromkeys(("RA", "DEC", "RA_ICRS", "DE_ICRS", "RAJ2000", "DEJ2000", "errPA"), "deg"),
    **dict.fromkeys(("RADEC_ERR", "EP_EXTENT", "errMaj", "errMin"), "arcsec"),
    **dict.fromkeys(("e_RA_ICRS", "e_DE_ICRS", "Plx", "e_Plx"), "mas"),
    **dict.fromkeys(("pmRA", "pmDE", "e_pmRA", "e_pmDE"), "mas/yr"),
    **dict.fromkeys((f"EP_{b}_FLUX{e}" for b in (2, 3, 4, 8) for e in ("", "_ERR")), "erg s-1 cm-2"),
    **dict.fromkeys((f"{e}{b}mag" for b in ("G", "BP", "RP", "J", "H", "K") for e in ("", "e_")), "mag"),
    "MJD_START": "d",
    "EP_ONTIME": "s",
    "EP_OFFAX": "arcmin",
}


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

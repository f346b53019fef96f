"""Files: FITS, CSV and Parquet, the same bytes for the same rows; with some that no reader can use, as in real ones.

Files are written piece by piece, so that a large table is never in memory as a whole.
"""

import gzip
from pathlib import Path
from typing import IO, Any, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from xcat.simulate.rows import slices

Columns: TypeAlias = dict[str, np.ndarray]

_LINES_AT_ONCE = 20_000  # of text

# Units in the header of FITS tables, where the column has one.
_FITS_UNITS = {
    **dict.fromkeys(("RA", "DEC", "RA_ICRS", "DE_ICRS", "RAJ2000", "DEJ2000", "errPA"), "deg"),
    **dict.fromkeys(("RADEC_ERR", "EP_EXTENT", "errMaj", "errMin"), "arcsec"),
    **dict.fromkeys(("e_RA_ICRS", "e_DE_ICRS", "Plx", "e_Plx"), "mas"),
    **dict.fromkeys(("pmRA", "pmDE", "e_pmRA", "e_pmDE"), "mas/yr"),
    **dict.fromkeys(
        (f"{s}EP_{b}_FLUX{e}" for s in ("", "SC_") for b in (2, 3, 4, 8) for e in ("", "_ERR")), "erg s-1 cm-2"
    ),
    **dict.fromkeys((f"{e}{b}mag" for b in ("G", "BP", "RP", "J", "H", "K") for e in ("", "e_")), "mag"),
    "MJD_START": "d",
    "EP_ONTIME": "s",
    "EP_OFFAX": "arcmin",
}


class Writer:
    """A table that is written piece by piece, in the format that the name's ending says; complete after its `with`.

    All pieces have the same columns, of the same types.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = 0
        self._fits_dtype: np.dtype[Any] = np.dtype([])
        self._parquet: pq.ParquetWriter | None = None
        path.parent.mkdir(exist_ok=True)
        self._rows_path = path.with_name(f".{path.name}.rows")
        self._file: Any = None  # open for bytes

    def add(self, columns: Columns) -> None:
        """Append rows."""
        first = self.n_rows == 0
        n = len(next(iter(columns.values())))
        self.n_rows += n
        if self.path.suffix == ".fits":
            self._add_fits(n, columns)
            return
        columns = {k: v.astype("U") if v.dtype.kind == "S" else v for k, v in columns.items()}
        if self.path.suffix == ".parquet":
            table = pa.table({k: pa.array(v) for k, v in columns.items()})
            if self._parquet is None:
                self._parquet = pq.ParquetWriter(self.path, table.schema, compression="zstd", write_page_checksum=True)
            self._parquet.write_table(table)
            return
        frame = pd.DataFrame(columns)
        for i in slices(max(n, 1), _LINES_AT_ONCE):  # an empty table has its header
            text = frame.iloc[i].to_csv(index=False, lineterminator="\n", header=first and i.start == 0)
            self._text_file().write(text.encode())

    def _text_file(self) -> Any:
        if self._file is None:
            self._file = self.path.open("wb")
            if self.path.suffix == ".gz":
                # no time and no name in the gzip header: equal rows give equal files
                self._file = _Gzip(self._file)
        return self._file

    def _add_fits(self, n: int, columns: Columns) -> None:
        plain = {k: v.astype("S") if v.dtype.kind == "U" else v for k, v in columns.items()}
        dtype = np.dtype([(k, v.dtype.newbyteorder(">")) for k, v in plain.items()])
        if self._file is None:
            self._fits_dtype, self._file = dtype, self._rows_path.open("wb")
        if dtype != self._fits_dtype:
            raise ValueError(f"{self.path.name}: a piece with other columns or types: {dtype}")
        rows = np.empty(n, dtype=dtype)
        for name, values in plain.items():
            rows[name] = values
        rows.tofile(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._parquet is not None:
            self._parquet.close()
        if self._file is not None:
            self._file.close()
        if self.path.suffix == ".fits" and error is None:
            self._finish_fits()

    def _finish_fits(self) -> None:
        # the header, which comes first, has the number of rows and their sums: they wait on the disk
        rows = np.memmap(self._rows_path, self._fits_dtype, mode="r") if self.n_rows else np.empty(0, self._fits_dtype)
        table = fits.BinTableHDU(rows, name="CATALOGUE")
        for column in table.columns:
            column.unit = _FITS_UNITS.get(column.name)
        table.update_header()  # with the units
        # sums that tell a damaged file; their comments would have the time, and equal rows give equal files
        table.add_datasum(when="sum of the data")
        table.add_checksum(when="sum of header and data", override_datasum=True)
        table.writeto(self.path)
        self._rows_path.unlink()


class _Gzip(gzip.GzipFile):
    """Compressed bytes without time and name; closes the file that they go to."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(filename="", fileobj=file, mode="wb", compresslevel=3, mtime=0)
        self._under = file

    def close(self) -> None:
        super().close()
        self._under.close()


def write(path: Path, columns: Columns) -> int:
    """Write a table at once; return the number of rows."""
    with Writer(path) as writer:
        writer.add(columns)
    return writer.n_rows


def single(columns: Columns, *precise: str) -> Columns:
    """The columns with single-precision numbers, but for some."""
    return {k: v.astype(np.float32) if v.dtype == float and k not in precise else v for k, v in columns.items()}


# Reasons why a row cannot be used, as the ingest stage words them.
DECLINATION = "declination outside -90 to 90 degrees"
NO_POSITION = "no position"
DUPLICATE_ID = "duplicate id"
NOT_A_NUMBER = "not a number"

# Number of rows of each file by reason.
SPOILT: dict[str, dict[str, int]] = {
    "xmm_detections.fits": {DECLINATION: 3, NO_POSITION: 2, DUPLICATE_ID: 2},
    "swift_detections.csv.gz": {DECLINATION: 2, NO_POSITION: 2, DUPLICATE_ID: 1, NOT_A_NUMBER: 2},
    "chandra_detections.csv.gz": {DECLINATION: 1, NO_POSITION: 2, DUPLICATE_ID: 1, NOT_A_NUMBER: 2},
    "gaia.fits": {DECLINATION: 1, NO_POSITION: 1, DUPLICATE_ID: 2},
    "ref_cv.csv": {NO_POSITION: 2},
}
# Its columns: identifier, position, and the positional error, which can be turned into text (CSV only).
_COLUMNS: dict[str, tuple[str, tuple[str, str], str]] = {
    "xmm_detections.fits": ("DETID", ("RA", "DEC"), ""),
    "swift_detections.csv.gz": ("DetectionID", ("RA", "Decl"), "Err90"),
    "chandra_detections.csv.gz": ("obs_region_id", ("ra_deg", "dec_deg"), "err_ellipse_r0"),
    "gaia.fits": ("Source", ("RA_ICRS", "DE_ICRS"), ""),
    "ref_cv.csv": ("name", ("ra", "dec"), ""),
}


def spoil(rng: np.random.Generator, file_name: str, columns: Columns) -> Columns:
    """Insert the bad rows of a file at random places: copies of good rows with one error.

    A duplicate comes after the row that it repeats; the other bad rows get new identifiers.
    """
    if file_name not in SPOILT:
        return columns
    rejects = SPOILT[file_name]
    id_column, (ra, dec), number_column = _COLUMNS[file_name]
    n = columns[id_column].size
    reasons = np.repeat(list(rejects), list(rejects.values()))
    copied = rng.integers(0, n, reasons.size)
    place = rng.uniform(0, n, reasons.size)
    place = np.where(reasons == DUPLICATE_ID, rng.uniform(copied + 0.5, n), place)
    order = np.argsort(np.concatenate([np.arange(n), place]), kind="stable")
    index = np.concatenate([np.arange(n), copied])
    bad = np.concatenate([np.full(n, ""), reasons])
    out = {name: values[index] for name, values in columns.items()}

    fresh = np.flatnonzero((bad != "") & (bad != DUPLICATE_ID))
    if columns[id_column].dtype.kind in "iu":
        out[id_column][fresh] = columns[id_column].max() + 1 + np.arange(fresh.size)
    else:
        out[id_column] = out[id_column].astype(object)
        out[id_column][fresh] = [f"SPOILT {i + 1}" for i in range(fresh.size)]
    blank: float | str = np.nan if columns[ra].dtype.kind == "f" else ""
    out[ra][bad == NO_POSITION] = blank
    out[dec][bad == NO_POSITION] = blank
    out[dec][bad == DECLINATION] = 100.0
    if NOT_A_NUMBER in rejects:
        out[number_column] = out[number_column].astype(object)
        out[number_column][bad == NOT_A_NUMBER] = "see notes"
    return {name: values[order] for name, values in out.items()}

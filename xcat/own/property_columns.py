"""A table of one's own, read with the properties of its rows: taken as they are, or derived (see `derived`).

All that is guessed about the columns is said, line by line; a value that cannot be used is missing, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from xcat.arrays import FloatArray
from xcat.catalogues.definition import ReadOptions
from xcat.columns.registry import property_entries
from xcat.errors import ConfigError, InputError
from xcat.own.derived import Deriving
from xcat.tables.facts import ColumnFacts, TableFacts, describe, file_label
from xcat.tables.quantities import check_given
from xcat.tables.whole_rows import to_table


@dataclass
class OwnTable:
    """A table of one's own and the properties of its rows.

    Parameters
    ----------
    names : tuple of P str
        Properties.
    values : (N, P) float64
        On their physical scales; NaN is missing.
    errors : (N, P) float64
        1 sigma, on the scale of the property; NaN where there is none.
    known : (P,) bool
        The table has columns that give the property, if not in every row.
    table : Table
        All columns that were read, in the order of the file.
    ra, dec : (N,) float64
        Degrees; NaN where a row has no position.
    told : list of str
        What was taken for what, and what is missing.
    n_bad : dict
        Rows with a value that cannot be used, by reason.
    """

    names: tuple[str, ...]
    values: FloatArray
    errors: FloatArray
    known: NDArray[np.bool_]
    table: Table
    ra: FloatArray
    dec: FloatArray
    told: list[str] = field(default_factory=list)
    n_bad: dict[str, int] = field(default_factory=dict)


def read_properties(
    path: Path | str,
    names: Sequence[str],
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    hdu: int | str | None = None,
) -> OwnTable:
    """Read a table and the properties of its rows.

    Parameters
    ----------
    path : Path or str
        FITS, VOTable, ECSV, CSV, MRT or Parquet.
    names : sequence of str
        Properties wanted, as xcat/columns/properties.yaml calls them.
    band : (float, float), optional
        Energies of the flux, keV; guessed from the column if not given.
    columns : mapping, optional
        Columns by property or quantity, where the guess needs help: ``COLUMN``, ``COLUMN@UNIT``, or ``""`` for none.
    hdu : int or str, optional
        Extension of a FITS file; its first table if not given.

    Returns
    -------
    OwnTable

    Raises
    ------
    InputError
        The table cannot be read or has no rows; columns fit equally well; a unit cannot be converted; the energies of
        the flux are not known.
    ConfigError
        A name is no property, or the band is none.
    """
    entries = {entry["name"]: entry for entry in property_entries()}
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise ConfigError(f"unknown property {', '.join(unknown)}. There are: {', '.join(entries)}")
    given = dict(columns or {})
    check_given(given, list(entries))
    if band is not None and not 0 < band[0] < band[1]:
        raise ConfigError(f"--band {band[0]:g}-{band[1]:g}: give the lower and the upper energy in keV, as in 0.5-7")
    facts = describe(path) if hdu is None else _extension(Path(path), hdu)
    with facts.open() as reader:
        batches = [chunk.batch for chunk in reader]
    n_rows = sum(batch.num_rows for batch in batches)
    if not n_rows:
        raise InputError(f"{facts.path}: the table has no rows")
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    del batches  # a copy is enough
    deriving = Deriving(facts, given_columns=given, batch=whole, band=band, n=n_rows)
    for reason in facts.left_out:
        deriving.say(f"left out: {reason}")
    values, errors = np.full((2, n_rows, len(names)), np.nan)
    known = np.zeros(len(names), dtype=bool)
    for j, name in enumerate(names):
        found = deriving.derive(entries[name])
        if found is not None:
            values[:, j], known[j] = found.values, True
            if found.error is not None:
                errors[:, j] = np.where(np.isnan(found.values), np.nan, found.error)
    deriving.tell_bad()
    try:
        ra, dec = deriving.place
    except InputError as error:  # no property needs it, or it would have been raised before
        deriving.say(f"no position: {error}")
        ra, dec = np.full((2, n_rows), np.nan)
    table = to_table(facts, [whole])
    return OwnTable(tuple(names), values, errors, known, table, ra, dec, deriving.lines, deriving.n_bad)


def _extension(path: Path, hdu: int | str) -> TableFacts:
    """Header of one extension of a FITS file."""
    try:
        with fits.open(path) as hdus:
            header, columns = hdus[hdu].header, hdus[hdu].columns
    except (OSError, KeyError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: there is no table in extension {hdu!r} of a FITS file ({error})") from error
    facts, left_out = [], []
    for i, column in enumerate(columns, start=1):
        form = str(column.format)
        if not re.fullmatch(r"1?[LBIJKED]|\d*A", form):
            left_out.append(f"column '{column.name}' ({form}) holds arrays")
            continue
        ucd, about = (str(header.get(f"{key}{i}", "")) for key in ("TUCD", "TCOMM"))
        facts.append(ColumnFacts(column.name.strip(), column.unit or "", ucd, about, is_text=form.endswith("A")))
    return TableFacts(path, file_label(path), tuple(facts), tuple(left_out), read=ReadOptions(hdu=hdu))

"""A user's table, read with the properties of its rows: taken as they are, or derived (see `derived`).

Every guess about the columns adds a message; a value that cannot be used is missing, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from astropy.table import Table

from xcat.arrays import BoolArray, FloatArray
from xcat.classifier.model import Model
from xcat.columns.properties import SHIFT_COLUMNS, select, shift_of
from xcat.columns.registry import property_entries
from xcat.errors import ConfigError, InputError
from xcat.models.samples import shifts
from xcat.models.training_range import off_range
from xcat.own.derived import Deriving
from xcat.properties.compute import ZERO
from xcat.properties.depth import BandName
from xcat.sky import galactic_column
from xcat.tables.facts import TableLike, describe, to_table
from xcat.tables.matched import CUTOFF, recognise
from xcat.tables.quantities import check_given

STANDARD_BAND_KEV = (0.2, 12.0)


@dataclass
class UserProperties:
    """A user's table and the properties of its rows.

    Parameters
    ----------
    name : str
        The table in messages.
    names : tuple of P str
        Properties.
    values : (N, P) float64
        On their physical scales; NaN is missing.
    errors : (N, P) float64
        1 sigma, on the scale of the property; NaN where there is none.
    has_columns : (P,) bool
        The table has columns that give the property, if not in every row.
    table : Table
        All columns that were read, in the order of the table.
    ra, dec : (N,) float64
        Degrees; NaN where a row has no position.
    batch : RecordBatch
        The same rows as the file has them.
    messages : list of str
        What was taken for what, and what is missing.
    n_bad : dict
        Rows with a value that cannot be used, by reason.
    assumed : dict
        Property to the quantity and the column whose unit nobody states; see `check_range`.
    accepted : (N,) bool or None
        Of a matched table the rows that have an accepted counterpart.
    band : (float, float) or None
        Energies of the flux that the user gave, keV.
    log_fx : (N,) float64
        Log of the flux in 0.2-12 keV; NaN where there is none.
    nh_gal_cm2 : (N,) float64
        Neutral hydrogen of the Galaxy that the table states; NaN where it states none.
    """

    name: str
    names: tuple[str, ...]
    values: FloatArray
    errors: FloatArray
    has_columns: BoolArray
    table: Table
    ra: FloatArray
    dec: FloatArray
    batch: pa.RecordBatch
    messages: list[str] = field(default_factory=list)
    n_bad: dict[str, int] = field(default_factory=dict)
    assumed: dict[str, tuple[str, str]] = field(default_factory=dict)
    accepted: BoolArray | None = None
    band: tuple[float, float] | None = None
    log_fx: FloatArray = field(default_factory=lambda: np.zeros(0))
    nh_gal_cm2: FloatArray = field(default_factory=lambda: np.zeros(0))

    def limits(self, names: Sequence[str], deepest_mag: Mapping[BandName, FloatArray]) -> FloatArray:
        """Flux ratios, (N, P), that an object at the depth of catalogues would have; NaN for other properties."""
        limits = np.full((len(self.values), len(names)), np.nan)
        for band, mag in deepest_mag.items():
            if f"log_fx_f{band}" in names:
                limits[:, names.index(f"log_fx_f{band}")] = self.log_fx + ZERO[band] + mag / 2.5
        return limits

    def shift(self, names: Sequence[str]) -> FloatArray | None:
        """What brings properties of objects behind the Galaxy before it, (N, P).

        By the columns of pub.classified that say so, if the table has all of them; else by the positions of the rows.
        Then hardness ratios are not shifted: their bands are not known.
        """
        per_column = [shift_of(name) for name in names]
        if not any(per_column):
            return None
        if set(SHIFT_COLUMNS) <= set(self.table.colnames):
            own = {name: np.ma.asarray(self.table[name]).astype(np.float64) for name in SHIFT_COLUMNS}
            return shifts({name: np.ma.filled(values, np.nan) for name, values in own.items()}, per_column)
        nh, ebv = galactic_column.maps_at(self.ra, self.dec)
        nh = np.where(self.nh_gal_cm2 > 0, self.nh_gal_cm2, nh)
        taken = galactic_column.taken_away(nh, ebv, self.band or STANDARD_BAND_KEV, None)
        return shifts({"ebv_mag": ebv, **taken}, per_column)


def read_properties(
    table: TableLike,
    names: Sequence[str],
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    hdu: int | str | None = None,
) -> UserProperties:
    """Read a table and the properties of its rows.

    Parameters
    ----------
    table : Path, str, Table or DataFrame
        A FITS, VOTable, ECSV, CSV, MRT or Parquet file, or a table in memory.
    names : sequence of str
        Properties wanted, as xcat/columns/properties.yaml calls them.
    band : (float, float), optional
        Energies of the flux, keV; guessed from the column if not given.
    columns : mapping, optional
        Columns by property or quantity, where the guess needs help: ``COLUMN``, ``COLUMN@UNIT``, or ``""`` for none.
    hdu : int or str, optional
        Extension of a FITS file; its first table if not given.

    Raises
    ------
    InputError
        The table cannot be read or has no rows; columns fit equally well; a unit cannot be converted; the energies of
        the flux are not known.
    ConfigError
        There is no property of a name, or the band is invalid.

    Notes
    -----
    Of a table that was matched by `xcat match` or by NWAY, one row per source is read, its best hypothesis. Properties
    of counterparts that were not accepted are missing: searched for, and not there.
    """
    select(list(names))  # refuses unknown ones
    entries = {entry["name"]: entry for entry in property_entries()}
    given = dict(columns or {})
    check_given({k: v for k, v in given.items() if k != CUTOFF}, list(entries))
    if band is not None and not 0 < band[0] < band[1]:
        raise ConfigError(f"--band {band[0]:g}-{band[1]:g}: give the lower and the upper energy in keV, as in 0.5-7")
    facts = describe(table, hdu)
    with facts.open() as reader:
        batches = [chunk.batch for chunk in reader]
    n_rows = sum(batch.num_rows for batch in batches)
    if not n_rows:
        raise InputError(f"{facts.name}: the table has no rows")
    rows = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    del batches  # one copy is enough
    matched = recognise(facts, given)
    accepted, notes = None, []
    if matched is not None:
        of_source, accepted = matched.rows(rows)
        rows, accepted, n_all = rows.filter(pa.array(of_source)), accepted[of_source], n_rows
        n_rows = rows.num_rows
        notes = [
            str(matched),
            f"{accepted.sum():,} of {n_rows:,} sources have an accepted counterpart; only they are used",
        ]
        if n_rows < n_all:
            notes.append(f"of {n_all:,} rows, the best hypothesis of each of the {n_rows:,} sources is read")
    deriving = Deriving(
        facts,
        list(facts.messages),
        given_columns=given,
        batch=rows,
        band=band,
        matched=matched,
        accepted=accepted,
    )
    for note in notes:
        deriving.note(note)
    for reason in facts.left_out:
        deriving.note(f"left out: {reason}")
    values, errors = np.full((2, n_rows, len(names)), np.nan)
    has_columns = np.zeros(len(names), dtype=bool)
    for j, name in enumerate(names):
        derived = deriving.derive(entries[name])
        if derived is not None:
            values[:, j], has_columns[j] = derived.values, True
            if derived.error is not None:
                errors[:, j] = np.where(np.isnan(derived.values), np.nan, derived.error)
    # limits of flux ratios need the flux
    flux = deriving.log_fx() if any(name.startswith("log_fx_f") for name in names) else None
    nh_gal_cm2 = deriving.possible_value("nh_gal_cm2")
    deriving.note_bad()
    try:
        ra, dec = deriving.place
    except InputError as error:  # no property needs it, or it would have been raised before
        deriving.note(f"no position: {error}")
        ra, dec = np.full((2, n_rows), np.nan)
    return UserProperties(
        facts.name,
        tuple(names),
        values,
        errors,
        has_columns,
        to_table(facts, [rows]),
        ra,
        dec,
        rows,
        deriving.messages,
        deriving.n_bad,
        {name: of_column for name in names if (of_column := deriving.assumed(name)) is not None},
        accepted,
        band,
        np.full(n_rows, np.nan) if flux is None else flux.values,
        nh_gal_cm2,
    )


def check_range(user: UserProperties, model: Model) -> None:
    """Compare the values with the training sample of a model; a stated unit that looks wrong adds a message.

    Raises
    ------
    InputError
        Values whose unit was assumed lie off the range of the sample.
    """
    off = off_range(model, user.names, user.values, user.assumed)
    refused = [one.message for one in off if one.refused]
    if refused:
        raise InputError(f"{user.name}: {'; '.join(refused)}")
    user.messages += [one.message for one in off]

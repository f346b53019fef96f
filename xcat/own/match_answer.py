"""The answer of a match of a user's table: the rows of all tables, and the hypotheses that join them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Table

from xcat.errors import InputError
from xcat.sky import geometry

#: Hypotheses by row of the user's table, the most probable first, "none of these" (rank 0) last.
HYPOTHESIS = [
    ("row", "i8"),
    ("rank", "i4"),
    ("log_bf", "f8"),
    ("p_single", "f8"),
    ("p_any", "f8"),
    ("p_i", "f8"),
    ("match_flag", "i2"),
    ("cutoff", "f8"),
]


#: Position (deg), year of it (NaN where unknown) and proper motion (that in RA times cos(dec); 0 where unknown).
PLACE = [(name, "f8") for name in ("ra", "dec", "epoch_yr", "pmra_mas_yr", "pmdec_mas_yr")]


def moved(places: np.ndarray, epoch_yr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RA and Dec of rows of `PLACE`, moved to an epoch; without a motion, or where an epoch is unknown, as they are."""
    years = np.nan_to_num(epoch_yr - places["epoch_yr"])
    east, north = years * places["pmra_mas_yr"] / 1000, years * places["pmdec_mas_yr"] / 1000
    moves = (east != 0) | (north != 0)
    ra, dec = geometry.offset(places["ra"], places["dec"], east, north)
    return np.where(moves, ra, places["ra"]), np.where(moves, dec, places["dec"])


@dataclass
class CounterpartRows:
    """The rows of a counterpart table that some hypothesis needs.

    Parameters
    ----------
    label : str
        Begins the names of its columns.
    ids : ndarray of int64, shape (n,)
        Numbers of the rows, ascending.
    table : Table
        All columns of these rows.
    places : structured ndarray of `PLACE`
        Of these rows.
    magnitude : str or None
        Column of `table` for the histogram.
    field : tuple of ndarrays or None
        Edges (mag) and numbers of all objects of the catalogue, for the histogram.
    is_loaded : bool
        The table is a catalogue of the database, so its positions are ICRS.
    """

    label: str
    ids: np.ndarray
    table: Table
    places: np.ndarray
    magnitude: str | None = None
    field: tuple[np.ndarray, np.ndarray] | None = None
    is_loaded: bool = False

    def index(self, object_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of objects in `table`, and whether there is an object (0 stands for none)."""
        exists = object_id > 0
        at = np.searchsorted(self.ids, np.where(exists, object_id, 0))
        if len(self.ids):
            at = np.minimum(at, len(self.ids) - 1)
            if not np.array_equal(self.ids[at[exists]], object_id[exists]):
                raise InputError(f"{self.label}: the table changed while it was matched; run the match again")
        return at, exists


@dataclass
class Answer:
    """A match of a user's table.

    Parameters
    ----------
    table : Table
        All rows and columns of the user's table.
    unusable : ndarray of str, shape (n_rows,)
        Why a row could not be matched; empty where it could.
    places : structured ndarray of `PLACE`
        Of all rows; NaN where unusable.
    objects : ndarray of int64, shape (n_hypotheses, n_counterpart_tables)
        Row of each counterpart table; 0 for none.
    cutoff : float
        Smallest p_any that is accepted.
    false_rate : float
        Wanted share of false matches.
    measured_rate : float or None
        Share of the shifted positions that pass; None if it was not measured.
    calibration : (p_any, share of shifted positions above, share of sources above) or None
    messages : list of str
        What was guessed, taken, left out.
    err_arcsec : ndarray, shape (n_rows,)
        Positional errors of the user's rows, 1 sigma; NaN where unusable.
    """

    label: str
    table: Table
    unusable: np.ndarray
    places: np.ndarray
    counterparts: list[CounterpartRows]
    hypotheses: np.ndarray
    objects: np.ndarray
    cutoff: float
    false_rate: float
    measured_rate: float | None = None
    calibration: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    messages: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    err_arcsec: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def is_accepted(self) -> np.ndarray:
        """Whether each hypothesis is the counterpart of its source, shape (n_hypotheses,)."""
        return np.asarray((self.hypotheses["rank"] == 1) & (self.hypotheses["p_any"] >= self.hypotheses["cutoff"]))


def separations(answer: Answer) -> dict[tuple[int, int], np.ndarray]:
    """Separation of every pair of tables in each hypothesis, at the epoch of the user's row.

    Returns
    -------
    dict
        (0, k) is the user's table and counterpart table k = 1, 2 ...; arcsec, NaN where one of the two has no member.
    """
    row = answer.hypotheses["row"] - 1
    of_user = answer.places[row]
    positions = [(of_user["ra"], of_user["dec"])]
    for counterparts, objects in zip(answer.counterparts, answer.objects.T, strict=True):
        at, exists = counterparts.index(objects)
        ra, dec = np.full((2, len(row)), np.nan)
        ra[exists], dec[exists] = moved(counterparts.places[at[exists]], of_user["epoch_yr"][exists])
        positions.append((ra, dec))
    radians = [np.radians(p) for p in positions]
    return {
        (i, j): np.degrees(angular_separation(*radians[i], *radians[j])) * 3600
        for i in range(len(radians))
        for j in range(i + 1, len(radians))
    }

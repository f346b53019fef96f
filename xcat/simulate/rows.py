"""What the tables of a simulation share: selecting and joining rows, proper motion, offsets along an axis."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from xcat.arrays import FloatArray
from xcat.sky.geometry import offset

EPOCH_YR = 2016.0
"""Epoch of the positions of all simulated objects, Julian year."""


@dataclass(frozen=True)
class Rows:
    """A table as one array per column, or per group of columns."""

    def __getitem__(self, index: np.ndarray) -> Self:
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def followed_by(self, other: Self) -> Self:
        """The rows of both tables."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return replace(self, **{name: np.concatenate(pair) for name, pair in pairs.items()})


def moved(
    ra_deg: FloatArray, dec_deg: FloatArray, pmra_mas_yr: FloatArray, pmdec_mas_yr: FloatArray, year: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Positions in another year, in degrees, after their proper motion since `EPOCH_YR`."""
    years = year - EPOCH_YR
    return offset(ra_deg, dec_deg, pmra_mas_yr * years * 1e-3, pmdec_mas_yr * years * 1e-3)


def turned(along: FloatArray, across: FloatArray, pa_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Offsets to the east and north of offsets along and across an axis with a position angle, east of north."""
    pa = np.radians(pa_deg)
    return along * np.sin(pa) + across * np.cos(pa), along * np.cos(pa) - across * np.sin(pa)

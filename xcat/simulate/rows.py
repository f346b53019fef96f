"""What the tables of a simulation share: selecting and joining rows, proper motion, ellipses, positions as text."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from string import Formatter
from typing import Self

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.sky.geometry import offset

EPOCH_YR = 2016.0
"""Epoch of the positions of all simulated objects, Julian year."""
_ZERO, _PLUS, _MINUS = (ord(c) for c in "0+-")


@dataclass(frozen=True)
class Rows:
    """A table as one array per column, or per group of columns."""

    def __getitem__(self, index: np.ndarray) -> Self:
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def followed_by(self, other: Self) -> Self:
        """The rows of both tables."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return replace(self, **{name: np.concatenate(pair) for name, pair in pairs.items()})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, of columns without parts of their own."""
        return cls(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)})


def slices(n: int, size: int) -> list[slice]:
    """Consecutive pieces of at most so many rows."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


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


def scattered(
    rng: np.random.Generator, ra: FloatArray, dec: FloatArray, major: FloatArray, minor: FloatArray, pa: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positions with the errors of ellipses: sigmas in arcsec along the axes, position angles in degrees."""
    along, across = major * rng.standard_normal(ra.size), minor * rng.standard_normal(ra.size)
    return offset(ra, dec, *turned(along, across, pa))


def _digits(value: IntArray, n: int) -> np.ndarray:
    """Decimal digits as characters, shape (rows, n)."""
    powers = 10 ** np.arange(n - 1, -1, -1, dtype=np.int64)
    return (value[:, None] // powers % 10 + _ZERO).astype(np.uint8)


def _constant(text: str, rows: int) -> np.ndarray:
    return np.broadcast_to(np.frombuffer(text.encode(), dtype=np.uint8), (rows, len(text)))


def _assemble(parts: list[np.ndarray]) -> np.ndarray:
    """Byte strings of one length from columns of characters."""
    block = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.uint8)
    return block.view(f"S{block.shape[1]}")[:, 0]


def sexagesimal(
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    ra_decimals: int,
    dec_decimals: int,
    template: str = "J{h}{m}{s}.{fs}{sign}{d}{dm}{ds}.{fds}",
) -> np.ndarray:
    """Positions as text, cut off and not rounded, as designations are (IAU rule).

    `template` puts together {h} {m} {s} {fs} (decimals of the seconds) and {sign} {d} {dm} {ds} {fds}.
    """
    n = ra_deg.size
    ra_unit = np.floor(ra_deg / 15 * 3600 * 10**ra_decimals + 1e-6).astype(np.int64) % (86_400 * 10**ra_decimals)
    dec_unit = np.floor(np.abs(dec_deg) * 3600 * 10**dec_decimals + 1e-6).astype(np.int64)
    (ra_s, ra_rest), (dec_s, dec_rest) = np.divmod(ra_unit, 10**ra_decimals), np.divmod(dec_unit, 10**dec_decimals)
    fields = {
        "h": _digits(ra_s // 3600, 2),
        "m": _digits(ra_s // 60 % 60, 2),
        "s": _digits(ra_s % 60, 2),
        "fs": _digits(ra_rest, ra_decimals),
        "sign": np.where(dec_deg < 0, _MINUS, _PLUS).astype(np.uint8)[:, None],
        "d": _digits(dec_s // 3600, 2),
        "dm": _digits(dec_s // 60 % 60, 2),
        "ds": _digits(dec_s % 60, 2),
        "fds": _digits(dec_rest, dec_decimals),
    }
    parts: list[np.ndarray] = []
    for text, field, *_ in Formatter().parse(template):
        parts += [_constant(text, n)] if text else []
        parts += [fields[field]] if field else []
    return _assemble(parts)


def numbered(prefix: str, number: IntArray, width: int) -> np.ndarray:
    """Byte strings such as b"SIM000123"."""
    return _assemble([_constant(prefix, number.size), _digits(number, width)])

"""Which source a light curve or a spectrum is of: by a name, else by a position; never by the target of a pointing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError
from xcat.ingest.product_files import Product
from xcat.sky.geometry import separation_arcsec

#: The IAU's designation, as in 2CXO J010337.5-720133: what is before J is the catalogue.
_DESIGNATION = re.compile(r"(?P<name>(?:\d?[A-Za-z]+[ _]?)?J(?P<ra>\d{4,}(?:\.\d+)?)(?P<dec>[-+]\d{4,}(?:\.\d+)?))")
#: Sources of two catalogues that are one have positions that differ by some arcsec.
_SLACK_ARCSEC = 3.0
_FIELD_DEG = 0.5
"""A source farther from the pointing is in no field of view of Chandra, Swift-XRT or XMM-Newton."""


@dataclass(frozen=True)
class Assigned:
    """A published source, and what told that a file is of it."""

    source_id: int
    name: str
    by: str


class UnassignedError(InputError):
    """A file whose source is not among those that are published, or not told by it."""


def given(conn: Connection, name: str) -> dict[str, Any]:
    """The published source with a name or number that a user gives.

    Raises
    ------
    InputError
        There is none.
    """
    rows = _named(conn, name)
    if not rows:
        raise InputError(f"there is no published source {name[:60]!r}. Search: xcat candidates, or the page of search")
    return rows[0]


def assign(conn: Connection, path: Path, product: Product, source: dict[str, Any] | None = None) -> Assigned:
    """Find the source of a file.

    In this order: the source that the user gives; the name of a published source, or else the position in the IAU's
    designation, in the name of the file, in that of its folder, in OBJECT of the header; the position of a source in
    the header.

    Raises
    ------
    UnassignedError
        It is of no published source, of several, or not told.
    InputError
        The source is outside the field of the observation: it is the file of another source.
    """
    if source is not None:
        _check_field(path, product, source)
        return Assigned(source["source_id"], source["name"], "given")
    where = {"file name": path.name, "folder": path.parent.name, "header OBJECT": product.header.get("name") or ""}
    designations: list[str] = []
    for by, text in where.items():
        found = _DESIGNATION.search(text)
        name = found["name"].replace("_", " ") if found else text if by == "header OBJECT" else ""
        rows = _named(conn, name) if name else []
        if not rows and found:
            designations.append(name)
            rows = _near(conn, *_position(found), name)
        if rows:
            return _one(path, product, rows, by)
    position = product.header.get("position")
    if position is not None:
        rows = _near(conn, position[0], position[1], _SLACK_ARCSEC, "the position in the header")
        if rows:
            return _one(path, product, rows, "header position")
    if designations:
        raise UnassignedError(f"{designations[0]} is not among the published sources")
    if position is not None:
        raise UnassignedError(
            f"no published source at the position in the header, {position[0]:.5f} {position[1]:+.5f}"
        )
    raise UnassignedError("neither file name, folder nor header tell a source: use --source")


def _one(path: Path, product: Product, rows: Sequence[dict[str, Any]], by: str) -> Assigned:
    source = rows[0]
    _check_field(path, product, source)
    return Assigned(source["source_id"], source["name"], by)


def _check_field(path: Path, product: Product, source: dict[str, Any]) -> None:
    pointing = product.header.get("pointing")
    if pointing is None:
        return
    places = (np.array([value]) for value in (source["ra"], source["dec"], *pointing))
    away = float(separation_arcsec(*places)[0]) / 3600
    if away > _FIELD_DEG:
        raise InputError(
            f"{path}: is of another source: {source['name']} is {away:.2f} deg from where the telescope pointed "
            f"({pointing[0]:.4f} {pointing[1]:+.4f})"
        )


def _named(conn: Connection, name: str) -> list[dict[str, Any]]:
    key = "".join(name.lower().split())
    number = int(key) if re.fullmatch(r"[0-9]{1,18}", key) else -1
    return dicts(conn.execute(job("products.named").compose(), {"key": key, "number": number}))


def _near(conn: Connection, ra: float, dec: float, radius_arcsec: float, what: str) -> list[dict[str, Any]]:
    """Published sources at a position, if all of them are one object."""
    values = {"ra": ra, "dec": dec, "radius_deg": radius_arcsec / 3600}
    rows = dicts(conn.execute(job("products.around").compose(), values))
    objects = {row["master_id"] if row["master_id"] is not None else -row["source_id"] for row in rows}
    if len(objects) > 1:
        names = ", ".join(row["name"] for row in rows)
        raise UnassignedError(f"{what} may be any of {names}: use --source")
    return rows


def _position(found: re.Match[str]) -> tuple[float, float, float]:
    """Middle of what a designation may mean, in degrees, and a radius around it in arcsec: its digits are cut off."""
    text_ra, text_dec = found["ra"], found["dec"]
    ra, ra_unit = _sexagesimal(text_ra)
    dec, dec_unit = _sexagesimal(text_dec[1:])
    ra, ra_unit = 15 * (ra + ra_unit / 2), 15 * ra_unit
    dec = (dec + dec_unit / 2) * (-1 if text_dec[0] == "-" else 1)
    if not (ra < 360 and abs(dec) <= 90):
        raise UnassignedError(f"{found['name']} is no position on the sky")
    half = math.hypot(ra_unit / 2 * math.cos(math.radians(dec)), dec_unit / 2)
    return ra, dec, half * 3600 + _SLACK_ARCSEC


def _sexagesimal(digits: str) -> tuple[float, float]:
    """Value of HHMMSS.s, HHMMSS or HHMM.m, and of one unit of its last digit."""
    whole, _, rest = digits.partition(".")
    if len(whole) not in (4, 6):
        raise UnassignedError(f"{digits} in a name is no angle: it must be as in 010337.5 or 0103.6")
    parts = [int(whole[i : i + 2]) for i in range(0, len(whole), 2)]
    last = 60.0 ** -(len(parts) - 1)
    value = sum(part / 60.0**i for i, part in enumerate(parts)) + (float(f"0.{rest}") * last if rest else 0.0)
    return value, last * 10.0 ** -len(rest)

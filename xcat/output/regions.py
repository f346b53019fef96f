"""Positions as regions for DS9, TOPCAT and Aladin: error circles, in the colour of their class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xcat.arrays import BoolArray, FloatArray
from xcat.errors import XcatError
from xcat.output.columns import escape
from xcat.output.provenance import KEY, Position, positions

if TYPE_CHECKING:
    from astropy.table import Column, Table

    from xcat.output.pieces import Pieces

_NO_ERROR_ARCSEC = 1.0
_ERRORS = ("err_arcsec", "pos_err", "poserr", "radec_err", "pos_err_arcsec")


class Places(NamedTuple):
    """Where the rows of a table are, if its columns do not say it; NaN for unknown.

    Degrees ICRS, and errors of 1 sigma in arcsec, each of shape (n_rows,).
    """

    ra: FloatArray
    dec: FloatArray
    err_arcsec: FloatArray


def check(table: Table, path: Path) -> Position:
    """Find the columns of the position.

    Raises
    ------
    XcatError
        There are none.
    """
    found = positions(table)
    if not found:
        raise XcatError(
            f"{path}: regions need a position, and no two columns look like right ascension and declination. "
            "Name them ra and dec (in SQL: SELECT x AS ra, y AS dec)"
        )
    return found[0]


def write(source: Pieces, path: Path, places: Places | None = None) -> None:
    """Write a circle per row, of radius 1 sigma; its text is the name of the source.

    Parameters
    ----------
    source : Pieces
        The first position counts; ``name`` and ``class`` give text and colour, ``err_arcsec`` the radius.
    places : Places, optional
        Positions and errors, where the columns do not have them in degrees.

    Notes
    -----
    Rows without a position are left out, and the first lines of the file say how many. A row without an error has a
    circle of 1 arcsec, broken.
    """
    from xcat.output import style

    known, n_without, about, facts = set[str](), 0, "as it was read", dict[str, object]()
    for table, at, stated in _placed(source, path, places):
        known |= {c for c in _texts(table, ("class",)) or () if c}
        n_without += int((~_usable(at)).sum())
        about, facts = stated, table.meta.get(KEY, {})
    colour = {c: s.colour for c, s in style.of_classes(sorted(known)).items()}
    lines = [
        f"circles: positional error, 1 sigma per axis ({about}), broken circles of 1 arcsec where no error is known",
        *(f"class {c}: {colour[c]}" for c in sorted(known)),
        *([f"{n_without:,} rows have no position and no circle"] if n_without else []),
        *(f"{k}: {v}" for k, v in facts.items()),
    ]
    with path.open("w", encoding="utf-8") as out:
        for i, (table, at, _) in enumerate(_placed(source, path, places)):
            head, frame, circles = _circles(table, at, colour)
            if not i:
                # a semicolon ends a comment
                comments = [f"# {escape(' '.join(line.replace(';', ',').split()))}" for line in lines]
                out.write("\n".join([head, *comments, frame, ""]))
            out.write(circles)


def _placed(source: Pieces, path: Path, places: Places | None) -> Iterator[tuple[Table, Places, str]]:
    """The pieces with their positions and errors, and where these come from."""
    first = 0
    for table in source.pieces():
        if places is None:
            yield table, *_places(table, check(table, path))
        else:
            yield table, Places(*(v[first : first + len(table)] for v in places)), "as it was read"
        first += len(table)


def _usable(places: Places) -> BoolArray:
    return np.asarray(np.isfinite(places.ra) & np.isfinite(places.dec) & (np.abs(places.dec) <= 90))


def _circles(table: Table, places: Places, colour: Mapping[str, str]) -> tuple[str, str, str]:
    """The first line of a file of regions, the line of the frame, and the lines of the circles."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from regions import CircleSkyRegion, RegionMeta, Regions, RegionVisual

    name = _texts(table, ("name", "iauname", "iau_name", "native_id", "source_id", "id"))
    classes = _texts(table, ("class",))
    usable = _usable(places)
    has_error = np.isfinite(places.err_arcsec) & (places.err_arcsec > 0)
    centres = SkyCoord(np.where(usable, places.ra, 0), np.where(usable, places.dec, 0), unit="deg", frame="icrs")
    radii = np.where(has_error, places.err_arcsec, _NO_ERROR_ARCSEC) * u.arcsec
    # what all circles have in common becomes a line of its own, which would hold for the next piece too: a bare circle
    # has nothing in common with any
    circles = [CircleSkyRegion(SkyCoord(0, 0, unit="deg", frame="icrs"), 1 * u.arcsec)]
    for i in np.flatnonzero(usable):
        visual = {"color": colour.get(classes[i], "") if classes is not None else ""} if colour else {}
        look = RegionVisual({k: v for k, v in visual.items() if v} | ({} if has_error[i] else {"dash": 1}))
        meta = RegionMeta({"text": name[i]}) if name is not None and name[i] else RegionMeta()
        circles.append(CircleSkyRegion(centres[i], radii[i], meta=meta, visual=look))
    head, frame, _, rest = Regions(circles).serialize(format="ds9", precision=8).split("\n", 3)
    return head, frame, rest


def _places(table: Table, at: Position) -> tuple[Places, str]:
    """Positions and errors of the columns of a table, and which column the error is."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    ra, dec = (_numbers(table[name]) for name in (at.ra, at.dec))
    if at.frame.lower() not in ("", "icrs"):
        place = SkyCoord(ra, dec, unit="deg", frame=at.frame.lower()).icrs
        ra, dec = place.ra.deg, place.dec.deg
    folded = {name.casefold(): name for name in reversed(table.colnames)}
    prefix = at.ra.casefold()[: -len("ra")] if at.ra.casefold().endswith("ra") else ""
    error = next((folded[p + e] for e in _ERRORS for p in (prefix, "") if p + e in folded), None)
    if error is None:
        return Places(ra, dec, np.full(len(table), np.nan)), "no column has it"
    unit = table[error].unit
    factor = 1.0 if unit is None or not unit.is_equivalent(u.arcsec) else unit.to(u.arcsec)
    return Places(ra, dec, _numbers(table[error]) * factor), f"column {error}"


def _numbers(column: Column) -> FloatArray:
    """Numbers of a column in its unit (angles in degrees), NaN where it is masked; sexagesimal text is read."""
    import astropy.units as u
    from astropy.coordinates import Angle

    from xcat.output.provenance import axis

    values = np.ma.asarray(column)
    if values.dtype.kind in "iuf":
        numbers = np.ma.filled(values.astype(np.float64), np.nan)
        is_angle = column.unit is not None and axis(column.name, column) and column.unit.is_equivalent(u.deg)
        return numbers * (column.unit.to(u.deg) if is_angle else 1.0)
    unit = u.hourangle if axis(column.name, column) == "ra" else u.deg
    out = np.full(len(values), np.nan)
    for i, (text, missing) in enumerate(zip(column.tolist(), np.ma.getmaskarray(values), strict=True)):
        if not missing and text:
            try:
                out[i] = float(text) if str(text).count(":") + str(text).count(" ") == 0 else Angle(text, unit).deg
            except ValueError:
                continue
    return out


def _texts(table: Table, names: tuple[str, ...]) -> list[str] | None:
    """Values of the first column that has one of the names, or ends in it after a prefix, as text for DS9."""
    exact = (c for n in names for c in table.colnames if c.casefold() == n)
    # the columns of a match begin with the name of their table, the user's first
    name = next(exact, next((c for c in table.colnames if c.casefold().endswith(tuple(f"_{n}" for n in names))), None))
    if name is None:
        return None
    values = np.ma.filled(np.ma.asarray(table[name]).astype(object), "")
    braces = str.maketrans("{};", "(),")  # what ends a text or a region
    return [escape(str(v).translate(braces)).encode("ascii", "backslashreplace").decode() for v in values.tolist()]

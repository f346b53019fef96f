"""Regions that a query gives as a text: those of STC-S in REGION, those of HEALPix cells in MOC.

References: Rots, STC-S 1.33 (IVOA Note 2009); MOC 2.0, section 4.3.2 (ASCII).
"""

from __future__ import annotations

import re

from xcat.adql import shapes
from xcat.adql.model import Refusal
from xcat.adql.values import Region, constant

EXAMPLES = {"REGION": "'CIRCLE ICRS 10 20 0.5'", "MOC": "'6/1-5 7/80'"}
FRAMES = ("ICRS", "UNKNOWNFRAME")
#: Words that STC-S has between the frame and the numbers; for sources as far away as ours they mean nothing.
_PLACES = {"BARYCENTER", "GEOCENTER", "HELIOCENTER", "TOPOCENTER", "UNKNOWNREFPOS"}
_SHAPES = {"POSITION": ("point", 2), "CIRCLE": ("circle", 3), "BOX": ("box", 4), "POLYGON": ("polygon", None)}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.A)
_FINEST = 29
_CELLS = re.compile(r"(?P<order>\d{1,2})/|(?P<first>\d{1,19})(-(?P<last>\d{1,19}))?", re.A)


def region(text: str) -> Region:
    """The region of a text in STC-S: ``Circle ICRS 10 20 0.5``, with Position, Box and Polygon, in degrees.

    Raises
    ------
    Refusal
        The text is no region, or one that is not supported, which is named.
    """
    words = text.split()
    kind, n_numbers = _SHAPES.get(words[0].upper() if words else "", ("", None))
    if not kind:
        known = ", ".join(word.capitalize() for word in _SHAPES)
        raise Refusal(f"not supported: REGION of {text.strip()[:40]!r}; it begins with {known}")
    rest, frame = words[1:], ""
    if rest and rest[0].upper() in FRAMES:
        frame = rest.pop(0)
    for known_words in (_PLACES, {"SPHERICAL2"}):
        if rest and rest[0].upper() in known_words:
            rest.pop(0)
    wrong = next((word for word in rest if not _NUMBER.fullmatch(word)), None)
    if wrong is not None:
        raise Refusal(f"not supported: {wrong[:40]!r} in REGION; after the frame, ICRS, it has numbers in degrees")
    if n_numbers is not None and len(rest) != n_numbers:
        raise Refusal(f"REGION: {words[0][:40]} has {n_numbers} numbers, not {len(rest)}")
    return shapes.region(kind, tuple(constant(float(word)) for word in rest), frame)


def moc(text: str) -> Region:
    """The cells of a MOC in ASCII, ``3/1-5 9 4/80``: an order, then nested cells and ranges of them.

    Raises
    ------
    Refusal
        The text is no MOC of the sky.
    """
    ranges, order = [], None
    for word in re.split(r"[\s,]+|(?<=/)", text.strip()):
        found = _CELLS.fullmatch(word)
        if word and found is None:
            raise Refusal(f"{word[:40]!r} is not of a MOC of the sky, such as {EXAMPLES['MOC']}")
        if found and found["order"]:
            order = int(found["order"])
            if order > _FINEST:
                raise Refusal(f"the orders of a MOC are 0 to {_FINEST}, not {order}")
        elif found:
            if order is None:
                raise Refusal(f"a MOC begins with an order, such as {EXAMPLES['MOC']}")
            first, last = int(found["first"]), int(found["last"] or found["first"])
            if not first <= last < 12 << 2 * order:
                raise Refusal(f"order {order} has the cells 0 to {(12 << 2 * order) - 1}, not {word[:40]}")
            size = 1 << 2 * (_FINEST - order)
            ranges.append((first * size, (last + 1) * size - 1))
    return Region("moc", (), cells=tuple(_joined(sorted(ranges))))


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges, joined where they touch or overlap."""
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined

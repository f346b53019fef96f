"""A counterpart catalogue prepared for the match, and the magnitudes that separate counterparts from the field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from psycopg import sql

from xcat.errors import ConfigError
from xcat.match.learning import PriorTable
from xcat.sky.density_map import DensityMap
from xcat.sky.footprint import Footprint

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class MagnitudeTerm:
    """A magnitude or colour that separates counterparts from field objects."""

    name: str  #: a column of the catalogue, or the difference of two: ``mag_w1 - mag_w2``
    table: PriorTable | None = None  #: histograms to use; by default they are learned from the match

    def expression(self) -> sql.Composable:
        """The term as SQL, for the haystack's alias ``h``."""
        columns = [part.strip() for part in self.name.split(" - ")]
        if len(columns) > 2 or not all(_COLUMN.fullmatch(c) for c in columns):
            raise ConfigError(
                f"{self.name!r} is not a magnitude or colour; write a column, or two as 'mag_w1 - mag_w2'"
            )
        return sql.SQL(" - ").join(sql.Identifier("h", column) for column in columns)


@dataclass(frozen=True)
class Haystack:
    """A counterpart catalogue prepared for the match.

    Without a map, an area or cut-outs it is not known what is loaded: no shifted positions can be matched, and there is
    no calibration.
    """

    catalogue_id: int  #: any number that no other haystack of the match has
    name: str
    table: str  #: qualified name of a table with the columns of ``xcat.counterpart`` and a q3c index on ra, dec
    density_per_deg2: float | None = None  #: of its objects; by default it comes from the map
    density_map: DensityMap | None = None  #: density, and the area that was searched if there is no other
    area: str | None = None  #: that was searched and in which all objects are loaded: a MOC as text
    #: The table holds cut-outs of this radius around the sources: the density is counted in each, and shifted positions
    #: stay inside.
    around_arcsec: float | None = None
    completeness: float | Literal["estimate"] = "estimate"  #: prior probability that a source has a counterpart in it
    epoch_yr: float | None = None  #: of the positions, where a row has no epoch
    moves: bool = False  #: whether its objects have proper motions
    elliptical: bool = False  #: whether its objects may have elliptical errors
    terms: tuple[MagnitudeTerm, ...] = ()  #: at most nine

    @property
    def is_whole(self) -> bool:
        """Whether all objects around a shifted position are loaded."""
        return self.footprint.is_known or self.around_arcsec is not None

    @cached_property
    def footprint(self) -> Footprint:
        """Where the catalogue has looked."""
        return Footprint(self.area, self.density_map)

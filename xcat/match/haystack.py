"""A counterpart catalogue as the match sees it, and the magnitudes that tell its counterparts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from xcat.errors import ConfigError
from xcat.match.learning import PriorTable
from xcat.sky.density_map import DensityMap

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Term:
    """A magnitude or colour that tells counterparts from field objects.

    Attributes
    ----------
    name : str
        A column of the catalogue, or the difference of two: ``mag_w1 - mag_w2``.
    table : PriorTable, optional
        Histograms to use; without, they are learned from the match.
    """

    name: str
    table: PriorTable | None = None

    def expression(self) -> sql.Composable:
        """The term as SQL, for the haystack's alias ``h``."""
        columns = [part.strip() for part in self.name.split(" - ")]
        if len(columns) > 2 or not all(_COLUMN.fullmatch(c) for c in columns):
            raise ConfigError(f"{self.name!r} is no magnitude or colour; write a column, or two as 'mag_w1 - mag_w2'")
        return sql.SQL(" - ").join(sql.Identifier("h", column) for column in columns)


@dataclass(frozen=True)
class Haystack:
    """A counterpart catalogue as the match sees it.

    Attributes
    ----------
    catalogue_id : int
        Anything that tells it from the others.
    name : str
    table : str
        Qualified name of a table with the columns of ``xcat.counterpart`` and a q3c index on ra, dec.
    density_per_deg2 : float, optional
        Of its objects; without, it comes from the map.
    density_map : DensityMap, optional
        Where its objects are. Without a map or cut-outs, what is loaded is not all of the sky, and nothing can be said
        about other positions than the sources': no calibration.
    around_arcsec : float, optional
        What is loaded are cut-outs of this radius around the sources: the density is counted in each, and shifted
        positions stay inside.
    completeness : float or "estimate"
        Prior probability that a source has a counterpart in it.
    epoch_yr : float, optional
        Of the positions, where a row has none.
    moves : bool
        Its objects have proper motions.
    elliptical : bool
        Its objects may have elliptical errors.
    terms : tuple of Term
        At most nine.
    """

    catalogue_id: int
    name: str
    table: str
    density_per_deg2: float | None = None
    density_map: DensityMap | None = None
    around_arcsec: float | None = None
    completeness: float | Literal["estimate"] = "estimate"
    epoch_yr: float | None = None
    moves: bool = False
    elliptical: bool = False
    terms: tuple[Term, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether what is loaded is all of the catalogue where a shifted position may be."""
        return self.density_map is not None or self.around_arcsec is not None

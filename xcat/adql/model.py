"""What goes into a translation of ADQL and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

from xcat.errors import XcatError


@dataclass(frozen=True)
class Column:
    """A column as ``TAP_SCHEMA`` describes it.

    Parameters
    ----------
    name : str
        As the database writes it, upper and lower case included.
    datatype : str
        VOTable's type: boolean, short, int, long, float, double, char or unicodeChar.
    arraysize : str, optional
        ``*`` for texts, a number for arrays.
    xtype : str, optional
        For example ``timestamp``, ``point`` or ``adql:POINT``.
    unit, ucd, utype : str, optional
    description : str
    """

    name: str
    datatype: str
    arraysize: str | None = None
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    utype: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Table:
    """A table that a query may read.

    Parameters
    ----------
    name : str
        As ADQL names it: ``pub.classified``, ``tap_upload.mine``.
    relation : str
        The quoted SQL name of what is read, such as ``"pub"."classified"``; it is put into the SQL as it is.
    columns : tuple of Column
    position : (str, str), optional
        Names of the columns of right ascension and declination (deg) that have a q3c index.
    n_rows : int, optional
        Estimate: of two tables joined by position, the larger one is searched by its index.
    """

    name: str
    relation: str
    columns: tuple[Column, ...]
    position: tuple[str, str] | None = None
    n_rows: int | None = None


@dataclass(frozen=True)
class Translated:
    """A query in SQL.

    Parameters
    ----------
    sql : str
        One complete SELECT, with all values in it: there is nothing to bind.
    columns : tuple of Column
        What the result has. A column of a table keeps its unit, UCD and description; of one that is computed, its type
        is given.
    limit : int or None
        How many rows the query asked for by TOP, so that a result cut by the server can be told from one that was
        meant to be short.
    """

    sql: str
    columns: tuple[Column, ...]
    limit: int | None


class AdqlError(XcatError):
    """A query that is not ADQL, names what is not there, or asks for what is not supported.

    Attributes
    ----------
    line, column : int or None
        Where in the query, from 1; None if that is not known.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}, column {column}: {message}")
        self.line, self.column = line, column


class Refusal(Exception):
    """Why a part of a query is refused, and the number of the character where it begins."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset

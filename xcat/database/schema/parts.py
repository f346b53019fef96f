"""What the tables are made of: columns that know their meaning, checks, and the two kinds of partitioned table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, REAL
from sqlalchemy.types import TypeEngine

from xcat.columns.registry import columns

SCHEMA = "xcat"
PUB = "pub"
SCHEMAS = (SCHEMA, PUB)

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

# Names are looked up whatever their case and blanks are.
NAME_KEY = r"lower(regexp_replace(name, '\s'::text, ''::text, 'g'::text))"

DOUBLE: TypeEngine[float] = DOUBLE_PRECISION()
FLOAT: TypeEngine[float] = REAL()
ID_TEXT: TypeEngine[str] = Text(collation="C")
FLOATS: TypeEngine[Sequence[float]] = ARRAY(REAL)
DOUBLES: TypeEngine[Sequence[float]] = ARRAY(DOUBLE_PRECISION)

ColumnType = TypeEngine[Any] | type[TypeEngine[Any]]


def column(name: str, type_: ColumnType, *args: Any, **kwargs: Any) -> Column[Any]:
    """Make a column whose COMMENT comes from the registry."""
    meaning = columns()[name]
    return Column(
        name, type_, *args, comment=meaning.comment, info={"unit": meaning.unit, "ucd": meaning.ucd}, **kwargs
    )


def required(type_: ColumnType, *names: str) -> list[Column[Any]]:
    """Columns of one type that are NOT NULL."""
    return [column(name, type_, nullable=False) for name in names]


def optional(type_: ColumnType, *names: str) -> list[Column[Any]]:
    """Columns of one type that may be NULL."""
    return [column(name, type_) for name in names]


def numbered(type_: ColumnType, name: str) -> Column[Any]:
    """Primary key that the database counts."""
    return column(name, type_, Identity(), primary_key=True)


def part_of(type_: ColumnType, name: str, parent: str, **kwargs: Any) -> Column[Any]:
    """Column of the same name in a parent table, with whose row this one goes."""
    return column(name, type_, ForeignKey(f"{parent}.{name}", ondelete="CASCADE"), **({"nullable": False} | kwargs))


def points_to(type_: ColumnType, name: str, parent: str, **kwargs: Any) -> Column[Any]:
    """Column of the same name in a parent table, whose row must stay while this one is there."""
    return column(name, type_, ForeignKey(f"{parent}.{name}"), **({"nullable": False} | kwargs))


def sky_index(name: str) -> Index:
    """Index for searches by position."""
    return Index(f"{name}_q3c_idx", text("public.q3c_ang2ipix(ra, dec)"))


def position(err: bool = True) -> list[Any]:
    """Right ascension and declination with their CHECKs, and the positional error if wanted.

    q3c takes any number for an angle (dec=100 has a pixel), so the table is where nonsense stops.
    """
    items: list[Any] = [
        *required(DOUBLE, "ra", "dec"),
        CheckConstraint("ra >= 0 AND ra < 360", name="ra"),
        CheckConstraint("dec >= -90 AND dec <= 90", name="dec"),
    ]
    if err:
        # NaN sorts above every number in PostgreSQL, so the upper bound refuses NaN and infinity
        items += [
            *required(FLOAT, "err_arcsec"),
            CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name="err_arcsec"),
        ]
    return items


def ellipse() -> list[Any]:
    """Columns and check of an error ellipse."""
    return [
        *optional(FLOAT, "err_maj_arcsec", "err_min_arcsec", "err_pa_deg"),
        CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec"
            " AND err_maj_arcsec < 3600",
            name="ellipse",
        ),
    ]


def probability(*names: str) -> list[CheckConstraint]:
    """Checks that the columns lie between 0 and 1."""
    return [CheckConstraint(f"{n} >= 0 AND {n} <= 1", name=n) for n in names]


def probabilities() -> list[Any]:
    """The probabilities of all classes, with their CHECK."""
    check = CheckConstraint("0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name="p")
    return [*required(FLOATS, "p"), check]


def one_of(name: str, *values: str) -> list[Any]:
    """A required text column that has one of some values."""
    check = CheckConstraint(f"{name} IN ({', '.join(map(repr, values))})", name=name)
    return [*required(Text, name), check]


def not_negative(*names: str) -> list[CheckConstraint]:
    """Checks that the columns are finite, zero or more."""
    # NaN is above Infinity
    return [CheckConstraint(f"{n} >= 0 AND {n} < 'Infinity'", name=n) for n in names]


def positive(*names: str) -> list[CheckConstraint]:
    """Checks that the columns are finite and above zero."""
    return [CheckConstraint(f"{n} > 0 AND {n} < 'Infinity'", name=n) for n in names]


def book(name: str, comment: str, *items: Any) -> Table:
    """Make a table without partitions."""
    return Table(name, metadata, *items, comment=comment)


BY_CATALOGUE, BY_RUN, BY_BLOCK_OF_RUNS = "LIST (catalogue_id)", "LIST (run_id)", "RANGE (run_id)"


def partitioned(by: str) -> dict[str, Table]:
    """All tables that are partitioned in one way, by name."""
    return {t.name: t for t in metadata.tables.values() if t.dialect_options["postgresql"]["partition_by"] == by}


def catalogue_table(name: str, comment: str, *items: Any) -> Table:
    """Make a table with one partition per version of a catalogue."""
    return Table(
        name,
        metadata,
        # no foreign keys here: a trigger for each row would cost more than the COPY; the partition is the guard
        *required(SmallInteger, "catalogue_id"),
        *required(BigInteger, "object_id"),
        *required(Integer, "file_id"),
        *required(ID_TEXT, "native_id"),
        *items,
        PrimaryKeyConstraint("catalogue_id", "object_id"),
        UniqueConstraint("catalogue_id", "native_id"),
        sky_index(name),
        comment=comment,
        postgresql_partition_by=BY_CATALOGUE,
    )


def run_table(name: str, comment: str, *items: Any, key: tuple[str, ...]) -> Table:
    """Make a table with one partition per run."""
    return Table(
        name,
        metadata,
        *required(Integer, "run_id"),
        *items,
        PrimaryKeyConstraint("run_id", *key),
        comment=comment,
        postgresql_partition_by=BY_RUN,
    )

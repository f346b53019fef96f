"""What the tables are made of: columns that know their meaning, checks, and the two kinds of partitioned table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, REAL
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

# Names are looked up whatever their case and blanks.
NAME_KEY = r"lower(regexp_replace(name, '\s'::text, ''::text, 'g'::text))"

DOUBLE: TypeEngine[float] = DOUBLE_PRECISION()
FLOAT: TypeEngine[float] = REAL()


def column(name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], *args: Any, **kwargs: Any) -> Column[Any]:
    """Make a column whose COMMENT comes from the registry."""
    meaning = columns()[name]
    return Column(
        name, type_, *args, comment=meaning.comment, info={"unit": meaning.unit, "ucd": meaning.ucd}, **kwargs
    )


def position(err: bool = True) -> list[Any]:
    """Right ascension and declination with their CHECKs, and the positional error if wanted.

    q3c takes any number for an angle (dec=100 has a pixel), so the table is where nonsense stops.
    """
    items: list[Any] = [
        column("ra", DOUBLE, nullable=False),
        column("dec", DOUBLE, nullable=False),
        CheckConstraint("ra >= 0 AND ra < 360", name="ra"),
        CheckConstraint("dec >= -90 AND dec <= 90", name="dec"),
    ]
    if err:
        items += [
            column("err_arcsec", FLOAT, nullable=False),
            # NaN sorts above every number in PostgreSQL, so the upper bound refuses NaN and infinity
            CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name="err_arcsec"),
        ]
    return items


def ellipse() -> list[Any]:
    """Columns and checks of an error ellipse."""
    return [
        column("err_maj_arcsec", FLOAT),
        column("err_min_arcsec", FLOAT),
        column("err_pa_deg", FLOAT),
        CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec"
            " AND err_maj_arcsec < 3600",
            name="ellipse",
        ),
    ]


def probability(*names: str) -> list[CheckConstraint]:
    """Checks that the columns lie between 0 and 1."""
    return [CheckConstraint(f"{n} >= 0 AND {n} <= 1", name=n) for n in names]


def probabilities() -> list[CheckConstraint]:
    """CHECK of the array of all classes' probabilities."""
    return [CheckConstraint("0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name="p")]


def not_negative(*names: str) -> list[CheckConstraint]:
    """Checks that the columns are finite, zero or more."""
    # NaN is above Infinity
    return [CheckConstraint(f"{n} >= 0 AND {n} < 'Infinity'", name=n) for n in names]


def positive(*names: str) -> list[CheckConstraint]:
    """Checks that the columns are finite and above zero."""
    return [CheckConstraint(f"{n} > 0 AND {n} < 'Infinity'", name=n) for n in names]


def floats(*names: str) -> list[Column[Any]]:
    """Columns of the type real."""
    return [column(n, FLOAT) for n in names]


def catalogue_table(name: str, comment: str, *items: Any) -> Table:
    """Make a table with one partition a catalogue."""
    return Table(
        name,
        metadata,
        # no foreign keys here: a trigger a row would cost more than the COPY; the partition is the guard
        column("catalogue_id", SmallInteger, nullable=False),
        column("object_id", BigInteger, nullable=False),
        column("file_id", Integer, nullable=False),
        column("native_id", Text(collation="C"), nullable=False),
        *items,
        PrimaryKeyConstraint("catalogue_id", "object_id"),
        UniqueConstraint("catalogue_id", "native_id"),
        Index(f"{name}_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
        comment=comment,
        postgresql_partition_by="LIST (catalogue_id)",
    )


def run_table(name: str, comment: str, *items: Any, key: tuple[str, ...]) -> Table:
    """Make a table with one partition a run."""
    return Table(
        name,
        metadata,
        column("run_id", Integer, nullable=False),
        *items,
        PrimaryKeyConstraint("run_id", *key),
        comment=comment,
        postgresql_partition_by="LIST (run_id)",
    )

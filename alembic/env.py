"""Alembic's entry: the address comes from xcat's settings, the target from xcat's schema."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy
from alembic import context

from xcat.config import settings
from xcat.database import objects
from xcat.database.address import OWNER, database_url
from xcat.database.schema import SCHEMA, SCHEMAS, metadata

_PARTITION = re.compile(r"_[bcr]\d+$")


def include_name(name: str | None, type_: str, parent_names: Any) -> bool:
    """Look at our schema only, and at its tables but not at their partitions."""
    if type_ == "schema":
        return name in SCHEMAS
    if type_ == "table":
        return name is not None and not _PARTITION.search(name)
    return True


def run_online() -> None:
    url = context.config.attributes.get("url") or database_url(settings(), OWNER)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for name in SCHEMAS:
            connection.execute(sqlalchemy.text(f"CREATE SCHEMA IF NOT EXISTS {name}"))
        connection.execute(sqlalchemy.text("SET client_min_messages TO warning"))
        # a role named like the schema would have it on its path, and Alembic would take it for the default one
        connection.execute(sqlalchemy.text("SET search_path TO pg_catalog"))
        connection.dialect.default_schema_name = "public"  # functions are then shown with their schema
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_schemas=True,
            include_name=include_name,
            version_table_schema=SCHEMA,
            compare_type=True,
            transaction_per_migration=False,  # no session sees a schema half-way between revisions
        )
        with context.begin_transaction():
            # views stand on the tables that a migration changes; they are made from their files, which are of the head
            objects.drop(connection)
            context.run_migrations()
            if context.get_context().get_current_revision() == context.script.get_current_head():
                objects.create(connection)


run_online()

"""Runs, catalogues and files, rejected rows, identities, publications."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from xcat.database.schema.parts import column, metadata

_RUN_KINDS = (
    "pipeline", "ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish", "evaluate",
)  # fmt: skip

run = Table(
    "run",
    metadata,
    column("run_id", Integer, Identity(), primary_key=True),
    column("kind", Text, nullable=False),
    column("name", Text, nullable=False),
    column("status", Text, nullable=False),
    column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    column("ended_at", DateTime(timezone=True)),
    column("config", JSONB, nullable=False),
    column("config_key", Text, nullable=False),
    column("versions", JSONB, nullable=False),
    column("inputs", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    column("summary", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    column("error", Text),
    column("pinned", Text),
    column("pipeline_run_id", Integer, ForeignKey("run.run_id", ondelete="SET NULL")),
    column("source_run_id", Integer, ForeignKey("run.run_id")),
    column("link_run_id", Integer, ForeignKey("run.run_id")),
    column("match_run_id", Integer, ForeignKey("run.run_id")),
    column("property_run_id", Integer, ForeignKey("run.run_id")),
    column("label_run_id", Integer, ForeignKey("run.run_id")),
    column("model_run_id", Integer, ForeignKey("run.run_id")),
    CheckConstraint("status IN ('running', 'done', 'failed', 'lost')", name="status"),
    CheckConstraint(f"kind IN ({', '.join(repr(k) for k in _RUN_KINDS)})", name="kind"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="ended_at"),
    Index(None, "config_key"),
    comment="Every stage that ran: configuration, versions, inputs, outcome",
)

catalogue = Table(
    "catalogue",
    metadata,
    column("catalogue_id", SmallInteger, Identity(), primary_key=True),
    column("name", Text, nullable=False),
    column("version", Integer, nullable=False),
    column("is_current", Boolean, nullable=False),
    column("kind", Text, nullable=False),
    column("definition", JSONB, nullable=False),
    column("definition_sha256", Text, nullable=False),
    UniqueConstraint("name", "version"),
    Index("catalogue_one_current_idx", "name", unique=True, postgresql_where=text("is_current")),
    comment="Versions of catalogues: contents that never change once a run has read them, and their definition",
)

catalogue_file = Table(
    "catalogue_file",
    metadata,
    column("file_id", Integer, Identity(), primary_key=True),
    column("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    column("file_name", Text, nullable=False),
    column("sha256", Text, nullable=False),
    column("n_bytes", BigInteger, nullable=False),
    column("n_rows", BigInteger, nullable=False),
    column("n_rejected", BigInteger, nullable=False),
    comment="Files whose rows are in the catalogue tables",
)

catalogue_content = Table(
    "catalogue_content",
    metadata,
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id", ondelete="CASCADE"), nullable=False),
    column("file_id", Integer, ForeignKey("catalogue_file.file_id"), nullable=False),
    PrimaryKeyConstraint("catalogue_id", "file_id"),
    Index(None, "file_id"),
    comment="Which files a version of a catalogue holds; a version that adds files keeps those of the one before",
)

run_catalogue = Table(
    "run_catalogue",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id"),
    Index(None, "catalogue_id"),
    comment="Which versions of catalogues a run read: they stay as long as it does",
)

reject = Table(
    "reject",
    metadata,
    column("reject_id", BigInteger, Identity(), primary_key=True),
    column("file_id", Integer, ForeignKey("catalogue_file.file_id", ondelete="CASCADE"), nullable=False),
    column("row_number", BigInteger, nullable=False),
    column("column_name", Text),
    column("value", Text),
    column("reason", Text, nullable=False),
    Index(None, "file_id"),
    comment="Rows of the files that could not be used, each with its reason",
)

dropped_table = Table(
    "dropped_table",
    metadata,
    column("table_name", Text, primary_key=True),
    comment="Tables of runs and catalogue versions that have gone, which a reader may still hold open",
)

source_identity = Table(
    "source_identity",
    metadata,
    column("source_id", BigInteger, Identity(), primary_key=True),
    column("catalogue", Text, nullable=False),
    column("mission_source", Text(collation="C"), nullable=False),
    column("first_run_id", Integer, nullable=False),
    UniqueConstraint("catalogue", "mission_source"),
    comment="The number of every source, given once and never again; append-only",
)

master_identity = Table(
    "master_identity",
    metadata,
    column("master_id", BigInteger, Identity(), primary_key=True),
    column("first_run_id", Integer, nullable=False),
    comment="The number of every master source, given once and never again; append-only",
)

master_change = Table(
    "master_change",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("source_id", BigInteger, nullable=False),
    column("old_master_id", BigInteger),
    column("new_master_id", BigInteger),
    column("change", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "source_id"),
    CheckConstraint("change IN ('new', 'moved', 'marked', 'gone')", name="change"),
    comment="Every change of a source's membership in a master source from one link run to the next; append-only",
)

density_map = Table(
    "density_map",
    metadata,
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id", ondelete="CASCADE"), nullable=False),
    column("healpix", Integer, nullable=False),
    column("n_objects", Integer, nullable=False),
    PrimaryKeyConstraint("catalogue_id", "healpix"),
    CheckConstraint("n_objects > 0", name="n_objects"),
    comment="Objects of a catalogue in every HEALPix cell that has any",
)

publication = Table(
    "publication",
    metadata,
    column("publication_id", Integer, Identity(), primary_key=True),
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("published_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    column("active", Boolean, nullable=False),
    Index("publication_one_active_idx", "active", unique=True, postgresql_where=text("active")),
    Index(None, "run_id"),
    comment="Which classify run pub shows, and which it showed before",
)

"""Runs, catalogues and files, rejected rows, identities, publications."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from xcat.database.schema.parts import ID_TEXT, book, column, numbered, one_of, optional, part_of, points_to, required

_MOMENT = DateTime(timezone=True)
_EMPTY = text("'{}'::jsonb")
_RUN_KINDS = (
    *("pipeline", "ingest", "merge", "link", "match", "properties"),
    *("label", "fit", "classify", "publish", "evaluate"),
)
_RUNS_READ = ("source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id", "model_run_id")

run = book(
    "run",
    "Every stage that ran: configuration, versions, inputs, outcome",
    numbered(Integer, "run_id"),
    *one_of("kind", *_RUN_KINDS),
    *required(Text, "name"),
    *one_of("status", "running", "done", "failed", "lost"),
    column("started_at", _MOMENT, nullable=False, server_default=func.now()),
    column("ended_at", _MOMENT),
    *required(JSONB, "config"),
    *required(Text, "config_key"),
    *required(JSONB, "versions"),
    column("inputs", JSONB, nullable=False, server_default=_EMPTY),
    column("summary", JSONB, nullable=False, server_default=_EMPTY),
    *optional(Text, "error", "pinned"),
    column("pipeline_run_id", Integer, ForeignKey("run.run_id", ondelete="SET NULL")),
    *(column(name, Integer, ForeignKey("run.run_id")) for name in _RUNS_READ),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="ended_at"),
    Index(None, "config_key"),
)

catalogue = book(
    "catalogue",
    "Versions of catalogues: contents that never change once a run has read them, and their definition",
    numbered(SmallInteger, "catalogue_id"),
    *required(Text, "name"),
    *required(Integer, "version"),
    *required(Boolean, "is_current"),
    *required(Text, "kind"),
    *required(JSONB, "definition"),
    *required(Text, "definition_sha256"),
    UniqueConstraint("name", "version"),
    Index("catalogue_one_current_idx", "name", unique=True, postgresql_where=text("is_current")),
)

catalogue_file = book(
    "catalogue_file",
    "Files whose rows are in the catalogue tables",
    numbered(Integer, "file_id"),
    points_to(Integer, "run_id", "run"),
    *required(Text, "file_name", "sha256"),
    *required(BigInteger, "n_bytes", "n_rows", "n_rejected"),
)

catalogue_content = book(
    "catalogue_content",
    "Which files a version of a catalogue holds; a version that adds files keeps those of the one before",
    part_of(SmallInteger, "catalogue_id", "catalogue"),
    points_to(Integer, "file_id", "catalogue_file"),
    PrimaryKeyConstraint("catalogue_id", "file_id"),
    Index(None, "file_id"),
)

run_catalogue = book(
    "run_catalogue",
    "Which versions of catalogues a run read: they stay as long as it does",
    part_of(Integer, "run_id", "run"),
    points_to(SmallInteger, "catalogue_id", "catalogue"),
    PrimaryKeyConstraint("run_id", "catalogue_id"),
    Index(None, "catalogue_id"),
)

reject = book(
    "reject",
    "Rows of the files that could not be used, each with its reason",
    numbered(BigInteger, "reject_id"),
    part_of(Integer, "file_id", "catalogue_file"),
    *required(BigInteger, "row_number"),
    *optional(Text, "column_name", "value"),
    *required(Text, "reason"),
    Index(None, "file_id"),
)

dropped_table = book(
    "dropped_table",
    "Tables of runs and catalogue versions that have gone, which a reader may still hold open",
    column("table_name", Text, primary_key=True),
)

source_identity = book(
    "source_identity",
    "The number of every source, given once and never again; append-only",
    numbered(BigInteger, "source_id"),
    *required(Text, "catalogue"),
    *required(ID_TEXT, "mission_source"),
    *required(Integer, "first_run_id"),
    UniqueConstraint("catalogue", "mission_source"),
)

master_identity = book(
    "master_identity",
    "The number of every master source, given once and never again; append-only",
    numbered(BigInteger, "master_id"),
    *required(Integer, "first_run_id"),
)

master_change = book(
    "master_change",
    "Every change of a source's membership in a master source from one link run to the next; append-only",
    part_of(Integer, "run_id", "run"),
    *required(BigInteger, "source_id"),
    *optional(BigInteger, "old_master_id", "new_master_id"),
    *one_of("change", "new", "moved", "marked", "gone"),
    PrimaryKeyConstraint("run_id", "source_id"),
)

density_map = book(
    "density_map",
    "Objects of a catalogue in every HEALPix cell that has any",
    part_of(SmallInteger, "catalogue_id", "catalogue"),
    *required(Integer, "healpix", "n_objects"),
    PrimaryKeyConstraint("catalogue_id", "healpix"),
    CheckConstraint("n_objects > 0", name="n_objects"),
)

publication = book(
    "publication",
    "Which classify run pub shows, and which it showed before",
    numbered(Integer, "publication_id"),
    part_of(Integer, "run_id", "run"),
    column("published_at", _MOMENT, nullable=False, server_default=func.now()),
    *required(Boolean, "active"),
    Index("publication_one_active_idx", "active", unique=True, postgresql_where=text("active")),
    Index(None, "run_id"),
)

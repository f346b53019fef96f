"""Runs, catalogues, files, rejected rows, identities, publications, and the few rows that a match and a fit learn."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)

from xcat.database.schema.parts import book, column, numbered, one_of, part_of, points_to

_EMPTY = text("'{}'::jsonb")
_RUNS_READ = [f"{kind}_run_id" for kind in ("source", "link", "match", "property", "label", "model")]

run = book(
    "run",
    "Every stage that ran: configuration, versions, inputs, outcome",
    numbered("run_id"),
    *one_of("kind", "pipeline ingest merge link match properties label fit classify publish evaluate consensus"),
    "name",
    *one_of("status", "running done failed lost cancelled"),
    column("started_at", nullable=False, server_default=func.now()),
    "ended_at? config config_key versions",
    *(column(name, nullable=False, server_default=_EMPTY) for name in ("inputs", "summary")),
    "error? pinned?",
    column("pipeline_run_id", None, ForeignKey("run.run_id", ondelete="SET NULL")),
    *(column(name, None, ForeignKey("run.run_id")) for name in _RUNS_READ),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="ended_at"),
    Index(None, "config_key"),
)

run_progress = book(
    "run_progress",
    "How far a run is, as its process says every few seconds, and whether it is asked to end",
    part_of("run_id", "run", primary_key=True),
    "host pid os_user",
    column("beat_at", nullable=False, server_default=func.now()),
    "stage? step? share_done? cancelled_by? cancelled_at?",
)

schedule = book(
    "schedule",
    "Pipelines that workers run at set times",
    column("name", primary_key=True),
    "cron time_zone pipeline_file data_folder options hook?",
    column("is_paused", nullable=False, server_default=text("false")),
    column("added_at", nullable=False, server_default=func.now()),
    "next_at last_at? last_outcome?",
)

backup = book(
    "backup",
    "Backups that were written",
    column("created_at", primary_key=True, server_default=func.now()),
    "file_name n_bytes host",
)

tap_job = book(
    "tap_job",
    "Queries that clients of the TAP service have submitted as jobs, and what became of them",
    column("job_id", primary_key=True),
    "client client_run_id?",
    *one_of("phase", "PENDING QUEUED EXECUTING COMPLETED ERROR ABORTED"),
    column("created_at", nullable=False, server_default=func.now()),
    "started_at? ended_at? execution_limit_s destruction_at parameters error? media_type? n_bytes?",
    Index(None, "client", "created_at"),
    Index(None, "destruction_at"),
)

catalogue = book(
    "catalogue",
    "Versions of catalogues: contents that never change once a run has read them, and their definition",
    numbered("catalogue_id"),
    "name version is_current kind definition definition_sha256",
    UniqueConstraint("name", "version"),
    Index("catalogue_one_current_idx", "name", unique=True, postgresql_where=text("is_current")),
)

catalogue_file = book(
    "catalogue_file",
    "Files whose rows are in the catalogue tables",
    numbered("file_id"),
    points_to("run_id", "run"),
    "file_name sha256 n_bytes n_rows n_rejected",
)

catalogue_content = book(
    "catalogue_content",
    "Which files a version of a catalogue holds; a version that adds files keeps those of the one before",
    part_of("catalogue_id", "catalogue"),
    points_to("file_id", "catalogue_file"),
    PrimaryKeyConstraint("catalogue_id", "file_id"),
    Index(None, "file_id"),
)

run_catalogue = book(
    "run_catalogue",
    "Which versions of catalogues a run read: they stay as long as it does",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    PrimaryKeyConstraint("run_id", "catalogue_id"),
    Index(None, "catalogue_id"),
)

reject = book(
    "reject",
    "Rows of the files that could not be used, each with its reason",
    numbered("reject_id"),
    part_of("file_id", "catalogue_file"),
    "row_number column_name? value? reason",
    Index(None, "file_id"),
)

dropped_table = book(
    "dropped_table",
    "Tables of runs and catalogue versions that have gone, which a reader may still hold open",
    column("table_name", primary_key=True),
)

source_identity = book(
    "source_identity",
    "The number of every source, given once and never again; append-only",
    numbered("source_id"),
    "catalogue mission_source first_run_id",
    UniqueConstraint("catalogue", "mission_source"),
)

master_identity = book(
    "master_identity",
    "The number of every master source, given once and never again; append-only",
    numbered("master_id"),
    "first_run_id",
)

master_change = book(
    "master_change",
    "Every change of a source's membership in a master source from one link run to the next; append-only",
    part_of("run_id", "run"),
    "source_id old_master_id? new_master_id?",
    *one_of("change", "new moved marked gone"),
    PrimaryKeyConstraint("run_id", "source_id"),
)

density_map = book(
    "density_map",
    "Objects of a catalogue in every HEALPix cell that has any",
    part_of("catalogue_id", "catalogue"),
    "healpix n_objects occupied_parts",
    PrimaryKeyConstraint("catalogue_id", "healpix"),
)

publication = book(
    "publication",
    "Which classify run pub shows, and which it showed before",
    numbered("publication_id"),
    part_of("run_id", "run"),
    column("published_at", nullable=False, server_default=func.now()),
    "active",
    column("how", nullable=False, server_default="published"),
    CheckConstraint("how IN ('written', 'published', 'forced', 'rolled back')", name="how"),
    "why?",
    column("withdrawn", nullable=False, server_default=text("false")),
    Index("publication_one_active_idx", "active", unique=True, postgresql_where=text("active")),
    Index(None, "run_id"),
)

# --- checks before publishing, releases, and what the last publication changed ----------------------------------

gate = book(
    "gate",
    "The checks that a classification must pass before it is published, with their thresholds",
    column("gate", primary_key=True),
    "threshold is_on",
)

famous_object = book(
    "famous_object",
    "Objects that must keep their class",
    column("name", primary_key=True),
    "ra dec radius_arcsec class",
)

release = book(
    "release",
    "Published states that were frozen under a name: citable, and never dropped",
    column("label", primary_key=True),
    points_to("run_id", "run", nullable=True),
    column("created_at", nullable=False, server_default=func.now()),
    "record removed_at? removed_why?",
    CheckConstraint("(run_id IS NULL) = (removed_at IS NOT NULL)", name="removed"),
    Index(None, "run_id"),
)

class_change = book(
    "class_change",
    "Sources that a publication gave another class than the publication before, each with the cause",
    part_of("publication_id", "publication"),
    "source_id old_source_id name catalogue ra dec old_class old_p_class class p_class cause property? push?",
    "old_property_value? property_value? old_counterpart? counterpart?",
    PrimaryKeyConstraint("publication_id", "source_id"),
    is_checked=False,
)

# --- what a match has learned: immutable; deleting the run deletes it -------------------------------------------

magnitude_prior = book(
    "magnitude_prior",
    "Magnitudes and colours of counterparts against those of field objects, as a match run learned them",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    "term source_kind part n_sources bin_low bin_high density_counterparts density_field log_ratio pattern term_no",
    PrimaryKeyConstraint("run_id", "catalogue_id", "term", "source_kind", "bin_low"),
)

match_stratum = book(
    "match_stratum",
    "The strata of a match run's sources, by mission, the catalogues that searched around them, density and positional"
    " error, with what it learned of each",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    "part source_kind log_objects_low err_low_arcsec err_typical_arcsec epoch_mean_yr epoch_std_yr reach_arcsec",
    "log_odds completenesses cutoffs log_back log_alone searched",
    PrimaryKeyConstraint("run_id", "source_kind"),
)

match_cut_out = book(
    "match_cut_out",
    "Density of catalogues that are cut-outs around the sources of a match run: counts in rings, pooled by place",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    "prior_shape mean_of_all pools pool_means",
    PrimaryKeyConstraint("run_id", "catalogue_id"),
)

catalogue_depth = book(
    "catalogue_depth",
    "How deep a catalogue is around its cells, where it is less so than its definition states: of a properties run",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    "band depth_cells depth_mags",
    PrimaryKeyConstraint("run_id", "catalogue_id", "band"),
)

calibration = book(
    "calibration",
    "False matches at shifted positions against p_any, by catalogue (NULL: all together) and part (0: all)",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue", nullable=True),
    "part cutoff is_chosen n_sources n_sources_above n_shifted n_shifted_above false_rate contamination?",
    "density_low_per_deg2 density_high_per_deg2",
    UniqueConstraint("run_id", "catalogue_id", "part", "cutoff", "is_chosen", postgresql_nulls_not_distinct=True),
)

field_offset = book(
    "field_offset",
    "Offset and rotation of X-ray fields against their secure counterparts, where a match run fitted them",
    part_of("run_id", "run"),
    points_to("catalogue_id", "catalogue"),
    "obs_id n_secure offset_ra_arcsec offset_dec_arcsec offset_err_arcsec rotation_deg rotation_err_deg",
    PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id"),
)

# --- the model: a few rows per run, immutable; deleting the run deletes them ------------------------------------

model = book(
    "model",
    "What a fit run made, one row per model; its classes, categories and terms are rows of their own",
    part_of("run_id", "run", primary_key=True),
    *one_of("weighting", "equal given category property"),
    "sharpness smoothing inverse_ridge? outlier_p best_levels? category_share? limits_before_galaxy",
)

model_class = book(
    "model_class",
    "The classes of every model, or the kinds of its classes",
    part_of("run_id", "model"),
    "class_id class prior log_offset offset_changes? n_reference outlier_levels behind_galaxy part_of?",
    PrimaryKeyConstraint("run_id", "class_id"),
    UniqueConstraint("run_id", "class"),
)

model_category = book(
    "model_category",
    "The categories of every model, with their weights",
    part_of("run_id", "model"),
    "category_id category weight",
    PrimaryKeyConstraint("run_id", "category_id"),
    UniqueConstraint("run_id", "category"),
)


def _belongs_to(name: str, table: str, key: str) -> ForeignKeyConstraint:
    """Foreign key to what a model's row is named after."""
    return ForeignKeyConstraint(["run_id", name], [f"{table}.run_id", f"{table}.{key}"], ondelete="CASCADE")


model_term = book(
    "model_term",
    "What every model adds up: properties, and after them pairs of properties",
    "run_id term_id term category is_pair",
    PrimaryKeyConstraint("run_id", "term_id"),
    UniqueConstraint("run_id", "term"),
    _belongs_to("category", "model_category", "category"),
)

likelihood_table = book(
    "likelihood_table",
    "The density of a property in a class, or of two properties beside the product of both, as a table on a grid",
    "run_id property axes scales category class grid grid_2? log_density log_smeared? log_atoms? log_above?",
    "tail_slope mixing log_present log_missing bandwidth? typical_error? n_present",
    "error_column? limit_column? observed_column? column_shift? absence_columns?",
    PrimaryKeyConstraint("run_id", "property", "class"),
    _belongs_to("class", "model_class", "class"),
    _belongs_to("property", "model_term", "term"),
    CheckConstraint("cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)", name="axes"),
    CheckConstraint("log_present <= 0 AND log_missing <= 0", name="presence"),
)

likelihood_replicate = book(
    "likelihood_replicate",
    "What refits to the reweighted reference sample change in the contributions of a term, place by place",
    "run_id property place changes",
    PrimaryKeyConstraint("run_id", "property", "place"),
    _belongs_to("property", "model_term", "term"),
)

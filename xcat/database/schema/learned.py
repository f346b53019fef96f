"""What a match and a fit have learned: a few rows per run, immutable."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY

from xcat.database.schema.parts import (
    DOUBLE,
    DOUBLES,
    ID_TEXT,
    book,
    not_negative,
    one_of,
    optional,
    part_of,
    points_to,
    positive,
    probability,
    required,
)

magnitude_prior = book(
    "magnitude_prior",
    "Magnitudes and colours of counterparts against those of field objects, as a match run learned them",
    part_of(Integer, "run_id", "run"),
    points_to(SmallInteger, "catalogue_id", "catalogue"),
    *required(Text, "term"),
    *required(SmallInteger, "source_kind", "part"),
    *required(Integer, "n_sources"),
    *required(DOUBLE, "bin_low", "bin_high", "density_counterparts", "density_field", "log_ratio"),
    PrimaryKeyConstraint("run_id", "catalogue_id", "term", "source_kind", "bin_low"),
)

calibration = book(
    "calibration",
    "False matches at shifted positions against p_any, by catalogue (NULL: all together) and part (0: all)",
    part_of(Integer, "run_id", "run"),
    points_to(SmallInteger, "catalogue_id", "catalogue", nullable=True),
    *required(SmallInteger, "part"),
    *required(DOUBLE, "cutoff"),
    *required(Boolean, "is_chosen"),
    *required(Integer, "n_sources", "n_sources_above", "n_shifted", "n_shifted_above"),
    *required(DOUBLE, "false_rate"),
    *optional(DOUBLE, "contamination"),
    *required(DOUBLE, "density_low_per_deg2", "density_high_per_deg2"),
    UniqueConstraint("run_id", "catalogue_id", "part", "cutoff", "is_chosen", postgresql_nulls_not_distinct=True),
    *probability("false_rate", "cutoff"),
)

field_offset = book(
    "field_offset",
    "Offset and rotation of X-ray fields against their secure counterparts, where a match run fitted them",
    part_of(Integer, "run_id", "run"),
    points_to(SmallInteger, "catalogue_id", "catalogue"),
    *required(ID_TEXT, "obs_id"),
    *required(Integer, "n_secure"),
    *required(DOUBLE, "offset_ra_arcsec", "offset_dec_arcsec", "offset_err_arcsec", "rotation_deg", "rotation_err_deg"),
    PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id"),
)

# --- the model: a few rows per run, immutable; deleting the run deletes them ------------------------------------

model = book(
    "model",
    "What a fit run made, one row per model; its classes, categories and terms are rows of their own",
    part_of(Integer, "run_id", "run", primary_key=True),
    *one_of("weighting", "equal", "given", "category", "property"),
    *required(DOUBLE, "sharpness", "smoothing"),
    *optional(DOUBLE, "inverse_ridge"),
    *required(DOUBLES, "outlier_p"),
    *positive("sharpness", "smoothing", "inverse_ridge"),
)

model_class = book(
    "model_class",
    "The classes of every model",
    part_of(Integer, "run_id", "model"),
    *required(SmallInteger, "class_id"),
    *required(Text, "class"),
    *required(DOUBLE, "prior", "log_offset"),
    *required(Integer, "n_reference"),
    *required(DOUBLES, "outlier_levels"),
    PrimaryKeyConstraint("run_id", "class_id"),
    UniqueConstraint("run_id", "class"),
    CheckConstraint("class_id >= 1", name="class_id"),
    CheckConstraint("prior > 0 AND prior <= 1", name="prior"),
    CheckConstraint("log_offset > '-Infinity' AND log_offset < 'Infinity'", name="log_offset"),
)

model_category = book(
    "model_category",
    "The categories of every model, with their weights",
    part_of(Integer, "run_id", "model"),
    *required(SmallInteger, "category_id"),
    *required(Text, "category"),
    *required(DOUBLE, "weight"),
    PrimaryKeyConstraint("run_id", "category_id"),
    UniqueConstraint("run_id", "category"),
    CheckConstraint("category_id >= 1", name="category_id"),
    *not_negative("weight"),
)

model_term = book(
    "model_term",
    "What every model adds up: properties, and after them pairs of properties",
    *required(Integer, "run_id"),
    *required(SmallInteger, "term_id"),
    *required(Text, "term", "category"),
    *required(Boolean, "is_pair"),
    PrimaryKeyConstraint("run_id", "term_id"),
    UniqueConstraint("run_id", "term"),
    ForeignKeyConstraint(
        ["run_id", "category"], ["model_category.run_id", "model_category.category"], ondelete="CASCADE"
    ),
    CheckConstraint("term_id >= 1", name="term_id"),
)

likelihood_table = book(
    "likelihood_table",
    "The density of a property in a class, or of two properties beside the product of both, as a table on a grid",
    *required(Integer, "run_id"),
    *required(Text, "property"),
    *required(ARRAY(Text), "axes", "scales"),
    *required(Text, "category", "class"),
    *required(DOUBLES, "grid"),
    *optional(DOUBLES, "grid_2"),
    *required(DOUBLES, "log_density"),
    *optional(DOUBLES, "log_smeared", "log_atoms", "log_above"),
    *required(DOUBLE, "tail_slope"),
    *required(DOUBLES, "mixing"),
    *required(DOUBLE, "log_present", "log_missing"),
    *optional(DOUBLE, "bandwidth", "typical_error"),
    *required(DOUBLE, "n_present"),
    *optional(Text, "error_column", "limit_column", "observed_column"),
    PrimaryKeyConstraint("run_id", "property", "class"),
    ForeignKeyConstraint(["run_id", "class"], ["model_class.run_id", "model_class.class"], ondelete="CASCADE"),
    ForeignKeyConstraint(["run_id", "property"], ["model_term.run_id", "model_term.term"], ondelete="CASCADE"),
    *not_negative("tail_slope"),
    CheckConstraint("cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)", name="axes"),
    CheckConstraint("'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)", name="mixing"),
    CheckConstraint("log_present <= 0 AND log_missing <= 0", name="presence"),
)

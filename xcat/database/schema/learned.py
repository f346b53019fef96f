"""What a match and a fit have learned: a few rows a run, immutable."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION

from xcat.database.schema.parts import DOUBLE, column, metadata, not_negative, positive, probability

magnitude_prior = Table(
    "magnitude_prior",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    column("term", Text, nullable=False),
    column("source_kind", SmallInteger, nullable=False),
    column("part", SmallInteger, nullable=False),
    column("n_sources", Integer, nullable=False),
    column("bin_low", DOUBLE, nullable=False),
    column("bin_high", DOUBLE, nullable=False),
    column("density_counterparts", DOUBLE, nullable=False),
    column("density_field", DOUBLE, nullable=False),
    column("log_ratio", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id", "term", "source_kind", "bin_low"),
    comment="Magnitudes and colours of counterparts against those of field objects, as a match run learned them",
)

calibration = Table(
    "calibration",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id")),
    column("part", SmallInteger, nullable=False),
    column("cutoff", DOUBLE, nullable=False),
    column("is_chosen", Boolean, nullable=False),
    column("n_sources", Integer, nullable=False),
    column("n_sources_above", Integer, nullable=False),
    column("n_shifted", Integer, nullable=False),
    column("n_shifted_above", Integer, nullable=False),
    column("false_rate", DOUBLE, nullable=False),
    column("contamination", DOUBLE),
    column("density_low_per_deg2", DOUBLE, nullable=False),
    column("density_high_per_deg2", DOUBLE, nullable=False),
    UniqueConstraint("run_id", "catalogue_id", "part", "cutoff", "is_chosen", postgresql_nulls_not_distinct=True),
    *probability("false_rate", "cutoff"),
    comment="False matches at shifted positions against p_any, by catalogue (NULL: all together) and part (0: all)",
)

field_offset = Table(
    "field_offset",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    column("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    column("obs_id", Text(collation="C"), nullable=False),
    column("n_secure", Integer, nullable=False),
    column("offset_ra_arcsec", DOUBLE, nullable=False),
    column("offset_dec_arcsec", DOUBLE, nullable=False),
    column("offset_err_arcsec", DOUBLE, nullable=False),
    column("rotation_deg", DOUBLE, nullable=False),
    column("rotation_err_deg", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id"),
    comment="Offset and rotation of X-ray fields against their secure counterparts, where a match run fitted them",
)

# --- the model: a few rows a run, immutable; deleting the run deletes them ------------------------------------

model = Table(
    "model",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    column("weighting", Text, nullable=False),
    column("sharpness", DOUBLE, nullable=False),
    column("smoothing", DOUBLE, nullable=False),
    column("inverse_ridge", DOUBLE),
    column("outlier_p", ARRAY(DOUBLE_PRECISION), nullable=False),
    CheckConstraint("weighting IN ('equal', 'given', 'category', 'property')", name="weighting"),
    *positive("sharpness", "smoothing", "inverse_ridge"),
    comment="What a fit run made, one row a model; its classes, categories and terms are rows of their own",
)

model_class = Table(
    "model_class",
    metadata,
    column("run_id", Integer, ForeignKey("model.run_id", ondelete="CASCADE"), nullable=False),
    column("class_id", SmallInteger, nullable=False),
    column("class", Text, nullable=False),
    column("prior", DOUBLE, nullable=False),
    column("log_offset", DOUBLE, nullable=False),
    column("n_reference", Integer, nullable=False),
    column("outlier_levels", ARRAY(DOUBLE_PRECISION), nullable=False),
    PrimaryKeyConstraint("run_id", "class_id"),
    UniqueConstraint("run_id", "class"),
    CheckConstraint("class_id >= 1", name="class_id"),
    CheckConstraint("prior > 0 AND prior <= 1", name="prior"),
    CheckConstraint("log_offset > '-Infinity' AND log_offset < 'Infinity'", name="log_offset"),
    comment="The classes of every model",
)

model_category = Table(
    "model_category",
    metadata,
    column("run_id", Integer, ForeignKey("model.run_id", ondelete="CASCADE"), nullable=False),
    column("category_id", SmallInteger, nullable=False),
    column("category", Text, nullable=False),
    column("weight", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "category_id"),
    UniqueConstraint("run_id", "category"),
    CheckConstraint("category_id >= 1", name="category_id"),
    *not_negative("weight"),
    comment="The categories of every model, with their weights",
)

model_term = Table(
    "model_term",
    metadata,
    column("run_id", Integer, nullable=False),
    column("term_id", SmallInteger, nullable=False),
    column("term", Text, nullable=False),
    column("category", Text, nullable=False),
    column("is_pair", Boolean, nullable=False),
    PrimaryKeyConstraint("run_id", "term_id"),
    UniqueConstraint("run_id", "term"),
    ForeignKeyConstraint(
        ["run_id", "category"], ["model_category.run_id", "model_category.category"], ondelete="CASCADE"
    ),
    CheckConstraint("term_id >= 1", name="term_id"),
    comment="What every model adds up: properties, and after them pairs of properties",
)

likelihood_table = Table(
    "likelihood_table",
    metadata,
    column("run_id", Integer, nullable=False),
    column("property", Text, nullable=False),
    column("axes", ARRAY(Text), nullable=False),
    column("scales", ARRAY(Text), nullable=False),
    column("category", Text, nullable=False),
    column("class", Text, nullable=False),
    column("grid", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("grid_2", ARRAY(DOUBLE_PRECISION)),
    column("log_density", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("log_smeared", ARRAY(DOUBLE_PRECISION)),
    column("log_atoms", ARRAY(DOUBLE_PRECISION)),
    column("log_above", ARRAY(DOUBLE_PRECISION)),
    column("tail_slope", DOUBLE, nullable=False),
    column("mixing", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("log_present", DOUBLE, nullable=False),
    column("log_missing", DOUBLE, nullable=False),
    column("bandwidth", DOUBLE),
    column("typical_error", DOUBLE),
    column("n_present", DOUBLE, nullable=False),
    column("error_column", Text),
    column("limit_column", Text),
    column("observed_column", Text),
    PrimaryKeyConstraint("run_id", "property", "class"),
    ForeignKeyConstraint(["run_id", "class"], ["model_class.run_id", "model_class.class"], ondelete="CASCADE"),
    ForeignKeyConstraint(["run_id", "property"], ["model_term.run_id", "model_term.term"], ondelete="CASCADE"),
    *not_negative("tail_slope"),
    CheckConstraint("cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)", name="axes"),
    CheckConstraint("'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)", name="mixing"),
    CheckConstraint("log_present <= 0 AND log_missing <= 0", name="presence"),
    comment="The density of a property in a class, or of two properties beside the product of both, as a table on a"
    " grid",
)

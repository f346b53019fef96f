"""What a match and a fit have learned: a few rows a run, immutable."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
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

# --- the model: a few rows a run, immutable ---------------------------------------------------------------

model = Table(
    "model",
    metadata,
    column("run_id", Integer, ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    column("classes", ARRAY(Text), nullable=False),
    column("priors", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("n_reference", ARRAY(Integer), nullable=False),
    column("categories", ARRAY(Text), nullable=False),
    column("weights", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("properties", ARRAY(Text), nullable=False),
    column("sharpness", DOUBLE, nullable=False),
    column("offsets", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("terms", ARRAY(Text), nullable=False),
    column("term_category", ARRAY(Text), nullable=False),
    column("weighting", Text, nullable=False),
    column("smoothing", DOUBLE, nullable=False),
    column("outlier_p", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("outlier_levels", ARRAY(DOUBLE_PRECISION), nullable=False),
    column("inverse_ridge", DOUBLE),
    CheckConstraint("weighting IN ('equal', 'given', 'category', 'property')", name="weighting"),
    CheckConstraint("0 <= ALL (weights) AND 'Infinity' > ALL (weights)", name="weights"),
    CheckConstraint("0 < ALL (priors) AND 1 >= ALL (priors)", name="priors"),
    CheckConstraint("cardinality(terms) = cardinality(term_category)", name="terms"),
    *positive("sharpness", "smoothing", "inverse_ridge"),
    comment="What a fit run made: classes, priors, weights; its tables are in likelihood_table",
)

likelihood_table = Table(
    "likelihood_table",
    metadata,
    column("run_id", Integer, ForeignKey("model.run_id", ondelete="CASCADE"), nullable=False),
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
    *not_negative("tail_slope"),
    CheckConstraint("cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)", name="axes"),
    CheckConstraint("'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)", name="mixing"),
    CheckConstraint("log_present <= 0 AND log_missing <= 0", name="presence"),
    comment="The density of a property in a class, or of two properties beside the product of both, as a table on a"
    " grid",
)

"""The tables of xcat, in SQLAlchemy.

Three kinds of table. *Catalogue tables* (detection, counterpart, galaxy, reference_object) hold what was
ingested, one partition a catalogue. *Run tables* (source ... classification) hold what a stage made, one
partition a run, so that a reader touches one run only and dropping a run is instant. The rest is
bookkeeping. Partitions are made when a catalogue or a run is written (xcat/database/partitions.py).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
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
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, REAL
from sqlalchemy.types import TypeEngine

from xcat.database.registry import columns, property_columns, property_entries

SCHEMA = "xcat"

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

DOUBLE: TypeEngine[float] = DOUBLE_PRECISION()
FLOAT: TypeEngine[float] = REAL()


def _c(name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], *args: Any, **kwargs: Any) -> Column[Any]:
    """Make a column whose COMMENT comes from the registry."""
    meaning = columns()[name]
    return Column(
        name, type_, *args, comment=meaning.comment, info={"unit": meaning.unit, "ucd": meaning.ucd}, **kwargs
    )


def _position(err: bool = True) -> list[Any]:
    """Right ascension and declination with their CHECKs, and the positional error if wanted.

    q3c takes any number for an angle (dec=100 has a pixel), so the table is where nonsense stops.
    """
    items: list[Any] = [
        _c("ra", DOUBLE, nullable=False),
        _c("dec", DOUBLE, nullable=False),
        CheckConstraint("ra >= 0 AND ra < 360", name="ra"),
        CheckConstraint("dec >= -90 AND dec <= 90", name="dec"),
    ]
    if err:
        items += [
            _c("err_arcsec", FLOAT, nullable=False),
            # NaN sorts above every number in PostgreSQL, so the upper bound refuses NaN and infinity
            CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name="err_arcsec"),
        ]
    return items


def _ellipse() -> list[Any]:
    return [
        _c("err_maj_arcsec", FLOAT),
        _c("err_min_arcsec", FLOAT),
        _c("err_pa_deg", FLOAT),
        CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec"
            " AND err_maj_arcsec < 3600",
            name="ellipse",
        ),
    ]


def _probability(*names: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{n} >= 0 AND {n} <= 1", name=n) for n in names]


def _probabilities() -> list[CheckConstraint]:
    """CHECK of the array of all classes' probabilities."""
    return [CheckConstraint("0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name="p")]


def _not_negative(*names: str) -> list[CheckConstraint]:
    # NaN is above Infinity
    return [CheckConstraint(f"{n} >= 0 AND {n} < 'Infinity'", name=n) for n in names]


def _positive(*names: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{n} > 0 AND {n} < 'Infinity'", name=n) for n in names]


def _floats(*names: str) -> list[Column[Any]]:
    return [_c(n, FLOAT) for n in names]


def _catalogue_table(name: str, comment: str, *items: Any) -> Table:
    return Table(
        name,
        metadata,
        # no foreign keys here: a trigger a row would cost more than the COPY; the partition is the guard
        _c("catalogue_id", SmallInteger, nullable=False),
        _c("object_id", BigInteger, nullable=False),
        _c("file_id", Integer, nullable=False),
        _c("native_id", Text(collation="C"), nullable=False),
        *items,
        PrimaryKeyConstraint("catalogue_id", "object_id"),
        UniqueConstraint("catalogue_id", "native_id"),
        Index(f"{name}_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
        comment=comment,
        postgresql_partition_by="LIST (catalogue_id)",
    )


def _run_table(name: str, comment: str, *items: Any, key: tuple[str, ...]) -> Table:
    return Table(
        name,
        metadata,
        _c("run_id", Integer, nullable=False),
        *items,
        PrimaryKeyConstraint("run_id", *key),
        comment=comment,
        postgresql_partition_by="LIST (run_id)",
    )


# --- bookkeeping ------------------------------------------------------------------------------------------

_RUN_KINDS = (
    "pipeline", "ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish", "evaluate",
)  # fmt: skip

run = Table(
    "run",
    metadata,
    _c("run_id", Integer, Identity(), primary_key=True),
    _c("kind", Text, nullable=False),
    _c("name", Text, nullable=False),
    _c("status", Text, nullable=False),
    _c("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _c("ended_at", DateTime(timezone=True)),
    _c("config", JSONB, nullable=False),
    _c("config_key", Text, nullable=False),
    _c("versions", JSONB, nullable=False),
    _c("inputs", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _c("summary", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _c("error", Text),
    _c("pipeline_run_id", Integer, ForeignKey("run.run_id")),
    _c("source_run_id", Integer, ForeignKey("run.run_id")),
    _c("link_run_id", Integer, ForeignKey("run.run_id")),
    _c("match_run_id", Integer, ForeignKey("run.run_id")),
    _c("property_run_id", Integer, ForeignKey("run.run_id")),
    _c("label_run_id", Integer, ForeignKey("run.run_id")),
    _c("model_run_id", Integer, ForeignKey("run.run_id")),
    CheckConstraint("status IN ('running', 'done', 'failed', 'lost')", name="status"),
    CheckConstraint(f"kind IN ({', '.join(repr(k) for k in _RUN_KINDS)})", name="kind"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="ended_at"),
    Index(None, "config_key"),
    comment="Every stage that ran: configuration, versions, inputs, outcome",
)

catalogue = Table(
    "catalogue",
    metadata,
    _c("catalogue_id", SmallInteger, Identity(), primary_key=True),
    _c("name", Text, nullable=False, unique=True),
    _c("kind", Text, nullable=False),
    _c("definition", JSONB, nullable=False),
    _c("definition_sha256", Text, nullable=False),
    comment="Catalogues that have been loaded, with the definition that was used",
)

catalogue_file = Table(
    "catalogue_file",
    metadata,
    _c("file_id", Integer, Identity(), primary_key=True),
    _c("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("file_name", Text, nullable=False),
    _c("sha256", Text, nullable=False),
    _c("n_bytes", BigInteger, nullable=False),
    _c("n_rows", BigInteger, nullable=False),
    _c("n_rejected", BigInteger, nullable=False),
    UniqueConstraint("catalogue_id", "sha256"),
    comment="Files whose rows are in the catalogue tables",
)

reject = Table(
    "reject",
    metadata,
    _c("reject_id", BigInteger, Identity(), primary_key=True),
    _c("file_id", Integer, ForeignKey("catalogue_file.file_id", ondelete="CASCADE"), nullable=False),
    _c("row_number", BigInteger, nullable=False),
    _c("column_name", Text),
    _c("value", Text),
    _c("reason", Text, nullable=False),
    Index(None, "file_id"),
    comment="Rows of the files that could not be used, each with its reason",
)

source_identity = Table(
    "source_identity",
    metadata,
    _c("source_id", BigInteger, Identity(), primary_key=True),
    _c("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    _c("mission_source", Text(collation="C"), nullable=False),
    _c("first_run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    UniqueConstraint("catalogue_id", "mission_source"),
    comment="The number of every source, given once and never again; append-only",
)

master_identity = Table(
    "master_identity",
    metadata,
    _c("master_id", BigInteger, Identity(), primary_key=True),
    _c("first_run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    comment="The number of every master source, given once and never again; append-only",
)

master_change = Table(
    "master_change",
    metadata,
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("source_id", BigInteger, nullable=False),
    _c("old_master_id", BigInteger),
    _c("new_master_id", BigInteger),
    _c("change", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "source_id"),
    CheckConstraint("change IN ('new', 'moved', 'marked', 'gone')", name="change"),
    comment="Every change of a source's membership in a master source from one link run to the next; append-only",
)

density_map = Table(
    "density_map",
    metadata,
    _c("catalogue_id", SmallInteger, ForeignKey("catalogue.catalogue_id"), nullable=False),
    _c("healpix", Integer, nullable=False),
    _c("n_objects", Integer, nullable=False),
    PrimaryKeyConstraint("catalogue_id", "healpix"),
    CheckConstraint("n_objects > 0", name="n_objects"),
    comment="Objects of a catalogue in every HEALPix cell that has any",
)

publication = Table(
    "publication",
    metadata,
    _c("publication_id", Integer, Identity(), primary_key=True),
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("published_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _c("active", Boolean, nullable=False),
    Index("publication_one_active_idx", "active", unique=True, postgresql_where=text("active")),
    comment="Which classify run the views show, and which they showed before",
)

# --- catalogue tables -------------------------------------------------------------------------------------

_XRAY_FLUXES = [
    "flux_cgs", "flux_err_cgs", "flux_soft_cgs", "flux_soft_err_cgs", "flux_medium_cgs",
    "flux_medium_err_cgs", "flux_hard_cgs", "flux_hard_err_cgs",
]  # fmt: skip
_SPECTRUM = ["hr1", "hr1_err", "hr2", "hr2_err", "gamma", "snr", "det_likelihood"]

detection = _catalogue_table(
    "detection",
    "X-ray detections, and sources of catalogues that list sources only, as ingested",
    _c("source_native_id", Text(collation="C")),
    _c("name", Text),
    _c("obs_id", Text(collation="C")),
    *_position(),
    *_ellipse(),
    _c("epoch_yr", DOUBLE),
    _c("mjd", DOUBLE),
    _c("exposure_s", FLOAT),
    *_floats(*_XRAY_FLUXES, "flux_upper_cgs", *_SPECTRUM, "p_variable", "p_variable_long", "extent_arcsec"),
    _c("quality_flag", Integer),
    _c("n_detections", Integer),
    *_probability("p_variable", "p_variable_long"),
)

counterpart = _catalogue_table(
    "counterpart",
    "Optical and infrared objects, as ingested",
    *_position(),
    *_ellipse(),
    _c("epoch_yr", DOUBLE),
    *_floats(
        "pmra_mas_yr", "pmdec_mas_yr", "parallax_mas", "parallax_err_mas", "distance_pc",
        "mag", "mag_gaia_g", "mag_gaia_bp", "mag_gaia_rp", "mag_g", "mag_r", "mag_i", "mag_z", "mag_y",
        "mag_j", "mag_h", "mag_k", "mag_w1", "mag_w2", "mag_w3", "mag_ch1",
    ),
)  # fmt: skip

galaxy = _catalogue_table(
    "galaxy",
    "Galaxies with their isophotal ellipse and distance, as ingested",
    *_position(err=False),
    *_floats("distance_mpc", "d25_arcmin", "axis_ratio", "pa_deg"),
    CheckConstraint("d25_arcmin >= 0 AND d25_arcmin < 1200", name="d25_arcmin"),
    CheckConstraint("axis_ratio > 0 AND axis_ratio <= 1", name="axis_ratio"),
)

reference_object = _catalogue_table(
    "reference_object",
    "Objects of known class from the literature, as ingested",
    _c("name", Text),
    *_position(),
    _c("class", Text),
    _c("class_native", Text),
)

CATALOGUE_TABLES = {t.name: t for t in (detection, counterpart, galaxy, reference_object)}

# --- run tables -------------------------------------------------------------------------------------------

source = _run_table(
    "source",
    "X-ray sources of one mission, made of its detections",
    _c("source_id", BigInteger, nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("name", Text, nullable=False),
    *_position(),
    *_ellipse(),
    _c("glon", DOUBLE, nullable=False),
    _c("glat", DOUBLE, nullable=False),
    _c("epoch_yr", DOUBLE),
    _c("mjd_first", DOUBLE),
    _c("mjd_last", DOUBLE),
    _c("n_detections", Integer, nullable=False),
    *_floats(*_XRAY_FLUXES, "flux_std_cgs", *_SPECTRUM, "flux_ratio", "flux_ratio_low", "p_variable"),
    *_floats("p_variable_long", "extent_arcsec"),
    _c("quality_flag", Integer),
    Index("source_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
    *_probability("p_variable", "p_variable_long"),
    key=("source_id",),
)

source_detection = _run_table(
    "source_detection",
    "Which detections a source is made of",
    _c("source_id", BigInteger, nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("object_id", BigInteger, nullable=False),
    key=("source_id", "object_id"),
)

master = _run_table(
    "master",
    "Sources of several missions that are one, with their fluxes in one band",
    _c("master_id", BigInteger, nullable=False),
    *_position(),
    _c("n_missions", SmallInteger, nullable=False),
    _c("n_sources", SmallInteger, nullable=False),
    _c("n_detections", Integer, nullable=False),
    _c("n_upper_limits", Integer, nullable=False),
    _c("is_ambiguous", Boolean, nullable=False),
    _c("mjd_first", DOUBLE),
    _c("mjd_last", DOUBLE),
    *_floats("flux_std_min_cgs", "flux_std_max_cgs", "flux_ratio", "flux_ratio_low", "flux_ratio_sigma"),
    Index("master_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
    key=("master_id",),
)

master_source = _run_table(
    "master_source",
    "Which sources a master source is made of",
    _c("source_id", BigInteger, nullable=False),
    _c("master_id", BigInteger, nullable=False),
    _c("status", Text, nullable=False),
    CheckConstraint("status IN ('single', 'linked', 'ambiguous')", name="status"),
    Index(None, "master_id"),
    key=("source_id",),
)

source_link = _run_table(
    "source_link",
    "Every pair of sources of two missions that is close enough to be one, and what was made of it",
    _c("source_id", BigInteger, nullable=False),
    _c("other_source_id", BigInteger, nullable=False),
    _c("sep_arcsec", DOUBLE, nullable=False),
    _c("log_bayes_factor", DOUBLE, nullable=False),
    _c("status", Text, nullable=False),
    _c("reason", Text, nullable=False),
    CheckConstraint("source_id < other_source_id", name="order"),
    CheckConstraint("status IN ('accepted', 'ambiguous', 'rejected')", name="status"),
    *_not_negative("sep_arcsec"),
    key=("source_id", "other_source_id"),
)

match = _run_table(
    "match",
    "Whether a source has a counterpart in a catalogue",
    _c("source_id", BigInteger, nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("n_candidates", Integer, nullable=False),
    _c("density_per_deg2", DOUBLE, nullable=False),
    _c("completeness", FLOAT, nullable=False),
    _c("p_any", FLOAT, nullable=False),
    _c("accepted", Boolean, nullable=False),
    *_probability("p_any", "completeness"),
    *_not_negative("density_per_deg2"),
    key=("source_id", "catalogue_id"),
)

match_candidate = _run_table(
    "match_candidate",
    "Every catalogue object within the search radius of a source",
    _c("source_id", BigInteger, nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("object_id", BigInteger, nullable=False),
    _c("sep_arcsec", DOUBLE, nullable=False),
    _c("log_bayes_factor", DOUBLE, nullable=False),
    _c("p_i", FLOAT, nullable=False),
    _c("is_best", Boolean, nullable=False),
    *_probability("p_i"),
    *_not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)

hypothesis = _run_table(
    "hypothesis",
    "What a source may be in the counterpart catalogues together: combinations of one object of each or none, most"
    " probable first, rank 0 being none in any",
    _c("source_id", BigInteger, nullable=False),
    _c("rank", SmallInteger, nullable=False),
    _c("catalogues", ARRAY(SmallInteger), nullable=False),
    _c("objects", ARRAY(BigInteger), nullable=False),
    _c("log_bayes_factor", DOUBLE, nullable=False),
    _c("p_hypothesis", FLOAT, nullable=False),
    _c("p_i", FLOAT),
    _c("match_flag", SmallInteger, nullable=False),
    *_probability("p_hypothesis", "p_i"),
    CheckConstraint("cardinality(catalogues) = cardinality(objects)", name="members"),
    CheckConstraint("match_flag IN (0, 1, 2)", name="match_flag"),
    key=("source_id", "rank"),
)

property_ = _run_table(
    "property",
    "The properties of the method, one row a source; missing is NULL",
    _c("source_id", BigInteger, nullable=False),
    *_floats(*(entry["name"] for entry in property_entries())),
    *_floats(*property_columns("error"), *property_columns("limit")),
    *(_c(name, Boolean, nullable=False) for name in property_columns("observed")),
    _c("has_optical", Boolean, nullable=False),
    _c("has_infrared", Boolean, nullable=False),
    _c("has_spectrum", Boolean, nullable=False),
    _c("n_detections", Integer, nullable=False),
    _c("in_test_sample", Boolean, nullable=False),
    key=("source_id",),
)

hypothesis_property = _run_table(
    "hypothesis_property",
    "The properties that need a counterpart, for every hypothesis that is probable enough",
    _c("source_id", BigInteger, nullable=False),
    _c("rank", SmallInteger, nullable=False),
    _c("p_hypothesis", FLOAT, nullable=False),
    *_floats(*(entry["name"] for entry in property_entries() if entry.get("counterpart"))),
    *_probability("p_hypothesis"),
    key=("source_id", "rank"),
)

label = _run_table(
    "label",
    "Sources found in reference catalogues: one row a source and reference object, conflicts kept",
    _c("source_id", BigInteger, nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("object_id", BigInteger, nullable=False),
    _c("class", Text),
    _c("class_native", Text),
    _c("origin", Text, nullable=False),
    _c("sep_arcsec", DOUBLE, nullable=False),
    _c("status", Text, nullable=False),
    CheckConstraint("status IN ('used', 'duplicate', 'conflict', 'unmapped')", name="status"),
    *_not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)

out_of_fold = _run_table(
    "out_of_fold",
    "Posterior of each labelled source from tables that were fitted without it",
    _c("source_id", BigInteger, nullable=False),
    _c("class", Text, nullable=False),
    _c("fold", SmallInteger, nullable=False),
    _c("p", ARRAY(REAL), nullable=False),
    _c("outlier", FLOAT, nullable=False),
    *_probabilities(),
    *_not_negative("outlier"),
    key=("source_id",),
)

evaluation = _run_table(
    "evaluation",
    "What every method answered for every labelled source (of a table of one's own: every row), by what the other folds"
    " taught it",
    _c("source_id", BigInteger, nullable=False),
    _c("method", Text, nullable=False),
    _c("seed", Integer, nullable=False),
    _c("folds", Text, nullable=False),
    _c("class", Text, nullable=False),
    _c("fold", SmallInteger, nullable=False),
    _c("p", ARRAY(REAL), nullable=False),
    *_probabilities(),
    CheckConstraint("folds IN ('source', 'sky')", name="folds"),
    key=("source_id", "method", "seed", "folds"),
)

classification = _run_table(
    "classification",
    "The class of every source, with the evidence",
    _c("source_id", BigInteger, nullable=False),
    _c("class_id", SmallInteger, nullable=False),
    _c("p", ARRAY(REAL), nullable=False),
    _c("margin", FLOAT, nullable=False),
    _c("outlier", FLOAT, nullable=False),
    _c("p_tail", FLOAT, nullable=False),
    _c("is_outlier", Boolean, nullable=False),
    _c("n_missing", SmallInteger, nullable=False),
    _c("class_without", ARRAY(SmallInteger), nullable=False),
    _c("in_test_sample", Boolean, nullable=False),
    _c("evidence", ARRAY(REAL), nullable=False),
    *_probabilities(),
    *_probability("margin", "p_tail"),
    *_not_negative("outlier"),
    key=("source_id",),
)

RUN_TABLES = {
    t.name: t
    for t in (
        source, source_detection, master, master_source, source_link, match, match_candidate, hypothesis, property_,
        hypothesis_property, label, out_of_fold, evaluation, classification,
    )
}  # fmt: skip

# --- what a match learned: a few ten thousand rows a run, immutable ---------------------------------------------

magnitude_prior = Table(
    "magnitude_prior",
    metadata,
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("term", Text, nullable=False),
    _c("source_kind", SmallInteger, nullable=False),
    _c("part", SmallInteger, nullable=False),
    _c("n_sources", Integer, nullable=False),
    _c("bin_low", DOUBLE, nullable=False),
    _c("bin_high", DOUBLE, nullable=False),
    _c("density_counterparts", DOUBLE, nullable=False),
    _c("density_field", DOUBLE, nullable=False),
    _c("log_ratio", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id", "term", "source_kind", "bin_low"),
    comment="Magnitudes and colours of counterparts against those of field objects, as a match run learned them",
)

calibration = Table(
    "calibration",
    metadata,
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("part", SmallInteger, nullable=False),
    _c("cutoff", DOUBLE, nullable=False),
    _c("is_chosen", Boolean, nullable=False),
    _c("n_sources", Integer, nullable=False),
    _c("n_sources_above", Integer, nullable=False),
    _c("n_shifted", Integer, nullable=False),
    _c("n_shifted_above", Integer, nullable=False),
    _c("false_rate", DOUBLE, nullable=False),
    _c("contamination", DOUBLE),
    _c("density_low_per_deg2", DOUBLE, nullable=False),
    _c("density_high_per_deg2", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id", "part", "cutoff", "is_chosen"),
    *_probability("false_rate", "cutoff"),
    comment="False matches at shifted positions against p_any, by catalogue (0: all together) and part (0: all)",
)

field_offset = Table(
    "field_offset",
    metadata,
    _c("run_id", Integer, ForeignKey("run.run_id"), nullable=False),
    _c("catalogue_id", SmallInteger, nullable=False),
    _c("obs_id", Text(collation="C"), nullable=False),
    _c("n_secure", Integer, nullable=False),
    _c("offset_ra_arcsec", DOUBLE, nullable=False),
    _c("offset_dec_arcsec", DOUBLE, nullable=False),
    _c("offset_err_arcsec", DOUBLE, nullable=False),
    _c("rotation_deg", DOUBLE, nullable=False),
    _c("rotation_err_deg", DOUBLE, nullable=False),
    PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id"),
    comment="Offset and rotation of X-ray fields against their secure counterparts, where a match run fitted them",
)

# --- the model: a few rows a run, immutable ---------------------------------------------------------------

model = Table(
    "model",
    metadata,
    _c("run_id", Integer, ForeignKey("run.run_id"), primary_key=True),
    _c("classes", ARRAY(Text), nullable=False),
    _c("priors", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("n_reference", ARRAY(Integer), nullable=False),
    _c("categories", ARRAY(Text), nullable=False),
    _c("weights", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("properties", ARRAY(Text), nullable=False),
    _c("sharpness", DOUBLE, nullable=False),
    _c("offsets", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("terms", ARRAY(Text), nullable=False),
    _c("term_category", ARRAY(Text), nullable=False),
    _c("weighting", Text, nullable=False),
    _c("smoothing", DOUBLE, nullable=False),
    _c("outlier_p", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("outlier_levels", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("inverse_ridge", DOUBLE),
    CheckConstraint("weighting IN ('equal', 'given', 'category', 'property')", name="weighting"),
    CheckConstraint("0 <= ALL (weights) AND 'Infinity' > ALL (weights)", name="weights"),
    CheckConstraint("0 < ALL (priors) AND 1 >= ALL (priors)", name="priors"),
    CheckConstraint("cardinality(terms) = cardinality(term_category)", name="terms"),
    *_positive("sharpness", "smoothing", "inverse_ridge"),
    comment="What a fit run made: classes, priors, weights; its tables are in likelihood_table",
)

likelihood_table = Table(
    "likelihood_table",
    metadata,
    _c("run_id", Integer, ForeignKey("model.run_id", ondelete="CASCADE"), nullable=False),
    _c("property", Text, nullable=False),
    _c("axes", ARRAY(Text), nullable=False),
    _c("scales", ARRAY(Text), nullable=False),
    _c("category", Text, nullable=False),
    _c("class", Text, nullable=False),
    _c("grid", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("grid_2", ARRAY(DOUBLE_PRECISION)),
    _c("log_density", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("log_smeared", ARRAY(DOUBLE_PRECISION)),
    _c("log_atoms", ARRAY(DOUBLE_PRECISION)),
    _c("log_above", ARRAY(DOUBLE_PRECISION)),
    _c("tail_slope", DOUBLE, nullable=False),
    _c("mixing", ARRAY(DOUBLE_PRECISION), nullable=False),
    _c("log_present", DOUBLE, nullable=False),
    _c("log_missing", DOUBLE, nullable=False),
    _c("bandwidth", DOUBLE),
    _c("typical_error", DOUBLE),
    _c("n_present", DOUBLE, nullable=False),
    _c("error_column", Text),
    _c("limit_column", Text),
    _c("observed_column", Text),
    PrimaryKeyConstraint("run_id", "property", "class"),
    *_not_negative("tail_slope"),
    CheckConstraint("cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)", name="axes"),
    CheckConstraint("'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)", name="mixing"),
    CheckConstraint("log_present <= 0 AND log_missing <= 0", name="presence"),
    comment="The density of a property in a class, or of two properties beside the product of both, as a table on a"
    " grid",
)

__all__ = ["CATALOGUE_TABLES", "RUN_TABLES", "SCHEMA", "metadata"]

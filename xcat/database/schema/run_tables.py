"""What the stages made, source by source: one partition a run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, REAL

from xcat.columns.registry import property_columns, property_entries
from xcat.database.schema.catalogue_tables import SPECTRUM, XRAY_FLUXES
from xcat.database.schema.parts import (
    DOUBLE,
    FLOAT,
    NAME_KEY,
    column,
    ellipse,
    floats,
    not_negative,
    position,
    probabilities,
    probability,
    run_table,
)

source = run_table(
    "source",
    "X-ray sources of one mission, made of its detections",
    column("source_id", BigInteger, nullable=False),
    column("catalogue_id", SmallInteger, nullable=False),
    column("name", Text, nullable=False),
    *position(),
    *ellipse(),
    column("glon", DOUBLE, nullable=False),
    column("glat", DOUBLE, nullable=False),
    column("epoch_yr", DOUBLE),
    column("mjd_first", DOUBLE),
    column("mjd_last", DOUBLE),
    column("n_detections", Integer, nullable=False),
    *floats(*XRAY_FLUXES, "flux_low_kev", "flux_high_kev", "flux_std_cgs", *SPECTRUM),
    *floats("flux_ratio", "flux_ratio_low", "p_variable"),
    *floats("p_variable_long", "extent_arcsec"),
    column("quality_flag", Integer),
    Index("source_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
    Index("source_name_key_idx", text(NAME_KEY)),
    *probability("p_variable", "p_variable_long"),
    key=("source_id",),
)

source_detection = run_table(
    "source_detection",
    "Which detections a source is made of",
    column("source_id", BigInteger, nullable=False),
    column("catalogue_id", SmallInteger, nullable=False),
    column("object_id", BigInteger, nullable=False),
    key=("source_id", "object_id"),
)

master = run_table(
    "master",
    "Sources of several missions that are one, with their fluxes in one band",
    column("master_id", BigInteger, nullable=False),
    *position(),
    column("n_missions", SmallInteger, nullable=False),
    column("n_sources", SmallInteger, nullable=False),
    column("n_detections", Integer, nullable=False),
    column("n_upper_limits", Integer, nullable=False),
    column("is_ambiguous", Boolean, nullable=False),
    column("mjd_first", DOUBLE),
    column("mjd_last", DOUBLE),
    *floats("flux_std_min_cgs", "flux_std_max_cgs", "flux_ratio", "flux_ratio_low", "flux_ratio_sigma"),
    Index("master_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
    key=("master_id",),
)

master_source = run_table(
    "master_source",
    "Which sources a master source is made of",
    column("source_id", BigInteger, nullable=False),
    column("master_id", BigInteger, nullable=False),
    column("status", Text, nullable=False),
    CheckConstraint("status IN ('single', 'linked', 'ambiguous')", name="status"),
    Index(None, "master_id"),
    key=("source_id",),
)

source_link = run_table(
    "source_link",
    "Every pair of sources of two missions that is close enough to be one, and what was made of it",
    column("source_id", BigInteger, nullable=False),
    column("other_source_id", BigInteger, nullable=False),
    column("sep_arcsec", DOUBLE, nullable=False),
    column("log_bayes_factor", DOUBLE, nullable=False),
    column("status", Text, nullable=False),
    column("reason", Text, nullable=False),
    CheckConstraint("source_id < other_source_id", name="order"),
    CheckConstraint("status IN ('accepted', 'ambiguous', 'rejected')", name="status"),
    *not_negative("sep_arcsec"),
    key=("source_id", "other_source_id"),
)

match = run_table(
    "match",
    "Whether a source has a counterpart in a catalogue",
    column("source_id", BigInteger, nullable=False),
    column("catalogue_id", SmallInteger, nullable=False),
    column("n_candidates", Integer, nullable=False),
    column("density_per_deg2", DOUBLE, nullable=False),
    column("completeness", FLOAT, nullable=False),
    column("p_any", FLOAT, nullable=False),
    column("accepted", Boolean, nullable=False),
    *probability("p_any", "completeness"),
    *not_negative("density_per_deg2"),
    key=("source_id", "catalogue_id"),
)

match_candidate = run_table(
    "match_candidate",
    "Every catalogue object within the search radius of a source",
    column("source_id", BigInteger, nullable=False),
    column("catalogue_id", SmallInteger, nullable=False),
    column("object_id", BigInteger, nullable=False),
    column("sep_arcsec", DOUBLE, nullable=False),
    column("log_bayes_factor", DOUBLE, nullable=False),
    column("p_i", FLOAT, nullable=False),
    column("is_best", Boolean, nullable=False),
    *probability("p_i"),
    *not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)

hypothesis = run_table(
    "hypothesis",
    "What a source may be in the counterpart catalogues together: combinations of one object of each or none, most"
    " probable first, rank 0 being none in any",
    column("source_id", BigInteger, nullable=False),
    column("rank", SmallInteger, nullable=False),
    column("catalogues", ARRAY(SmallInteger), nullable=False),
    column("objects", ARRAY(BigInteger), nullable=False),
    column("log_bayes_factor", DOUBLE, nullable=False),
    column("p_hypothesis", FLOAT, nullable=False),
    column("p_i", FLOAT),
    column("match_flag", SmallInteger, nullable=False),
    *probability("p_hypothesis", "p_i"),
    CheckConstraint("cardinality(catalogues) = cardinality(objects)", name="members"),
    CheckConstraint("match_flag IN (0, 1, 2)", name="match_flag"),
    key=("source_id", "rank"),
)

property_ = run_table(
    "property",
    "The properties of the method, one row a source; missing is NULL",
    column("source_id", BigInteger, nullable=False),
    *floats(*(entry["name"] for entry in property_entries())),
    *floats(*property_columns("error"), *property_columns("limit")),
    *(column(name, Boolean, nullable=False) for name in property_columns("observed")),
    column("has_optical", Boolean, nullable=False),
    column("has_infrared", Boolean, nullable=False),
    column("has_spectrum", Boolean, nullable=False),
    column("n_detections", Integer, nullable=False),
    column("is_classifiable", Boolean, nullable=False),
    key=("source_id",),
)

hypothesis_property = run_table(
    "hypothesis_property",
    "The properties that need a counterpart, for every hypothesis that is probable enough",
    column("source_id", BigInteger, nullable=False),
    column("rank", SmallInteger, nullable=False),
    column("p_hypothesis", FLOAT, nullable=False),
    *floats(*(entry["name"] for entry in property_entries() if entry.get("counterpart"))),
    *probability("p_hypothesis"),
    key=("source_id", "rank"),
)

label = run_table(
    "label",
    "Sources found in reference catalogues: one row a source and reference object, conflicts kept",
    column("source_id", BigInteger, nullable=False),
    column("catalogue_id", SmallInteger, nullable=False),
    column("object_id", BigInteger, nullable=False),
    column("class", Text),
    column("class_native", Text),
    column("origin", Text, nullable=False),
    column("sep_arcsec", DOUBLE, nullable=False),
    column("status", Text, nullable=False),
    CheckConstraint("status IN ('used', 'duplicate', 'conflict', 'unmapped')", name="status"),
    *not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)


def _answer() -> list[Any]:
    """Columns and checks of what the classifier says of a source, by the whole model or out of fold."""
    return [
        column("class", Text, nullable=False),
        column("p", ARRAY(REAL), nullable=False),
        column("margin", FLOAT, nullable=False),
        column("outlier", FLOAT, nullable=False),
        column("p_tail", FLOAT, nullable=False),
        column("is_outlier", Boolean, nullable=False),
        column("n_missing", SmallInteger, nullable=False),
        column("alternative", Text, nullable=False),
        column("is_classifiable", Boolean, nullable=False),
        column("evidence", ARRAY(REAL), nullable=False),
        *probabilities(),
        *probability("margin", "p_tail"),
        *not_negative("outlier"),
    ]


out_of_fold = run_table(
    "out_of_fold",
    "The class of each labelled source, with the evidence, by tables that were fitted without it",
    column("source_id", BigInteger, nullable=False),
    column("known_class", Text, nullable=False),
    column("fold", SmallInteger, nullable=False),
    *_answer(),
    key=("source_id",),
)

evaluation = run_table(
    "evaluation",
    "What every method answered for every labelled source (of a table of one's own: every row), by what the other folds"
    " taught it",
    column("source_id", BigInteger, nullable=False),
    column("method", Text, nullable=False),
    column("seed", Integer, nullable=False),
    column("folds", Text, nullable=False),
    column("class", Text, nullable=False),
    column("fold", SmallInteger, nullable=False),
    column("p", ARRAY(REAL), nullable=False),
    *probabilities(),
    CheckConstraint("folds IN ('source', 'sky')", name="folds"),
    key=("source_id", "method", "seed", "folds"),
)

classification = run_table(
    "classification",
    "The class of every source, with the evidence; by tables that have seen the labelled ones",
    column("source_id", BigInteger, nullable=False),
    *_answer(),
    key=("source_id",),
)

RUN_TABLES = {
    t.name: t
    for t in (
        source, source_detection, master, master_source, source_link, match, match_candidate, hypothesis, property_,
        hypothesis_property, label, out_of_fold, evaluation, classification,
    )
}  # fmt: skip

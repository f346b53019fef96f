"""What the stages made, source by source: one partition per run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from xcat.columns.registry import property_columns, property_entries
from xcat.database.schema.catalogue_tables import SPECTRUM, XRAY_FLUXES
from xcat.database.schema.parts import (
    BY_RUN,
    DOUBLE,
    FLOAT,
    FLOATS,
    NAME_KEY,
    ellipse,
    not_negative,
    one_of,
    optional,
    partitioned,
    position,
    probabilities,
    probability,
    required,
    run_table,
    sky_index,
)

source = run_table(
    "source",
    "X-ray sources of one mission, made of its detections",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "catalogue_id"),
    *required(Text, "name"),
    *position(),
    *ellipse(),
    *required(DOUBLE, "glon", "glat"),
    *optional(DOUBLE, "epoch_yr", "mjd_first", "mjd_last"),
    *required(Integer, "n_detections"),
    *optional(FLOAT, *XRAY_FLUXES, "flux_low_kev", "flux_high_kev", "flux_std_cgs", *SPECTRUM),
    *optional(FLOAT, "flux_ratio", "flux_ratio_low", "p_variable", "p_variable_long", "extent_arcsec"),
    *optional(Integer, "quality_flag"),
    sky_index("source"),
    Index("source_name_key_idx", text(NAME_KEY)),
    *probability("p_variable", "p_variable_long"),
    key=("source_id",),
)

source_detection = run_table(
    "source_detection",
    "Which detections a source is made of",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "catalogue_id"),
    *required(BigInteger, "object_id"),
    key=("source_id", "object_id"),
)

master = run_table(
    "master",
    "Sources of several missions that are one, with their fluxes in one band",
    *required(BigInteger, "master_id"),
    *position(),
    *required(SmallInteger, "n_missions", "n_sources"),
    *required(Integer, "n_detections", "n_upper_limits"),
    *required(Boolean, "is_ambiguous"),
    *optional(DOUBLE, "mjd_first", "mjd_last"),
    *optional(FLOAT, "flux_std_min_cgs", "flux_std_max_cgs", "flux_ratio", "flux_ratio_low", "flux_ratio_sigma"),
    sky_index("master"),
    key=("master_id",),
)

master_source = run_table(
    "master_source",
    "Which sources a master source is made of",
    *required(BigInteger, "source_id", "master_id"),
    *one_of("status", "single", "linked", "ambiguous"),
    Index(None, "master_id"),
    key=("source_id",),
)

source_link = run_table(
    "source_link",
    "Every pair of sources of two missions that is close enough to be one, and what was made of it",
    *required(BigInteger, "source_id", "other_source_id"),
    *required(DOUBLE, "sep_arcsec", "log_bayes_factor"),
    *one_of("status", "accepted", "ambiguous", "rejected"),
    *required(Text, "reason"),
    CheckConstraint("source_id < other_source_id", name="order"),
    *not_negative("sep_arcsec"),
    key=("source_id", "other_source_id"),
)

match = run_table(
    "match",
    "Whether a source has a counterpart in a catalogue",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "catalogue_id"),
    *required(Integer, "n_candidates"),
    *required(DOUBLE, "density_per_deg2"),
    *required(FLOAT, "completeness", "p_any"),
    *required(Boolean, "accepted"),
    *probability("p_any", "completeness"),
    *not_negative("density_per_deg2"),
    key=("source_id", "catalogue_id"),
)

match_candidate = run_table(
    "match_candidate",
    "Every catalogue object within the search radius of a source",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "catalogue_id"),
    *required(BigInteger, "object_id"),
    *required(DOUBLE, "sep_arcsec", "log_bayes_factor"),
    *required(FLOAT, "p_i"),
    *required(Boolean, "is_best"),
    *probability("p_i"),
    *not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)

hypothesis = run_table(
    "hypothesis",
    "What a source may be in the counterpart catalogues together: combinations of one object of each or none, most"
    " probable first, rank 0 being none in any",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "rank"),
    *required(ARRAY(SmallInteger), "catalogues"),
    *required(ARRAY(BigInteger), "objects"),
    *required(DOUBLE, "log_bayes_factor"),
    *required(FLOAT, "p_hypothesis"),
    *optional(FLOAT, "p_i"),
    *required(SmallInteger, "match_flag"),
    *probability("p_hypothesis", "p_i"),
    CheckConstraint("cardinality(catalogues) = cardinality(objects)", name="members"),
    CheckConstraint("match_flag IN (0, 1, 2)", name="match_flag"),
    key=("source_id", "rank"),
)

property_ = run_table(
    "property",
    "The properties of the method, one row per source; missing is NULL",
    *required(BigInteger, "source_id"),
    *optional(FLOAT, *(entry["name"] for entry in property_entries())),
    *optional(FLOAT, *property_columns("error"), *property_columns("limit")),
    *required(Boolean, *property_columns("observed"), "has_optical", "has_infrared", "has_spectrum"),
    *required(Integer, "n_detections"),
    *required(Boolean, "is_classifiable"),
    key=("source_id",),
)

hypothesis_property = run_table(
    "hypothesis_property",
    "The properties that need a counterpart, for every hypothesis that is probable enough",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "rank"),
    *required(FLOAT, "p_hypothesis"),
    *optional(FLOAT, *(entry["name"] for entry in property_entries() if entry.get("counterpart"))),
    *probability("p_hypothesis"),
    key=("source_id", "rank"),
)

label = run_table(
    "label",
    "Sources found in reference catalogues: one row per source and reference object, conflicts kept",
    *required(BigInteger, "source_id"),
    *required(SmallInteger, "catalogue_id"),
    *required(BigInteger, "object_id"),
    *optional(Text, "class", "class_native"),
    *required(Text, "origin"),
    *required(DOUBLE, "sep_arcsec"),
    *one_of("status", "used", "duplicate", "conflict", "unmapped"),
    *not_negative("sep_arcsec"),
    key=("source_id", "catalogue_id", "object_id"),
)


def _answer() -> list[Any]:
    """Columns and checks of the classification of a source, by the whole model or out of fold."""
    return [
        *required(Text, "class"),
        *probabilities(),
        *required(FLOAT, "margin", "outlier", "p_tail"),
        *required(Boolean, "is_outlier"),
        *required(SmallInteger, "n_missing"),
        *required(Text, "alternative"),
        *required(Boolean, "is_classifiable"),
        *required(FLOATS, "evidence"),
        *probability("margin", "p_tail"),
        *not_negative("outlier"),
    ]


out_of_fold = run_table(
    "out_of_fold",
    "The class of each labelled source, with the evidence, by tables that were fitted without it",
    *required(BigInteger, "source_id"),
    *required(Text, "known_class"),
    *required(SmallInteger, "fold"),
    *_answer(),
    key=("source_id",),
)

evaluation = run_table(
    "evaluation",
    "What every method answered for every labelled source (of a user's own table: every row) from the other folds",
    *required(BigInteger, "source_id"),
    *required(Text, "method"),
    *required(Integer, "seed"),
    *one_of("folds", "source", "sky"),
    *required(Text, "class"),
    *required(SmallInteger, "fold"),
    *probabilities(),
    key=("source_id", "method", "seed", "folds"),
)

classification = run_table(
    "classification",
    "The class of every source, with the evidence; by tables that have seen the labelled ones",
    *required(BigInteger, "source_id"),
    *_answer(),
    key=("source_id",),
)

RUN_TABLES = partitioned(BY_RUN)

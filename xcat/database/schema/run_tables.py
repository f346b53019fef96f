"""What was ingested, one partition per version of a catalogue; what the stages made of it, one partition per run."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY

from xcat.columns.registry import OF_SOURCE, absorptions, magnitudes, property_columns, property_entries
from xcat.database.schema.parts import (
    BY_CATALOGUE,
    BY_RUN,
    NAME_KEY,
    catalogue_table,
    column,
    ellipse,
    fields,
    nullable,
    one_of,
    partitioned,
    run_table,
    sky_index,
)

_XRAY_FLUXES = nullable(
    f"flux{band}{error}_cgs" for band in ("", "_soft", "_medium", "_hard") for error in ("", "_err")
)
_SPECTRUM = "hr1? hr1_err? hr2? hr2_err? gamma? snr? det_likelihood?"
# of counterparts, in the order of their table
MOTION_AND_MAGNITUDES = nullable(
    ["pmra_mas_yr", "pmdec_mas_yr", "parallax_mas", "parallax_err_mas", "distance_pc", *magnitudes()]
)
# of the master sources and of their members
MASTER_FLUXES = "flux_std_min_cgs? flux_std_max_cgs? flux_ratio? flux_ratio_low? flux_ratio_sigma?"
_OF_CURVES = [name for e in property_entries() if "light_curves" in e for name in (e["name"], e.get("error")) if name]
PROPERTIES = nullable(
    name
    for name in (*(e["name"] for e in property_entries()), *property_columns("error"), *property_columns("limit"))
    if name not in _OF_CURVES
)
# properties that came later are the last columns
OF_LIGHT_CURVES = nullable(_OF_CURVES)
# what the Galaxy takes away from an object behind it
GALACTIC_COLUMN = nullable(["nh_gal_cm2", "ebv_mag", *absorptions()])
OF_COUNTERPARTS = nullable(entry["name"] for entry in property_entries() if entry.get("counterpart"))

detection = catalogue_table(
    "detection",
    "X-ray detections, and sources of catalogues that list sources only, as ingested",
    "source_native_id? name? obs_id? ra dec err_arcsec",
    *ellipse(),
    f"epoch_yr? mjd? exposure_s? {_XRAY_FLUXES} flux_upper_cgs? {_SPECTRUM}",
    "p_variable? p_variable_long? extent_arcsec? quality_flag? n_detections? nh_gal_cm2?",
    nullable(f"source_{name}" for name in OF_SOURCE),
    "flaws?",
)

counterpart = catalogue_table(
    "counterpart",
    "Optical and infrared objects, as ingested",
    "ra dec err_arcsec",
    *ellipse(),
    f"epoch_yr? {MOTION_AND_MAGNITUDES}",
)

galaxy = catalogue_table(
    "galaxy",
    "Galaxies with their isophotal ellipse and distance, as ingested",
    "ra dec distance_mpc? d25_arcmin? axis_ratio? pa_deg?",
)

reference_object = catalogue_table(
    "reference_object",
    "Objects of known class from the literature, as ingested",
    "name? ra dec err_arcsec class? class_native? label_ref?",
)

source = run_table(
    "source",
    "X-ray sources of one mission, made of its detections",
    "source_id catalogue_id name ra dec err_arcsec",
    *ellipse(),
    f"glon glat epoch_yr? mjd_first? mjd_last? n_detections {_XRAY_FLUXES} flux_low_kev? flux_high_kev? flux_std_cgs?",
    f"{_SPECTRUM} flux_ratio? flux_ratio_low? p_variable? p_variable_long? extent_arcsec? quality_flag?",
    "flaws? n_flawed flux_is_doubtful",
    "nh_gal_cm2?",
    sky_index("source"),
    Index("source_name_key_idx", text(NAME_KEY)),
    key="source_id",
)

source_detection = run_table(
    "source_detection",
    "Which detections a source is made of",
    "source_id catalogue_id object_id",
    key="source_id object_id",
)

master = run_table(
    "master",
    "Sources of several missions that are one, with their fluxes in one band",
    "master_id ra dec err_arcsec n_missions",
    column("n_sources", SmallInteger(), nullable=False),
    f"n_detections n_upper_limits is_ambiguous mjd_first? mjd_last? {MASTER_FLUXES}",
    sky_index("master"),
    key="master_id",
)

master_source = run_table(
    "master_source",
    "Which sources a master source is made of",
    "source_id master_id mission_rank",
    *one_of("status", "single linked ambiguous"),
    Index(None, "master_id"),
    key="source_id",
)

source_link = run_table(
    "source_link",
    "Every pair of sources of two missions that is close enough to be one, and what was made of it",
    "source_id other_source_id sep_arcsec log_bayes_factor",
    *one_of("status", "accepted ambiguous rejected"),
    "reason",
    CheckConstraint("source_id < other_source_id", name="order"),
    key="source_id other_source_id",
)

match = run_table(
    "match",
    "Whether a source has a counterpart in a catalogue",
    "source_id catalogue_id n_candidates density_per_deg2 completeness p_any accepted",
    column("covered", nullable=False, server_default="1"),
    CheckConstraint("covered >= 0 AND covered <= 1", name="covered"),
    key="source_id catalogue_id",
)

match_candidate = run_table(
    "match_candidate",
    "Every catalogue object within the search radius of a source",
    "source_id catalogue_id object_id sep_arcsec log_bayes_factor p_i is_best",
    key="source_id catalogue_id object_id",
)

hypothesis = run_table(
    "hypothesis",
    "What a source may be in the counterpart catalogues together: combinations of one object of each or none, most"
    " probable first, rank 0 being none in any",
    "source_id rank",
    column("catalogues", ARRAY(SmallInteger), nullable=False),
    column("objects", ARRAY(BigInteger), nullable=False),
    "log_bayes_factor p_hypothesis p_i? match_flag",
    CheckConstraint("cardinality(catalogues) = cardinality(objects)", name="members"),
    key="source_id rank",
)

property_ = run_table(
    "property",
    "The properties of the method, one row per source; missing is NULL",
    "source_id",
    *fields(PROPERTIES, is_checked=False),
    " ".join(property_columns("observed")),
    "has_optical has_infrared has_spectrum n_detections is_classifiable",
    GALACTIC_COLUMN,
    OF_LIGHT_CURVES,
    key="source_id",
)

hypothesis_property = run_table(
    "hypothesis_property",
    "The properties that need a counterpart, for every hypothesis that is probable enough",
    f"source_id rank p_hypothesis {OF_COUNTERPARTS}",
    key="source_id rank",
)

label = run_table(
    "label",
    "Sources found in reference catalogues: one row per source and reference object, conflicts kept",
    "source_id catalogue_id object_id class? class_native? origin sep_arcsec",
    *one_of("status", "used duplicate conflict unmapped"),
    "class_kind?",
    key="source_id catalogue_id object_id",
)

# the classification of a source, by the whole model or out of fold
_ANSWER = (
    "class p p_err? margin confidence? stability? outlier p_tail is_outlier familiarity? n_missing alternative"
    " is_classifiable evidence"
)

out_of_fold = run_table(
    "out_of_fold",
    "The class of each labelled source, with the evidence, by tables that were fitted without it",
    f"source_id known_class fold {_ANSWER}",
    key="source_id",
)

evaluation = run_table(
    "evaluation",
    "What every method answered for every labelled source (of a user's own table: every row) from the other folds",
    "source_id method seed",
    *one_of("folds", "source sky origin second_origin"),
    "class fold p",
    key="source_id method seed folds",
)

classification = run_table(
    "classification",
    "The class of every source, with the evidence; by tables that have seen the labelled ones",
    f"source_id {_ANSWER}",
    key="source_id",
)

consensus = run_table(
    "consensus",
    "What the votes of volunteers say together of every source that has any, and which ones are to be asked next",
    "source_id answer? p n_votes n_effective is_retired vote_value known_class?",
    key="source_id",
)

volunteer_skill = run_table(
    "volunteer_skill",
    "The confusion matrix of every volunteer: answers by class, row after row",
    "volunteer_id confusion worth n_votes",
    key="volunteer_id",
)

CATALOGUE_TABLES = partitioned(BY_CATALOGUE)
RUN_TABLES = partitioned(BY_RUN)

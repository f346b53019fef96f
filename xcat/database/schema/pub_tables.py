"""What people read: flat tables in the schema ``pub``, one partition for each published run.

``pub.classified_runs`` holds every published run that is kept, ``pub.classified_r12`` is run 12, and the view
``pub.classified`` is the run that is published now (see sql/views and xcat/jobs/publishing.py).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, SmallInteger, Table, TextClause, text

from xcat.columns.registry import property_columns
from xcat.database.schema.parts import (
    BY_BLOCK_OF_RUNS,
    NAME_KEY,
    PUB,
    book,
    column,
    nullable,
    partitioned,
    sky_index,
)
from xcat.database.schema.run_tables import (
    GALACTIC_COLUMN,
    MASTER_FLUXES,
    MOTION_AND_MAGNITUDES,
    OF_COUNTERPARTS,
    OF_LIGHT_CURVES,
    PROPERTIES,
)

ALL_RUNS = "_runs"

# Classes that every published table has a column for; others are added when a model has them.
USUAL_CLASSES = ("AGN", "Star", "XRB", "CV")


def _pub_table(name: str, comment: str, *items: Any, look_up: str = "source_id") -> Table:
    """Make a table of all published runs, with a hash index on each of the columns ``look_up``."""
    return book(
        name + ALL_RUNS,
        comment,
        "run_id",
        *items,
        *(_look_up(f"{name}{ALL_RUNS}_{key}_idx", key) for key in look_up.split()),
        is_checked=False,
        schema=PUB,
        postgresql_partition_by=BY_BLOCK_OF_RUNS,  # see xcat/database/partitions.py
    )


def _look_up(name: str, key: str | TextClause) -> Index:
    """Index for equality.

    A btree would serve, but would slow down joins by position: where such a join also says ``a.source_id <
    b.source_id``, the planner, which takes the ranges of pixels for a tenth of the table each, reads half of the btree
    for every source.
    """
    return Index(name, key, postgresql_using="hash")


classified = _pub_table(
    "classified",
    "Every classified source of every published run: class, probabilities, properties, counterparts",
    "source_id name catalogue ra dec err_arcsec glon glat hpx29 class p_class",
    nullable(f"p_{name.lower()}" for name in USUAL_CLASSES),
    "margin? outlier? p_tail? is_outlier n_missing alternative is_out_of_fold",
    "known_class? origin? is_classifiable in_test_sample n_detections mjd_first? mjd_last? flux_cgs? flux_err_cgs?",
    "flux_low_kev? flux_high_kev? flux_std_cgs? snr? det_likelihood? flux_ratio? flux_ratio_low? extent_arcsec?",
    "quality_flag? master_id? n_missions? is_ambiguous?",
    "optical_catalogue? optical_native_id? optical_sep_arcsec? optical_p_any?",
    "infrared_catalogue? infrared_native_id? infrared_sep_arcsec? infrared_p_any?",
    f"has_optical has_infrared has_spectrum {' '.join(property_columns('observed'))} {PROPERTIES}",
    "is_best_of_master missions_agree other_missions known_class_of_master? flaws? n_flawed flux_is_doubtful",
    nullable(f"p_{name.lower()}_err" for name in ("class", *USUAL_CLASSES)),
    "confidence? stability? familiarity?",
    GALACTIC_COLUMN,
    OF_LIGHT_CURVES,
    sky_index("classified_runs"),
    Index("classified_runs_class_p_class_idx", "class", "p_class"),
    Index("classified_runs_hpx29_idx", "hpx29"),
    _look_up("classified_runs_name_key_idx", text(NAME_KEY)),
    look_up="source_id name",
)

counterparts = _pub_table(
    "counterparts",
    "The accepted counterpart of every source in every catalogue, in every published run",
    "source_id name catalogue kind native_id ra dec sep_arcsec p_any? p_i? n_candidates density_per_deg2",
    MOTION_AND_MAGNITUDES,
    sky_index("counterparts_runs"),
    look_up="source_id native_id",
)

hypotheses = _pub_table(
    "hypotheses",
    "What every source may be in all counterpart catalogues together, in every published run: rank 0 is none of them",
    "source_id name rank p_hypothesis p_i? match_flag log_bayes_factor catalogues objects has_properties",
    OF_COUNTERPARTS,
)

source_evidence = _pub_table(
    "source_evidence",
    "The evidence of every source of every published run, term by term and in each class by class: see pub.evidence",
    "source_id evidence",
)

master_sources = _pub_table(
    "master_sources",
    "One source across missions: every source of every published run with its master source and that one's fluxes",
    "master_id ra dec err_arcsec n_missions",
    column("n_sources", SmallInteger(), nullable=False),
    f"n_detections n_upper_limits is_ambiguous mjd_first? mjd_last? {MASTER_FLUXES}",
    "source_id name catalogue status flux_std_cgs? sep_arcsec mission_rank",
    sky_index("master_sources_runs"),
    look_up="source_id master_id",
)

ulx_candidates = _pub_table(
    "ulx_candidates",
    "Off-nuclear sources in nearby galaxies above 1e39 erg / s, in every published run, with the background AGN"
    " expected beside them",
    "source_id name catalogue ra dec err_arcsec galaxy distance_mpc? sep_arcsec? sep_nucleus_arcsec? sep_to_radius?",
    "log_lx_galaxy? is_hyperluminous flux_std_cgs? flux_cgs? flux_err_cgs? snr? n_detections ellipse_deg2?",
    "n_background? n_as_bright? p_contaminant? class p_class? p_agn? p_xrb? outlier? is_outlier alternative",
    "known_class? origin? extent_arcsec? quality_flag? master_id? n_missions? is_best_of_master missions_agree",
    "other_missions known_class_of_master?",
    sky_index("ulx_candidates_runs"),
)

PUB_TABLES = partitioned(BY_BLOCK_OF_RUNS)

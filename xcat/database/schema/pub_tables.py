"""What people read: flat tables in the schema ``pub``, one partition for each published run.

``pub.classified_runs`` holds every published run that is kept, ``pub.classified_r12`` is run 12, and the view
``pub.classified`` is the run that is published now (see sql/views and xcat/jobs/publishing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, SmallInteger, Table, Text, TextClause, text
from sqlalchemy.dialects.postgresql import ARRAY

from xcat.columns.registry import magnitudes, property_columns, property_entries
from xcat.database.schema.catalogue_tables import MOTION
from xcat.database.schema.parts import (
    BY_BLOCK_OF_RUNS,
    DOUBLE,
    FLOAT,
    FLOATS,
    ID_TEXT,
    NAME_KEY,
    PUB,
    metadata,
    optional,
    partitioned,
    required,
    sky_index,
)

ALL_RUNS = "_runs"

# Classes that every published table has a column for; others are added when a model has them.
USUAL_CLASSES = ("AGN", "Star", "XRB", "CV")


def _pub_table(name: str, comment: str, *items: Any, look_up: Sequence[str] = ("source_id",)) -> Table:
    """Make a table of all published runs, with a hash index on each of the columns ``look_up``."""
    return Table(
        name + ALL_RUNS,
        metadata,
        *required(Integer, "run_id"),
        *items,
        *(_look_up(f"{name}{ALL_RUNS}_{key}_idx", key) for key in look_up),
        comment=comment,
        schema=PUB,
        postgresql_partition_by=BY_BLOCK_OF_RUNS,  # see xcat/database/partitions.py
    )


def _look_up(name: str, key: str | TextClause) -> Index:
    """Index for equality.

    A btree would serve, but would slow down joins by position: for ``q3c_join(...) AND a.source_id < b.source_id`` the
    planner, which takes q3c's ranges for a tenth of the table each, reads half of the btree for every source.
    """
    return Index(name, key, postgresql_using="hash")


classified = _pub_table(
    "classified",
    "Every classified source of every published run: class, probabilities, properties, counterparts",
    *required(BigInteger, "source_id"),
    *required(Text, "name", "catalogue"),
    *required(DOUBLE, "ra", "dec"),
    *required(FLOAT, "err_arcsec"),
    *required(DOUBLE, "glon", "glat"),
    *required(BigInteger, "hpx29"),
    *required(Text, "class"),
    *required(FLOAT, "p_class"),
    *optional(FLOAT, *(f"p_{name.lower()}" for name in USUAL_CLASSES)),
    *optional(FLOAT, "margin", "outlier", "p_tail"),
    *required(Boolean, "is_outlier"),
    *required(SmallInteger, "n_missing"),
    *required(Text, "alternative"),
    *required(Boolean, "is_out_of_fold"),
    *optional(Text, "known_class", "origin"),
    *required(Boolean, "is_classifiable", "in_test_sample"),
    *required(Integer, "n_detections"),
    *optional(DOUBLE, "mjd_first", "mjd_last"),
    *optional(FLOAT, "flux_cgs", "flux_err_cgs", "flux_low_kev", "flux_high_kev", "flux_std_cgs", "snr"),
    *optional(FLOAT, "det_likelihood", "flux_ratio", "flux_ratio_low", "extent_arcsec"),
    *optional(Integer, "quality_flag"),
    *optional(BigInteger, "master_id"),
    *optional(SmallInteger, "n_missions"),
    *optional(Boolean, "is_ambiguous"),
    *optional(Text, "optical_catalogue", "optical_native_id"),
    *optional(DOUBLE, "optical_sep_arcsec"),
    *optional(FLOAT, "optical_p_any"),
    *optional(Text, "infrared_catalogue", "infrared_native_id"),
    *optional(DOUBLE, "infrared_sep_arcsec"),
    *optional(FLOAT, "infrared_p_any"),
    *required(Boolean, "has_optical", "has_infrared", "has_spectrum", *property_columns("observed")),
    *optional(FLOAT, *(entry["name"] for entry in property_entries())),
    *optional(FLOAT, *property_columns("error"), *property_columns("limit")),
    sky_index("classified_runs"),
    Index("classified_runs_class_p_class_idx", "class", "p_class"),
    Index("classified_runs_hpx29_idx", "hpx29"),
    _look_up("classified_runs_name_key_idx", text(NAME_KEY)),
    look_up=("source_id", "name"),
)

counterparts = _pub_table(
    "counterparts",
    "The accepted counterpart of every source in every catalogue, in every published run",
    *required(BigInteger, "source_id"),
    *required(Text, "name", "catalogue", "kind"),
    *required(ID_TEXT, "native_id"),
    *required(DOUBLE, "ra", "dec"),
    *required(DOUBLE, "sep_arcsec"),
    *optional(FLOAT, "p_any", "p_i"),
    *required(Integer, "n_candidates"),
    *required(DOUBLE, "density_per_deg2"),
    *optional(FLOAT, *MOTION, *magnitudes()),
    sky_index("counterparts_runs"),
    look_up=("source_id", "native_id"),
)

hypotheses = _pub_table(
    "hypotheses",
    "What every source may be in all counterpart catalogues together, in every published run: rank 0 is none of them",
    *required(BigInteger, "source_id"),
    *required(Text, "name"),
    *required(SmallInteger, "rank"),
    *required(FLOAT, "p_hypothesis"),
    *optional(FLOAT, "p_i"),
    *required(SmallInteger, "match_flag"),
    *required(DOUBLE, "log_bayes_factor"),
    *required(ARRAY(Text), "catalogues", "objects"),
    *required(Boolean, "has_properties"),
    *optional(FLOAT, *(entry["name"] for entry in property_entries() if entry.get("counterpart"))),
)

source_evidence = _pub_table(
    "source_evidence",
    "The evidence of every source of every published run, term by term and in each class by class: see pub.evidence",
    *required(BigInteger, "source_id"),
    *required(FLOATS, "evidence"),
)

master_sources = _pub_table(
    "master_sources",
    "One source across missions: every source of every published run with its master source and that one's fluxes",
    *required(BigInteger, "master_id"),
    *required(DOUBLE, "ra", "dec"),
    *required(FLOAT, "err_arcsec"),
    *required(SmallInteger, "n_missions", "n_sources"),
    *required(Integer, "n_detections", "n_upper_limits"),
    *required(Boolean, "is_ambiguous"),
    *optional(DOUBLE, "mjd_first", "mjd_last"),
    *optional(FLOAT, "flux_std_min_cgs", "flux_std_max_cgs", "flux_ratio", "flux_ratio_low", "flux_ratio_sigma"),
    *required(BigInteger, "source_id"),
    *required(Text, "name", "catalogue", "status"),
    *optional(FLOAT, "flux_std_cgs"),
    *required(DOUBLE, "sep_arcsec"),
    sky_index("master_sources_runs"),
    look_up=("source_id", "master_id"),
)

ulx_candidates = _pub_table(
    "ulx_candidates",
    "Off-nuclear sources in nearby galaxies above 1e39 erg / s, in every published run, with the background AGN"
    " expected beside them",
    *required(BigInteger, "source_id"),
    *required(Text, "name", "catalogue"),
    *required(DOUBLE, "ra", "dec"),
    *required(FLOAT, "err_arcsec"),
    *required(Text, "galaxy"),
    *optional(FLOAT, "distance_mpc"),
    *optional(DOUBLE, "sep_arcsec", "sep_nucleus_arcsec"),
    *optional(FLOAT, "sep_to_radius", "log_lx_galaxy"),
    *required(Boolean, "is_hyperluminous"),
    *optional(FLOAT, "flux_std_cgs", "flux_cgs", "flux_err_cgs", "snr"),
    *required(Integer, "n_detections"),
    *optional(DOUBLE, "ellipse_deg2", "n_background"),
    *optional(BigInteger, "n_as_bright"),
    *optional(DOUBLE, "p_contaminant"),
    *required(Text, "class"),
    *optional(FLOAT, "p_class", "p_agn", "p_xrb", "outlier"),
    *required(Boolean, "is_outlier"),
    *required(Text, "alternative"),
    *optional(Text, "known_class", "origin"),
    *optional(FLOAT, "extent_arcsec"),
    *optional(Integer, "quality_flag"),
    sky_index("ulx_candidates_runs"),
)

PUB_TABLES = partitioned(BY_BLOCK_OF_RUNS)

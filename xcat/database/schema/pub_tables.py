"""What people read: flat tables in the schema ``pub``, one partition for each published run.

``pub.classified_runs`` holds every published run that is kept, ``pub.classified_r12`` is run 12, and the view
``pub.classified`` is the run that is published now (see sql/views and xcat/jobs/publishing.py).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, SmallInteger, Table, Text, TextClause, text
from sqlalchemy.dialects.postgresql import ARRAY, REAL

from xcat.columns.registry import magnitudes, property_columns, property_entries
from xcat.database.schema.catalogue_tables import MOTION
from xcat.database.schema.parts import DOUBLE, FLOAT, NAME_KEY, PUB, column, floats, metadata

ALL_RUNS = "_runs"

# Classes that every published table has a column for; others are added when a model has them.
USUAL_CLASSES = ("AGN", "Star", "XRB", "CV")


def _pub_table(name: str, comment: str, *items: Any) -> Table:
    return Table(
        name + ALL_RUNS,
        metadata,
        column("run_id", Integer, nullable=False),
        *items,
        comment=comment,
        schema=PUB,
        postgresql_partition_by="RANGE (run_id)",  # in blocks, see xcat/database/partitions.py
    )


def _position() -> list[Any]:
    return [column("ra", DOUBLE, nullable=False), column("dec", DOUBLE, nullable=False)]


def _look_up(name: str, *columns: str | TextClause) -> Index:
    """Index for equality.

    A btree would do that, too, and spoil joins by position: for ``q3c_join(...) AND a.source_id < b.source_id`` the
    planner, which takes q3c's ranges for a tenth of the table each, reads half of the btree for every source.
    """
    return Index(name, *columns, postgresql_using="hash")


def _on_the_sky(name: str) -> list[Index]:
    return [
        Index(f"{name}{ALL_RUNS}_q3c_idx", text("public.q3c_ang2ipix(ra, dec)")),
        _look_up(f"{name}{ALL_RUNS}_source_id_idx", "source_id"),
    ]


classified = _pub_table(
    "classified",
    "Every classified source of every published run: class, probabilities, properties, counterparts",
    column("source_id", BigInteger, nullable=False),
    column("name", Text, nullable=False),
    column("catalogue", Text, nullable=False),
    *_position(),
    column("err_arcsec", FLOAT, nullable=False),
    column("glon", DOUBLE, nullable=False),
    column("glat", DOUBLE, nullable=False),
    column("hpx29", BigInteger, nullable=False),
    column("class", Text, nullable=False),
    column("p_class", FLOAT, nullable=False),
    *floats(*(f"p_{name.lower()}" for name in USUAL_CLASSES)),
    *floats("margin", "outlier", "p_tail"),
    column("is_outlier", Boolean, nullable=False),
    column("n_missing", SmallInteger, nullable=False),
    column("alternative", Text, nullable=False),
    column("is_out_of_fold", Boolean, nullable=False),
    column("known_class", Text),
    column("origin", Text),
    column("is_classifiable", Boolean, nullable=False),
    column("in_test_sample", Boolean, nullable=False),
    column("n_detections", Integer, nullable=False),
    column("mjd_first", DOUBLE),
    column("mjd_last", DOUBLE),
    *floats("flux_cgs", "flux_err_cgs", "flux_low_kev", "flux_high_kev", "flux_std_cgs", "snr", "det_likelihood"),
    *floats("flux_ratio", "flux_ratio_low", "extent_arcsec"),
    column("quality_flag", Integer),
    column("master_id", BigInteger),
    column("n_missions", SmallInteger),
    column("is_ambiguous", Boolean),
    *(
        item
        for kind in ("optical", "infrared")
        for item in (
            column(f"{kind}_catalogue", Text),
            column(f"{kind}_native_id", Text),
            column(f"{kind}_sep_arcsec", DOUBLE),
            column(f"{kind}_p_any", FLOAT),
        )
    ),
    column("has_optical", Boolean, nullable=False),
    column("has_infrared", Boolean, nullable=False),
    column("has_spectrum", Boolean, nullable=False),
    *(column(name, Boolean, nullable=False) for name in property_columns("observed")),
    *floats(*(entry["name"] for entry in property_entries())),
    *floats(*property_columns("error"), *property_columns("limit")),
    *_on_the_sky("classified"),
    Index("classified_runs_class_p_class_idx", "class", "p_class"),
    Index("classified_runs_hpx29_idx", "hpx29"),
    _look_up("classified_runs_name_idx", "name"),
    _look_up("classified_runs_name_key_idx", text(NAME_KEY)),
)

counterparts = _pub_table(
    "counterparts",
    "The accepted counterpart of every source in every catalogue, in every published run",
    column("source_id", BigInteger, nullable=False),
    column("name", Text, nullable=False),
    column("catalogue", Text, nullable=False),
    column("kind", Text, nullable=False),
    column("native_id", Text(collation="C"), nullable=False),
    *_position(),
    column("sep_arcsec", DOUBLE, nullable=False),
    *floats("p_any", "p_i"),
    column("n_candidates", Integer, nullable=False),
    column("density_per_deg2", DOUBLE, nullable=False),
    *floats(*MOTION, *magnitudes()),
    *_on_the_sky("counterparts"),
    _look_up("counterparts_runs_native_id_idx", "native_id"),
)

hypotheses = _pub_table(
    "hypotheses",
    "What every source may be in all counterpart catalogues together, in every published run: rank 0 is none of them",
    column("source_id", BigInteger, nullable=False),
    column("name", Text, nullable=False),
    column("rank", SmallInteger, nullable=False),
    column("p_hypothesis", FLOAT, nullable=False),
    column("p_i", FLOAT),
    column("match_flag", SmallInteger, nullable=False),
    column("log_bayes_factor", DOUBLE, nullable=False),
    column("catalogues", ARRAY(Text), nullable=False),
    column("objects", ARRAY(Text), nullable=False),
    column("has_properties", Boolean, nullable=False),
    *floats(*(entry["name"] for entry in property_entries() if entry.get("counterpart"))),
    _look_up("hypotheses_runs_source_id_idx", "source_id"),
)

source_evidence = _pub_table(
    "source_evidence",
    "The evidence of every source of every published run, term by term and in each class by class: see pub.evidence",
    column("source_id", BigInteger, nullable=False),
    column("evidence", ARRAY(REAL), nullable=False),
    _look_up("source_evidence_runs_source_id_idx", "source_id"),
)

master_sources = _pub_table(
    "master_sources",
    "One source across missions: every source of every published run with its master source and that one's fluxes",
    column("master_id", BigInteger, nullable=False),
    *_position(),
    column("err_arcsec", FLOAT, nullable=False),
    column("n_missions", SmallInteger, nullable=False),
    column("n_sources", SmallInteger, nullable=False),
    column("n_detections", Integer, nullable=False),
    column("n_upper_limits", Integer, nullable=False),
    column("is_ambiguous", Boolean, nullable=False),
    column("mjd_first", DOUBLE),
    column("mjd_last", DOUBLE),
    *floats("flux_std_min_cgs", "flux_std_max_cgs", "flux_ratio", "flux_ratio_low", "flux_ratio_sigma"),
    column("source_id", BigInteger, nullable=False),
    column("name", Text, nullable=False),
    column("catalogue", Text, nullable=False),
    column("status", Text, nullable=False),
    column("flux_std_cgs", FLOAT),
    column("sep_arcsec", DOUBLE, nullable=False),
    *_on_the_sky("master_sources"),
    _look_up("master_sources_runs_master_id_idx", "master_id"),
)

ulx_candidates = _pub_table(
    "ulx_candidates",
    "Off-nuclear sources in nearby galaxies above 1e39 erg / s, in every published run, with the background AGN"
    " expected beside them",
    column("source_id", BigInteger, nullable=False),
    column("name", Text, nullable=False),
    column("catalogue", Text, nullable=False),
    *_position(),
    column("err_arcsec", FLOAT, nullable=False),
    column("galaxy", Text, nullable=False),
    column("distance_mpc", FLOAT),
    column("sep_arcsec", DOUBLE),
    column("sep_nucleus_arcsec", DOUBLE),
    *floats("sep_to_radius", "log_lx_galaxy"),
    column("is_hyperluminous", Boolean, nullable=False),
    *floats("flux_std_cgs", "flux_cgs", "flux_err_cgs", "snr"),
    column("n_detections", Integer, nullable=False),
    column("ellipse_deg2", DOUBLE),
    column("n_background", DOUBLE),
    column("n_as_bright", BigInteger),
    column("p_contaminant", DOUBLE),
    column("class", Text, nullable=False),
    *floats("p_class", "p_agn", "p_xrb", "outlier"),
    column("is_outlier", Boolean, nullable=False),
    column("alternative", Text, nullable=False),
    column("known_class", Text),
    column("origin", Text),
    column("extent_arcsec", FLOAT),
    column("quality_flag", Integer),
    *_on_the_sky("ulx_candidates"),
)

PUB_TABLES = {
    t.name: t for t in (classified, counterparts, hypotheses, source_evidence, master_sources, ulx_candidates)
}

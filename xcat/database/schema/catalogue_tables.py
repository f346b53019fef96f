"""What was ingested: one partition a catalogue."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Integer, Text

from xcat.columns.registry import magnitudes
from xcat.database.schema.parts import DOUBLE, FLOAT, catalogue_table, column, ellipse, floats, position, probability

XRAY_FLUXES = [
    "flux_cgs", "flux_err_cgs", "flux_soft_cgs", "flux_soft_err_cgs", "flux_medium_cgs",
    "flux_medium_err_cgs", "flux_hard_cgs", "flux_hard_err_cgs",
]  # fmt: skip
SPECTRUM = ["hr1", "hr1_err", "hr2", "hr2_err", "gamma", "snr", "det_likelihood"]
MOTION = ["pmra_mas_yr", "pmdec_mas_yr", "parallax_mas", "parallax_err_mas", "distance_pc"]

detection = catalogue_table(
    "detection",
    "X-ray detections, and sources of catalogues that list sources only, as ingested",
    column("source_native_id", Text(collation="C")),
    column("name", Text),
    column("obs_id", Text(collation="C")),
    *position(),
    *ellipse(),
    column("epoch_yr", DOUBLE),
    column("mjd", DOUBLE),
    column("exposure_s", FLOAT),
    *floats(*XRAY_FLUXES, "flux_upper_cgs", *SPECTRUM, "p_variable", "p_variable_long", "extent_arcsec"),
    column("quality_flag", Integer),
    column("n_detections", Integer),
    *probability("p_variable", "p_variable_long"),
)

counterpart = catalogue_table(
    "counterpart",
    "Optical and infrared objects, as ingested",
    *position(),
    *ellipse(),
    column("epoch_yr", DOUBLE),
    *floats(*MOTION, *magnitudes()),
)

galaxy = catalogue_table(
    "galaxy",
    "Galaxies with their isophotal ellipse and distance, as ingested",
    *position(err=False),
    *floats("distance_mpc", "d25_arcmin", "axis_ratio", "pa_deg"),
    CheckConstraint("d25_arcmin >= 0 AND d25_arcmin < 1200", name="d25_arcmin"),
    CheckConstraint("axis_ratio > 0 AND axis_ratio <= 1", name="axis_ratio"),
)

reference_object = catalogue_table(
    "reference_object",
    "Objects of known class from the literature, as ingested",
    column("name", Text),
    *position(),
    column("class", Text),
    column("class_native", Text),
)

CATALOGUE_TABLES = {t.name: t for t in (detection, counterpart, galaxy, reference_object)}

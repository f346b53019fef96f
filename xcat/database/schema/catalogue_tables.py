"""What was ingested: one partition per version of a catalogue."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Integer, Text

from xcat.columns.registry import magnitudes
from xcat.database.schema.parts import (
    BY_CATALOGUE,
    DOUBLE,
    FLOAT,
    ID_TEXT,
    catalogue_table,
    ellipse,
    optional,
    partitioned,
    position,
    probability,
)

XRAY_FLUXES = [f"flux{band}{error}_cgs" for band in ("", "_soft", "_medium", "_hard") for error in ("", "_err")]
SPECTRUM = ["hr1", "hr1_err", "hr2", "hr2_err", "gamma", "snr", "det_likelihood"]
MOTION = ["pmra_mas_yr", "pmdec_mas_yr", "parallax_mas", "parallax_err_mas", "distance_pc"]

detection = catalogue_table(
    "detection",
    "X-ray detections, and sources of catalogues that list sources only, as ingested",
    *optional(ID_TEXT, "source_native_id"),
    *optional(Text, "name"),
    *optional(ID_TEXT, "obs_id"),
    *position(),
    *ellipse(),
    *optional(DOUBLE, "epoch_yr", "mjd"),
    *optional(FLOAT, "exposure_s"),
    *optional(FLOAT, *XRAY_FLUXES, "flux_upper_cgs", *SPECTRUM, "p_variable", "p_variable_long", "extent_arcsec"),
    *optional(Integer, "quality_flag", "n_detections"),
    *probability("p_variable", "p_variable_long"),
)

counterpart = catalogue_table(
    "counterpart",
    "Optical and infrared objects, as ingested",
    *position(),
    *ellipse(),
    *optional(DOUBLE, "epoch_yr"),
    *optional(FLOAT, *MOTION, *magnitudes()),
)

galaxy = catalogue_table(
    "galaxy",
    "Galaxies with their isophotal ellipse and distance, as ingested",
    *position(err=False),
    *optional(FLOAT, "distance_mpc", "d25_arcmin", "axis_ratio", "pa_deg"),
    CheckConstraint("d25_arcmin >= 0 AND d25_arcmin < 1200", name="d25_arcmin"),
    CheckConstraint("axis_ratio > 0 AND axis_ratio <= 1", name="axis_ratio"),
)

reference_object = catalogue_table(
    "reference_object",
    "Objects of known class from the literature, as ingested",
    *optional(Text, "name"),
    *position(),
    *optional(Text, "class", "class_native"),
)

CATALOGUE_TABLES = partitioned(BY_CATALOGUE)

"""Rows that no reader can use, as in real catalogues; the manifest lists how many."""

import numpy as np

from xcat.simulate.write import Columns

# Reasons why a row cannot be used, as the ingest stage words them.
DECLINATION = "declination outside -90 to 90 degrees"
NO_POSITION = "no position"
DUPLICATE_ID = "duplicate id"
NOT_A_NUMBER = "not a number"

# Number of rows of each file by reason.
SPOILT: dict[str, dict[str, int]] = {
    "xmm_detections.fits": {DECLINATION: 3, NO_POSITION: 2, DUPLICATE_ID: 2},
    "swift_detections.csv.gz": {DECLINATION: 2, NO_POSITION: 2, DUPLICATE_ID: 1, NOT_A_NUMBER: 2},
    "chandra_detections.csv.gz": {DECLINATION: 1, NO_POSITION: 2, DUPLICATE_ID: 1, NOT_A_NUMBER: 2},
    "gaia.fits": {DECLINATION: 1, NO_POSITION: 1, DUPLICATE_ID: 2},
    "ref_cv.csv": {NO_POSITION: 2},
}
# Its columns: identifier, position, and a number that can be turned into text (CSV only).
_COLUMNS: dict[str, tuple[str, tuple[str, str], str]] = {
    "xmm_detections.fits": ("DETID", ("RA", "DEC"), ""),
    "swift_detections.csv.gz": ("DetectionID", ("RA", "Decl"), "Rate"),
    "chandra_detections.csv.gz": ("obs_region_id", ("ra_deg", "dec_deg"), "obs_flux_aper90_b"),
    "gaia.fits": ("Source", ("RA_ICRS", "DE_ICRS"), ""),
    "ref_cv.csv": ("name", ("ra", "dec"), ""),
}


def spoil(rng: np.random.Generator, file_name: str, columns: Columns) -> Columns:
    """Insert the bad rows of a file at random places: copies of good rows with one error.

    A duplicate comes after the row that it repeats; the other bad rows get new identifiers.
    """
    if file_name not in SPOILT:
        return columns
    rejects = SPOILT[file_name]
    id_column, (ra, dec), number_column = _COLUMNS[file_name]
    n = columns[id_column].size
    reasons = np.repeat(list(rejects), list(rejects.values()))
    copied = rng.integers(0, n, reasons.size)
    place = rng.uniform(0, n, reasons.size)
    place = np.where(reasons == DUPLICATE_ID, rng.uniform(copied + 0.5, n), place)
    order = np.argsort(np.concatenate([np.arange(n), place]), kind="stable")
    index = np.concatenate([np.arange(n), copied])
    bad = np.concatenate([np.full(n, ""), reasons])
    out = {name: values[index] for name, values in columns.items()}

    fresh = np.flatnonzero((bad != "") & (bad != DUPLICATE_ID))
    if columns[id_column].dtype.kind in "iu":
        out[id_column][fresh] = columns[id_column].max() + 1 + np.arange(fresh.size)
    else:
        out[id_column] = out[id_column].astype(object)
        out[id_column][fresh] = [f"SPOILT {i + 1}" for i in range(fresh.size)]
    blank: float | str = np.nan if columns[ra].dtype.kind == "f" else ""
    out[ra][bad == NO_POSITION] = blank
    out[dec][bad == NO_POSITION] = blank
    out[dec][bad == DECLINATION] = 100.0
    if NOT_A_NUMBER in rejects:
        out[number_column] = out[number_column].astype(object)
        out[number_column][bad == NOT_A_NUMBER] = "see notes"
    return {name: values[order] for name, values in out.items()}

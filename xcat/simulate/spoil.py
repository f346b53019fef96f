"""Rows that no reader can use, as real catalogues have them; the manifest tells how many."""

import numpy as np

from xcat.simulate.write import Columns

# Why a row cannot be used, in the words of the ingest stage.
DECLINATION = "declination outside -90 to 90 degrees"
NO_POSITION = "no position"
DUPLICATE_ID = "duplicate id"
NOT_A_NUMBER = "not a number"

# How many rows of each file for which reason.
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
    """Slip the file's bad rows into its table: copies of good rows with one thing wrong, at random places.

    A duplicate comes after the row that it repeats; the other bad rows get identifiers of their own.
    """
    if file_name not in SPOILT:
        return columns
    rejects = SPOILT[file_name]
    id_column, (ra, dec), number_column = _COLUMNS[file_name]
    n = columns[id_column].size
    reasons = np.repeat(list(rejects), list(rejects.values()))
    copied = rng.integers(0, n, reasons.size)
    where = rng.uniform(0, n, reasons.size)
    where = np.where(reasons == DUPLICATE_ID, rng.uniform(copied + 0.5, n), where)
    order = np.argsort(np.concatenate([np.arange(n), where]), kind="stable")
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

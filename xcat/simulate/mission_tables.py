"""Detections as the missions' catalogues would list them: the columns that they publish, and identifiers.

The identifier of each row, as text, is that of the definition's `native_id`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import gammainc

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import Mission
from xcat.simulate.observe import Detections
from xcat.simulate.rows import numbered, sexagesimal
from xcat.simulate.write import Columns, single

# LSXPS gives count rates; erg / cm2 per count of a typical AGN spectrum (Evans et al. 2020, ApJS 247, 54)
SWIFT_FLUX_PER_RATE = 4.3e-11
_RADIUS_90 = np.sqrt(-2 * np.log(0.10))  # sigmas per axis of the circle that holds 90 %
_RADIUS_95 = np.sqrt(-2 * np.log(0.05))


def _significant(value: FloatArray, digits: int = 5) -> FloatArray:
    """Round to significant digits, as printed tables are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(value)))
    scale = 10.0 ** (digits - 1 - np.where(np.isfinite(exponent), exponent, 0))
    return np.asarray(np.round(value * scale) / scale)


def _with_errors(
    names: Sequence[str], suffix: str, measured: Sequence[tuple[FloatArray, FloatArray]]
) -> dict[str, FloatArray]:
    """Columns of several measurements, each followed by its error."""
    both = zip(names, measured, strict=True)
    return {column: x for name, pair in both for column, x in zip((name, name + suffix), pair, strict=True)}


def _observation(d: Detections, first: int) -> IntArray:
    """Number of the observation: the pointing and the epoch."""
    return first + 100 * d.pointing + d.epoch


def _source_number(d: Detections) -> IntArray:
    """Source number of the mission's pipeline; every spurious detection is a separate source."""
    spurious = d.object < 0
    return np.where(spurious, 50_000_000 + np.arange(d.object.size), d.object)


def _of_source(d: Detections, measured: Sequence[tuple[FloatArray, FloatArray]]) -> list[tuple[FloatArray, FloatArray]]:
    """Means over the detections of each source, repeated on them, with the counts per flux of each as weights."""
    _, each = np.unique(_source_number(d), return_inverse=True)
    flux, variance = d.full_flux_cgs, d.full_flux_err_cgs**2
    weight = (flux + np.sqrt(flux**2 + 4 * variance)) / (2 * variance)
    means = []
    for value, error in measured:
        w = np.where(np.isnan(value), 0, weight)
        with np.errstate(invalid="ignore"):
            total = np.bincount(each, w)
            mean = np.bincount(each, w * np.nan_to_num(value)) / total
            spread = np.sqrt(np.bincount(each, (w * np.nan_to_num(error)) ** 2)) / total
        means.append((mean[each], spread[each]))
    return means


def xmm_table(d: Detections, mission: Mission) -> tuple[Columns, np.ndarray]:
    """4XMM: one row per detection, EPIC fluxes in bands 2-4 and 8, radial 1 sigma errors."""
    detection = 100_000_000_000 + np.arange(d.object.size, dtype=np.int64)
    measured, ratios = d.fluxes(mission.soft_medium_hard), d.hardness(mission.soft_medium_hard)
    fluxes, of_source = (
        [(flux.clip(min=0), error) for flux, error in values] for values in (measured, _of_source(d, measured))
    )
    columns: Columns = {
        "DETID": detection,
        "SRCID": 200_000_000_000 + _source_number(d),
        "IAUNAME": sexagesimal(d.ra_deg, d.dec_deg, 1, 0, "4XMM J{h}{m}{s}.{fs}{sign}{d}{dm}{ds}"),
        "OBS_ID": numbered("0", _observation(d, 100_000_000), 9),
        "MJD_START": np.round(d.mjd, 5),
        "RA": d.ra_deg,
        "DEC": d.dec_deg,
        "RADEC_ERR": np.sqrt(2) * d.sigma_arcsec,
        **_with_errors([f"EP_{band}_FLUX" for band in "8234"], "_ERR", fluxes),
        **_with_errors(("EP_HR2", "EP_HR3"), "_ERR", ratios),
        **_with_errors([f"SC_EP_{band}_FLUX" for band in "8234"], "_ERR", of_source),
        **_with_errors(("SC_HR2", "SC_HR3"), "_ERR", _of_source(d, ratios)),
        "EP_8_DET_ML": d.likelihood,
        "EP_ONTIME": d.exposure_s,
        "EP_OFFAX": d.off_axis_arcmin,
        "EP_CHI2PROB": d.p_constant,
        "EP_EXTENT": d.extent_arcsec,
        "SUM_FLAG": d.flag.astype(np.int16),
        "GAMMA": d.gamma,
        "SNR": d.snr,
    }
    return single(columns, "MJD_START", "RA", "DEC"), detection.astype("U")


def swift_table(d: Detections, mission: Mission) -> tuple[Columns, np.ndarray]:
    """LSXPS: one row per detection, 90 % error radii, missing hardness ratios as -999; no source number."""
    detection = np.arange(1, d.object.size + 1, dtype=np.int64)
    _, *bands = d.fluxes(mission.soft_medium_hard)
    fluxes = [(_significant(flux.clip(min=0)), _significant(error)) for flux, error in bands]
    rate, error = d.full_flux_cgs / SWIFT_FLUX_PER_RATE, d.full_flux_err_cgs / SWIFT_FLUX_PER_RATE
    ratios = _with_errors(("HR1", "HR2"), "_err", d.hardness(mission.soft_medium_hard))
    columns: Columns = {
        "DetectionID": detection,
        "ObsID": _observation(d, 10_000_000),
        "StartTime_MJD": np.round(d.mjd, 5),
        "ExposureTime": np.round(d.exposure_s),
        "RA": np.round(d.ra_deg, 7),
        "Decl": np.round(d.dec_deg, 7),
        "Err90": np.round(_RADIUS_90 * d.sigma_arcsec, 3),
        "OffAxis": np.round(d.off_axis_arcmin, 2),
        "Band": np.zeros(d.object.size, dtype=np.int64),  # 0 is the full band
        "Rate": _significant(rate),
        "Rate_pos": _significant(error),
        "Rate_neg": _significant(-error),
        **_with_errors(("Flux_Soft", "Flux_Medium", "Flux_Hard"), "_err", fluxes),
        **{name: np.round(np.where(np.isnan(x), -999, x), 4) for name, x in ratios.items()},
        "SNR": np.round(d.snr, 3),
        "Likelihood": np.round(d.likelihood, 3),
        "PConst": np.round(d.p_constant, 6),
        "GammaPL": np.round(d.gamma, 3),
        "DetFlag": d.flag,
    }
    return columns, detection.astype("U")


def _varied(source: IntArray, flux: FloatArray, error: FloatArray) -> FloatArray:
    """Probability that a source varied between its detections, by chi-squared; NaN for a single detection."""
    _, each, n = np.unique(source, return_inverse=True, return_counts=True)
    weight = 1 / error**2
    mean = np.bincount(each, weight * flux) / np.bincount(each, weight)
    chi2 = np.bincount(each, weight * (flux - mean[each]) ** 2)
    p = np.where(n > 1, gammainc(np.maximum(n - 1, 1) / 2, chi2 / 2), np.nan)
    return np.asarray(p[each])


def chandra_table(d: Detections, mission: Mission) -> tuple[Columns, np.ndarray]:
    """CSC 2: one row per detection with the source's name, 95 % error ellipse, confidence limits for errors."""
    source = _source_number(d)
    name = sexagesimal(d.ra_deg, d.dec_deg, 1, 0, "2CXO J{h}{m}{s}.{fs}{sign}{d}{dm}{ds}").astype("U")
    start = np.datetime64("1858-11-17T00:00:00", "s") + np.round(d.mjd * 86_400).astype("timedelta64[s]")
    columns: Columns = {
        "name": _source_names(name, source),
        "ra_deg": np.round(d.ra_deg, 7),
        "dec_deg": np.round(d.dec_deg, 7),
        "err_ellipse_r0": np.round(_RADIUS_95 * d.sigma_major_arcsec, 3),
        "err_ellipse_r1": np.round(_RADIUS_95 * d.sigma_minor_arcsec, 3),
        "err_ellipse_ang": np.round(d.sigma_pa_deg, 1),
        "powlaw_gamma": np.round(d.gamma, 3),
        "var_inter_prob_b": np.round(_varied(source, d.full_flux_cgs, d.full_flux_err_cgs), 4),
        "obs_obsid": _observation(d, 20_000),
        "obs_region_id": np.arange(1, d.object.size + 1, dtype=np.int64),
        "obs_obi": np.zeros(d.object.size, dtype=np.int64),
        "obs_gti_obs": np.datetime_as_string(start),
        "obs_gti_end": np.datetime_as_string(start + np.round(d.exposure_s).astype("timedelta64[s]")),
        "obs_exposure": np.round(d.exposure_s),
        "obs_theta": np.round(d.off_axis_arcmin, 3),
        "obs_flux_significance_b": np.round(d.snr, 3),
        "obs_conf_code": np.where(d.flag == 3, 2, 0),
        "obs_dither_warning_flag": np.where(d.flag == 1, "True", "False"),
        "obs_edge_code": np.where(d.flag == 2, 1, 0),
        "obs_pileup_warning": np.zeros(d.object.size),
        "obs_extent_code": np.where(d.extent_arcsec > 0, 16, 0),
        "obs_sat_src_flag": np.full(d.object.size, "False"),
        "obs_streak_src_flag": np.where(d.flag == 3, "True", "False"),
        "obs_var_prob_b": np.round(1 - d.p_constant, 4),
        "obs_likelihood": np.round(d.likelihood, 3),
        "obs_extent": np.round(d.extent_arcsec, 2),
    }
    measured = d.fluxes(mission.soft_medium_hard)
    for prefix, values in (("obs_", measured), ("", _of_source(d, measured))):
        for letter, (flux, error) in zip("bsmh", values, strict=True):
            # 68 % confidence limits; negative values are listed as zero
            for suffix, sigmas in (("", 0), ("_lolim", -1), ("_hilim", 1)):
                limit = (flux + sigmas * error).clip(min=0)
                columns[f"{prefix}flux_aper90{suffix}_{letter}"] = _significant(limit, 4)
    parts = [columns[c].astype("U").astype(object) for c in ("obs_obsid", "obs_obi", "obs_region_id", "name")]
    native_id = parts[0] + "_" + parts[1] + "_" + parts[2] + "_" + parts[3]
    return columns, native_id.astype(str)


def _source_names(name: np.ndarray, source: IntArray) -> np.ndarray:
    """One name per source, from its first detection; further sources of the same name get a B, C ..."""
    _, first, inverse = np.unique(source, return_index=True, return_inverse=True)
    names = pd.Series(name[first])
    rank = names.groupby(names).cumcount()
    letter = rank.map(lambda k: "" if k == 0 else chr(ord("A") + k))
    return (names + letter).to_numpy(dtype=str)[inverse]


# in the order of missions.MISSIONS
TABLES = {
    "xmm_detections.fits": xmm_table,
    "swift_detections.csv.gz": swift_table,
    "chandra_detections.csv.gz": chandra_table,
}

"""Detections as the missions' catalogues would list them, with the columns that those catalogues publish."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammainc

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.identifiers import numbered, sexagesimal
from xcat.simulate.missions import Mission
from xcat.simulate.observe import Detections
from xcat.simulate.write import Columns

# LSXPS gives count rates; erg / cm2 per count of a typical AGN spectrum (Evans et al. 2020, ApJS 247, 54)
SWIFT_FLUX_PER_RATE = 4.3e-11
_RADIUS_90 = np.sqrt(-2 * np.log(0.10))  # sigmas per axis of the circle that holds 90 %
_RADIUS_95 = np.sqrt(-2 * np.log(0.05))


@dataclass(frozen=True)
class MissionTable:
    """Rows of a catalogue file, and the identifier of each as in the definition's `native_id`."""

    columns: Columns
    native_id: np.ndarray  # text


def _significant(value: FloatArray, digits: int = 5) -> FloatArray:
    """Round to significant digits, as printed tables are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(value)))
    scale = 10.0 ** (digits - 1 - np.where(np.isfinite(exponent), exponent, 0))
    return np.asarray(np.round(value * scale) / scale)


def _text(value: np.ndarray) -> np.ndarray:
    return value.astype("U") if value.dtype.kind == "S" else value.astype(str)


def _observation(d: Detections, first: int) -> IntArray:
    """Number of the observation: the pointing and the epoch."""
    return first + 100 * d.pointing + d.epoch


def _source_number(d: Detections) -> IntArray:
    """Source number of the mission's pipeline; every spurious detection is a separate source."""
    spurious = d.object < 0
    return np.where(spurious, 50_000_000 + np.arange(d.object.size), d.object)


def xmm_table(d: Detections, mission: Mission) -> MissionTable:
    """4XMM: one row per detection, EPIC fluxes in bands 2-4 and 8, radial 1 sigma errors."""
    source = _source_number(d)
    detection = 100_000_000_000 + np.arange(d.object.size, dtype=np.int64)
    hr2, hr2_err = d.hardness(mission.soft, mission.medium)
    hr3, hr3_err = d.hardness(mission.medium, mission.hard)
    bands = {"8": (d.full_flux_cgs, d.full_flux_err_cgs)}
    bands |= {"2": d.band(mission.soft), "3": d.band(mission.medium), "4": d.band(mission.hard)}
    fluxes: Columns = {}
    for band, (flux, error) in bands.items():
        fluxes[f"EP_{band}_FLUX"] = flux.clip(min=0).astype(np.float32)
        fluxes[f"EP_{band}_FLUX_ERR"] = error.astype(np.float32)
    name = sexagesimal(d.ra_deg, d.dec_deg, 1, 0, template="4XMM J{h}{m}{s}{ds}{d}{dm}{dss}")
    columns: Columns = {
        "DETID": detection,
        "SRCID": 200_000_000_000 + source,
        "IAUNAME": name,
        "OBS_ID": numbered("0", _observation(d, 100_000_000), 9),
        "MJD_START": np.round(d.mjd, 5),
        "RA": d.ra_deg,
        "DEC": d.dec_deg,
        "RADEC_ERR": (np.sqrt(2) * d.sigma_arcsec).astype(np.float32),
        **fluxes,
        "EP_HR2": hr2.astype(np.float32),
        "EP_HR2_ERR": hr2_err.astype(np.float32),
        "EP_HR3": hr3.astype(np.float32),
        "EP_HR3_ERR": hr3_err.astype(np.float32),
        "EP_8_DET_ML": d.likelihood.astype(np.float32),
        "EP_ONTIME": d.exposure_s.astype(np.float32),
        "EP_OFFAX": d.off_axis_arcmin.astype(np.float32),
        "EP_CHI2PROB": d.p_constant.astype(np.float32),
        "EP_EXTENT": d.extent_arcsec.astype(np.float32),
        "SUM_FLAG": d.flag.astype(np.int16),
        "GAMMA": d.gamma.astype(np.float32),
        "SNR": d.snr.astype(np.float32),
    }
    return MissionTable(columns, _text(detection))


def swift_table(d: Detections, mission: Mission) -> MissionTable:
    """LSXPS: one row per detection, 90 % error radii, missing hardness ratios as -999; no source number."""
    detection = np.arange(1, d.object.size + 1, dtype=np.int64)
    hr1, hr1_err = d.hardness(mission.soft, mission.medium)
    hr2, hr2_err = d.hardness(mission.medium, mission.hard)
    bands = {name: d.band(getattr(mission, name.lower())) for name in ("Soft", "Medium", "Hard")}
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
        "Rate": _significant(d.full_flux_cgs / SWIFT_FLUX_PER_RATE),
        "Rate_pos": _significant(d.full_flux_err_cgs / SWIFT_FLUX_PER_RATE),
        "Rate_neg": _significant(-d.full_flux_err_cgs / SWIFT_FLUX_PER_RATE),
    }
    for name, (flux, error) in bands.items():
        columns[f"Flux_{name}"] = _significant(flux.clip(min=0))
        columns[f"Flux_{name}_err"] = _significant(error)
    columns |= {
        "HR1": np.round(np.where(np.isnan(hr1), -999, hr1), 4),
        "HR1_err": np.round(np.where(np.isnan(hr1_err), -999, hr1_err), 4),
        "HR2": np.round(np.where(np.isnan(hr2), -999, hr2), 4),
        "HR2_err": np.round(np.where(np.isnan(hr2_err), -999, hr2_err), 4),
        "SNR": np.round(d.snr, 3),
        "Likelihood": np.round(d.likelihood, 3),
        "PConst": np.round(d.p_constant, 6),
        "GammaPL": np.round(d.gamma, 3),
        "DetFlag": d.flag,
    }
    return MissionTable(columns, _text(detection))


def _varied(source: IntArray, flux: FloatArray, error: FloatArray) -> FloatArray:
    """Probability that a source varied between its detections, by chi-squared; NaN for a single detection."""
    _, each, n = np.unique(source, return_inverse=True, return_counts=True)
    weight = 1 / error**2
    mean = np.bincount(each, weight * flux) / np.bincount(each, weight)
    chi2 = np.bincount(each, weight * (flux - mean[each]) ** 2)
    p = np.where(n > 1, gammainc(np.maximum(n - 1, 1) / 2, chi2 / 2), np.nan)
    return np.asarray(p[each])


def chandra_table(d: Detections, mission: Mission) -> MissionTable:
    """CSC 2: one row per detection with the source's name, 95 % error ellipse, confidence limits for errors."""
    source = _source_number(d)
    name = sexagesimal(d.ra_deg, d.dec_deg, 1, 0, template="2CXO J{h}{m}{s}{ds}{d}{dm}{dss}")
    observation = _observation(d, 20_000)
    start = np.datetime64("1858-11-17T00:00:00", "s") + np.round(d.mjd * 86_400).astype("timedelta64[s]")
    detection = np.arange(1, d.object.size + 1, dtype=np.int64)
    columns: Columns = {
        "name": _source_names(_text(name), source),
        "ra_deg": np.round(d.ra_deg, 7),
        "dec_deg": np.round(d.dec_deg, 7),
        "err_ellipse_r0": np.round(_RADIUS_95 * d.sigma_major_arcsec, 3),
        "err_ellipse_r1": np.round(_RADIUS_95 * d.sigma_minor_arcsec, 3),
        "err_ellipse_ang": np.round(d.sigma_pa_deg, 1),
        "powlaw_gamma": np.round(d.gamma, 3),
        "var_inter_prob_b": np.round(_varied(source, d.full_flux_cgs, d.full_flux_err_cgs), 4),
        "obs_obsid": observation,
        "obs_region_id": detection,
        "obs_obi": np.zeros(d.object.size, dtype=np.int64),
        "obs_gti_obs": np.datetime_as_string(start),
        "obs_gti_end": np.datetime_as_string(start + np.round(d.exposure_s).astype("timedelta64[s]")),
        "obs_exposure": np.round(d.exposure_s),
        "obs_theta": np.round(d.off_axis_arcmin, 3),
        "obs_flux_significance_b": np.round(d.snr, 3),
        "obs_conf_code": np.where(d.flag == 3, 2, 0),
        "obs_dither_warning_flag": np.where(d.flag == 1, "True", "False"),
        "obs_edge_code": np.where(d.flag == 2, 1, 0),
        "obs_extent_code": np.where(d.extent_arcsec > 0, 16, 0),
        "obs_sat_src_flag": np.full(d.object.size, "False"),
        "obs_streak_src_flag": np.where(d.flag == 3, "True", "False"),
        "obs_var_prob_b": np.round(1 - d.p_constant, 4),
        "obs_likelihood": np.round(d.likelihood, 3),
        "obs_extent": np.round(d.extent_arcsec, 2),
    }
    fluxes = {
        "b": (d.full_flux_cgs, d.full_flux_err_cgs),
        "s": d.band(mission.soft),
        "m": d.band(mission.medium),
        "h": d.band(mission.hard),
    }
    for letter, (flux, error) in fluxes.items():
        # 90 % confidence limits; negative values are listed as zero
        columns[f"obs_flux_aper90_{letter}"] = _significant(flux.clip(min=0), 4)
        columns[f"obs_flux_aper90_lolim_{letter}"] = _significant((flux - 1.645 * error).clip(min=0), 4)
        columns[f"obs_flux_aper90_hilim_{letter}"] = _significant((flux + 1.645 * error).clip(min=0), 4)
    parts = [_text(columns[c]).astype(object) for c in ("obs_obsid", "obs_obi", "obs_region_id", "name")]
    native_id = parts[0] + "_" + parts[1] + "_" + parts[2] + "_" + parts[3]
    return MissionTable(columns, native_id.astype(str))


def _source_names(name: np.ndarray, source: IntArray) -> np.ndarray:
    """One name per source, from its first detection; further sources of the same name get a B, C ..."""
    _, first, inverse = np.unique(source, return_index=True, return_inverse=True)
    names = pd.Series(name[first])
    rank = names.groupby(names).cumcount()
    letter = rank.map(lambda k: "" if k == 0 else chr(ord("A") + k))
    return (names + letter).to_numpy(dtype=str)[inverse]


# in the order of missions.MISSIONS
TABLES = (xmm_table, swift_table, chandra_table)
FILES = ("xmm_detections.fits", "swift_detections.csv.gz", "chandra_detections.csv.gz")

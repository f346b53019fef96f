"""The catalogue definitions and the pipeline that go with a simulated sky."""

from xcat.simulate.counterpart_tables import ALLWISE_EPOCH_YR, TWOMASS_EPOCH_YR
from xcat.simulate.counterparts import ALLWISE_LIMIT_W1, CUT_OUT_ARCSEC, GAIA_LIMIT_G, TWOMASS_LIMIT_K
from xcat.simulate.references import EPOCH_YR as REFERENCE_EPOCH_YR

_CITATION = 'citation: "Simulated by xcat simulate; no real source"'

_XMM = f"""\
name: sim_xmm
extends: xmm4_detections
title: Simulated XMM-Newton detections, columns of 4XMM and of its spectral fits
{_CITATION}
position_error: {{convention: radial_1sigma, columns: RADEC_ERR, unit: arcsec}}
columns:
  gamma: GAMMA
  snr: SNR
"""

_SWIFT = f"""\
name: sim_swift
extends: lsxps_detections
title: Simulated Swift-XRT detections, columns of LSXPS and of its band photometry
{_CITATION}
nulls: [-999]
bands_kev: {{soft: [0.3, 1.0], medium: [1.0, 2.0], hard: [2.0, 10.0]}}
columns:
  source_native_id: null  # xcat has to find out by position which detections are one source
  mjd: {{from: StartTime_MJD, unit: d}}
  exposure_s: {{from: ExposureTime, unit: s}}
  flux_soft_cgs: Flux_Soft
  flux_soft_err_cgs: Flux_Soft_err
  flux_medium_cgs: Flux_Medium
  flux_medium_err_cgs: Flux_Medium_err
  flux_hard_cgs: Flux_Hard
  flux_hard_err_cgs: Flux_Hard_err
  hr1: HR1
  hr1_err: HR1_err
  hr2: HR2
  hr2_err: HR2_err
  gamma: GammaPL
  snr: SNR
  det_likelihood: Likelihood
  p_variable: {{from: PConst, transform: one_minus}}
"""

_CHANDRA = f"""\
name: sim_chandra
extends: csc2_detections
title: Simulated Chandra detections, columns of CSC 2
{_CITATION}
position_of: detection  # unlike the CSC's, which are those of the stacked source
columns:
  exposure_s: {{from: obs_exposure, unit: s}}
  det_likelihood: obs_likelihood
  extent_arcsec: {{from: obs_extent, unit: arcsec}}
"""

# colours at the limits: the simulated 2MASS is cut in Ks and AllWISE in W1
_J_K, _W1_W2 = 0.7, 1.0
_SKY = f"vizier: null\nsky: {{around_sources_arcsec: {CUT_OUT_ARCSEC:g}}}\ncompleteness: estimate\n"

_GAIA = f"""\
name: sim_gaia
extends: gaia_dr3
title: Simulated Gaia DR3 sources, with geometric distances
{_CITATION}
{_SKY}depth: {{r: {GAIA_LIMIT_G - 0.5:g}, b: {GAIA_LIMIT_G + 0.3:g}}}
columns:
  distance_pc: {{from: rgeo, unit: pc}}
"""

_TWOMASS = f"""\
name: sim_twomass
extends: twomass
title: Simulated 2MASS point sources
epoch_yr: {TWOMASS_EPOCH_YR}
{_CITATION}
{_SKY}depth: {{j: {TWOMASS_LIMIT_K + _J_K:g}, w1: {TWOMASS_LIMIT_K - 0.1:g}, w2: {TWOMASS_LIMIT_K - 0.1:g}}}
"""

_ALLWISE = f"""\
name: sim_allwise
extends: allwise
title: Simulated AllWISE sources
epoch_yr: {ALLWISE_EPOCH_YR}
{_CITATION}
{_SKY}depth: {{w1: {ALLWISE_LIMIT_W1:g}, w2: {ALLWISE_LIMIT_W1 - _W1_W2:g}}}
columns:  # the simulation has no W3, and no errors of what it repeats from 2MASS
  mag_j: Jmag
  mag_h: Hmag
  mag_k: Kmag
  mag_w1: W1mag
  mag_w2: W2mag
  mag_w3: null
"""

_GALAXIES = f"""\
name: sim_galaxies
extends: gladeplus
title: Simulated nearby galaxies, columns of GLADE+
{_CITATION}
"""

_DEGREES = "  ra: {from: ra, unit: deg}\n  dec: {from: dec, unit: deg}\n"
_SEXAGESIMAL = "  ra: {from: ra, transform: hms}\n  dec: {from: dec, transform: dms}\n"


def _reference(name: str, objects: str, classes: str, tolerance_arcsec: float, position: str) -> str:
    native = "" if classes.startswith("class:") else "  class_native: type\n"
    return (
        f"name: {name}\ntitle: Simulated catalogue of known {objects}\nkind: reference\n{_CITATION}\n"
        f"epoch_yr: {REFERENCE_EPOCH_YR}\n"
        "position_error: {convention: axis_1sigma, columns: [err], unit: arcsec}\n"
        f"label_tolerance_arcsec: {tolerance_arcsec}\n{classes}\n"
        f"columns:\n  native_id: name\n  name: name\n{position}{native}"
    )


_REFERENCES = {
    "sim_ref_agn": ("AGN", 'classes: {QSO: AGN, "Sy*": AGN, BLLac: AGN, "QSO?": ""}', 0.1, _DEGREES),
    "sim_ref_star": ("stars", 'classes: {Star: Star, Em: Star, Flare: Star, YSO: Star, "Star?": ""}', 0.1, _DEGREES),
    "sim_ref_xrb": ("X-ray binaries", "class: XRB", 1.0, _SEXAGESIMAL),
    "sim_ref_cv": ("cataclysmic variables", 'classes: {DN: CV, NL: CV, AM: CV, DQ: CV, "DN?": ""}', 1.0, _SEXAGESIMAL),
    "sim_ref_extended": (
        "clusters of galaxies and supernova remnants",
        'classes: {Cluster: extended, SNR: extended, "Cluster?": ""}',
        2.0,
        _DEGREES,
    ),
}
DEFINITIONS: dict[str, str] = {
    "sim_xmm": _XMM,
    "sim_swift": _SWIFT,
    "sim_chandra": _CHANDRA,
    "sim_gaia": _GAIA,
    "sim_twomass": _TWOMASS,
    "sim_allwise": _ALLWISE,
    "sim_galaxies": _GALAXIES,
    **{name: _reference(name, *each) for name, each in _REFERENCES.items()},
}

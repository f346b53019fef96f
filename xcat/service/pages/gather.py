"""What a page of a source shows beyond its evidence: observations, fluxes, candidates around it, runs, neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping

from xcat.catalogues.definition import Definition
from xcat.columns.registry import magnitudes
from xcat.database.connection import Connection
from xcat.output.reading import Row, one, rows
from xcat.properties.compute import ZERO
from xcat.report.explain.explanation import Explanation
from xcat.service.pages import ellipses
from xcat.service.tap.errors import HttpError

_NEAR_ARCMIN, _MOST_NEAR = 5.0, 12
#: Effective wavelength in micrometres and flux density of magnitude 0 in Jy: Riello et al. 2021 (A&A 649, A3) for Gaia,
#: AB by definition, Cohen et al. 2003 (AJ 126, 1090) for 2MASS, Jarrett et al. 2011 (ApJ 735, 112) for WISE.
_BANDS: Mapping[str, tuple[str, float, float]] = {
    "mag_gaia_bp": ("Gaia BP", 0.511, 3552.0),
    "mag_gaia_g": ("Gaia G", 0.622, 3229.0),
    "mag_gaia_rp": ("Gaia RP", 0.777, 2555.0),
    "mag_g": ("g", 0.477, 3631.0),
    "mag_r": ("r", 0.6215, 3631.0),
    "mag_i": ("i", 0.7545, 3631.0),
    "mag_z": ("z", 0.868, 3631.0),
    "mag_y": ("y", 0.963, 3631.0),
    "mag_j": ("J", 1.235, 1594.0),
    "mag_h": ("H", 1.662, 1024.0),
    "mag_k": ("Ks", 2.159, 666.7),
    "mag_w1": ("W1", 3.353, 309.5),
    "mag_w2": ("W2", 4.603, 171.8),
    "mag_w3": ("W3", 11.56, 31.67),
    "mag_ch1": ("IRAC 1", 3.55, 3631.0),
}
_LIMITS = {"log_fx_fr_limit": ("r", "mag_r"), "log_fx_fw1_limit": ("w1", "mag_w1"), "log_fx_fj_limit": ("j", "mag_j")}
_UM_HZ = 2.99792458e14
_KEV_HZ = 2.417989e17


def members(e: Explanation) -> list[int]:
    """Numbers of the source and of those of other missions that are the same object."""
    others = [] if e.master is None else [o["source_id"] for o in e.master["others"] if o["relation"] == "member"]
    return [e.source["source_id"], *others]


def observations(conn: Connection, run: Row, e: Explanation) -> list[Row]:
    """Every observation of the object by every mission, with fluxes in 0.2-12 keV and the factor that made them so."""
    found = rows(conn, "pages.detections", {"source_ids": members(e), "source_run_id": run["source_run_id"]})
    out = []
    for row in found:
        band = _band(row.pop("definition"))
        factor = _factor(band)
        flux, error, upper = (row[name] for name in ("flux_cgs", "flux_err_cgs", "flux_upper_cgs"))
        if upper is None and (flux is None or flux <= 0) and error:
            upper = max(flux or 0.0, 0.0) + 3 * error
        is_limit = flux is None or flux <= 0
        row |= {
            "band_kev": band,
            "factor": factor,
            "flux_std_cgs": None if is_limit or factor is None else flux * factor,
            "flux_std_err_cgs": None if is_limit or factor is None or not error else error * factor,
            "limit_std_cgs": upper * factor if is_limit and upper and factor is not None else None,
        }
        out.append(row)
    return out


def _band(definition: Row) -> list[float] | None:
    band = definition.get("flux_band_kev")
    return [float(end) for end in band] if isinstance(band, list) and len(band) == 2 else None


def _factor(band: list[float] | None) -> float | None:
    if band is None:
        return None
    return Definition.model_construct(flux_band_kev=(band[0], band[1])).standard_flux_factor()


def sed(e: Explanation, summary: Row, xray: Row) -> list[Row]:
    """The spectral energy distribution: frequency times flux density, of the X-rays and of the accepted counterparts.

    An X-ray flux in a band is spread evenly over the logarithm of the energy: F / ln(E2 / E1).
    """
    points: list[Row] = []
    bands = magnitudes()
    for counterpart in e.counterparts:
        if not counterpart["accepted"]:
            continue
        for name, value in (counterpart["magnitudes"] or {}).items():
            if name in _BANDS and name in bands:
                label, wavelength, zero = _BANDS[name]
                points.append(_point(label, wavelength, zero, float(value), counterpart["catalogue"]))
    band = _band(xray.get("definition") or {})
    if band is not None and xray.get("flux_cgs"):
        width = math.log(band[1] / band[0])
        error = xray.get("flux_err_cgs")
        flux = float(xray["flux_cgs"])
        points.append(
            {
                "band": f"{band[0]:g}–{band[1]:g} keV",
                "catalogue": e.source["catalogue"],
                "frequency_hz": math.sqrt(band[0] * band[1]) * _KEV_HZ,
                "low_hz": band[0] * _KEV_HZ,
                "high_hz": band[1] * _KEV_HZ,
                "nu_f_nu_cgs": flux / width if flux > 0 else None,
                "error_cgs": error / width if error and flux > 0 else None,
                "limit_cgs": (max(flux, 0.0) + 3 * error) / width if flux <= 0 and error else None,
                "magnitude": None,
            }
        )
    optical = any(c["accepted"] and c["kind"] == "optical" for c in e.counterparts)
    covered = {point["band"] for point in points}
    log_fx = math.log10(e.source["flux_std_cgs"]) if (e.source["flux_std_cgs"] or 0) > 0 else None
    for column, (band_name, magnitude) in _LIMITS.items():
        limit = summary.get(column)
        if (
            limit is not None
            and log_fx is not None
            and _BANDS[magnitude][0] not in covered
            and not (optical and band_name == "r")
        ):
            point = _point(*_BANDS[magnitude], 2.5 * (limit - log_fx - ZERO[band_name]), "depth of the catalogues")
            points.append(point | {"limit_cgs": point["nu_f_nu_cgs"], "nu_f_nu_cgs": None})
    return sorted(points, key=lambda point: point["frequency_hz"])


def _point(label: str, wavelength_um: float, zero_jy: float, magnitude: float, catalogue: str) -> Row:
    frequency = _UM_HZ / wavelength_um
    flux = zero_jy * 10 ** (-0.4 * magnitude) * 1e-23 * frequency
    return {
        "band": label,
        "catalogue": catalogue,
        "frequency_hz": frequency,
        "low_hz": None,
        "high_hz": None,
        "nu_f_nu_cgs": flux,
        "error_cgs": None,
        "limit_cgs": None,
        "magnitude": magnitude,
    }


def around(conn: Connection, run: Row, source_id: int) -> list[Row]:
    """Catalogued objects that could be the counterpart, the most probable first, with their errors as ellipses."""
    if run["match_run_id"] is None:
        return []
    asked = {"match_run_id": run["match_run_id"], "source_id": source_id}
    found = rows(conn, "pages.candidates_around", asked)
    return [{"number": n, **ellipses.with_ellipse(row)} for n, row in enumerate(found, 1)]


def xray(conn: Connection, run: Row, source_id: int) -> Row:
    """The X-ray side of the source, with the ellipse of its error.

    Raises
    ------
    HttpError
        404: the run has no such source.
    """
    row = one(conn, "pages.xray", {"source_run_id": run["source_run_id"], "source_id": source_id})
    if row is None:
        raise HttpError(404, "nothing is known of the place of this source")
    return ellipses.with_ellipse(row)


def history(conn: Connection, source_id: int) -> list[Row]:
    """What earlier runs and releases said."""
    return rows(conn, "pages.history", {"source_id": source_id})


def neighbours(conn: Connection, e: Explanation) -> list[Row]:
    """Other published sources nearby."""
    asked = {"ra": e.source["ra"], "dec": e.source["dec"], "radius_deg": _NEAR_ARCMIN / 60, "most": _MOST_NEAR}
    return rows(conn, "pages.around", asked | {"but": e.source["source_id"]})


def links(ra: float, dec: float) -> list[tuple[str, str]]:
    """Pages of other services about this position; nothing of them is loaded before a reader follows one."""
    place = f"{ra:.6f}%20{dec:+.6f}".replace("+", "%2B")
    return [
        ("SIMBAD", f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius=10&Radius.unit=arcsec"),
        (
            "NED",
            f"https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&radius=0.2&coordinates={place}",
        ),
        ("VizieR", f"https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c={place}&-c.rs=10"),
        ("ESASky", f"https://sky.esa.int/esasky/?target={place}&fov=0.05&cooframe=J2000"),
        ("XSA", f"https://nxsa.esac.esa.int/nxsa-web/#search&target={place}"),
    ]

"""Offset and rotation of every X-ray field relative to its secure counterparts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xcat.database import copy
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.match.engine import MatchOptions, match
from xcat.match.haystack import Haystack
from xcat.match.targets import Targets
from xcat.sky import geometry

_FEWEST = 8  # secure counterparts that a field needs for three numbers
_SECURE = 0.8  # p_any p_i
_ROUNDS = 3


def fit_fields(
    run: Run, source_run_id: int, targets: Targets, haystacks: Sequence[Haystack], options: MatchOptions
) -> Targets:
    """Correct X-ray positions to the frame of their counterparts, observation by observation.

    A field is the observation of a source's best detection. Its secure counterparts give, by weighted least squares,
    an offset and a rotation about their mean position; their errors are added to those of the positions. Fields with
    fewer than eight secure counterparts stay as they are.

    Returns the targets with corrected positions and larger errors; the table ``field_offset`` of the run is written.
    """
    conn = run.conn
    values = {"source_run_id": source_run_id}
    names = conn.execute(job("match.field_names").compose(), values).fetchall()
    types = [("source_id", "bigint"), ("field", "integer")]
    rows = copy.fetch_columns(conn, job("match.fields").compose(), types, values)
    field = np.full(len(targets), -1)
    by_id = np.argsort(targets.id)
    field[_places(targets.id, by_id, rows["source_id"])] = rows["field"]
    if not names:
        return targets
    has_field = field >= 0
    vectors = targets.unit_vectors()[has_field].T
    cx, cy, cz = (np.bincount(field[has_field], v, len(names)) for v in vectors)
    # place in the field: arcsec east and north of its centre, in the tangent plane
    da, dec = np.radians(targets.ra) - np.arctan2(cy, cx)[field], np.radians(targets.dec)
    centre_dec = np.arctan2(cz, np.hypot(cx, cy))[field]
    cos = np.sin(centre_dec) * np.sin(dec) + np.cos(centre_dec) * np.cos(dec) * np.cos(da)
    north = np.cos(centre_dec) * np.sin(dec) - np.sin(centre_dec) * np.cos(dec) * np.cos(da)
    x, y = np.degrees(np.cos(dec) * np.sin(da) / cos) * 3600, np.degrees(north / cos) * 3600
    corrected, solution, covariance = targets, np.zeros((len(names), 3)), np.zeros((len(names), 3, 3))
    used = np.zeros(len(names), np.int64)
    for _ in range(_ROUNDS):
        match(conn, corrected, haystacks, options, with_calibration=False)
        types = [("id", "bigint"), *((name, "double precision") for name in ("x", "y", "variance"))]
        secure = copy.fetch_columns(conn, job("match.secure").compose(), types, {"secure": _SECURE})
        if not len(secure):
            break
        i = _places(targets.id, by_id, secure["id"])
        step, covariance, used = _solve(field[i], x[i], y[i], secure, len(names))
        solution += step
        dx = solution[field, 0] - np.radians(solution[field, 2]) * y
        dy = solution[field, 1] + np.radians(solution[field, 2]) * x
        moved = has_field & (used[field] >= _FEWEST)
        ra, dec = geometry.offset(targets.ra, targets.dec, np.where(moved, dx, 0.0), np.where(moved, dy, 0.0))
        corrected = replace(targets, ra=ra, dec=dec)
    _store(run, names, solution, covariance, used)
    variance = np.where(has_field & (used[field] >= _FEWEST), covariance[field, 0, 0], 0.0)
    errors = {name: getattr(targets, name) for name in ("err_arcsec", "err_maj_arcsec", "err_min_arcsec")}
    larger = {name: np.sqrt(error.astype(float) ** 2 + variance) for name, error in errors.items()}
    return replace(corrected, **larger)


def _places(ids: np.ndarray, by_id: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Indices of ids, of which `by_id` is the sorting order."""
    return np.asarray(by_id[np.searchsorted(ids, wanted, sorter=by_id)])


def _solve(
    field: np.ndarray, x: np.ndarray, y: np.ndarray, secure: np.ndarray, n_fields: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares for all fields at once: dx = a - r y, dy = b + r x; r in deg.

    A weak prior of 5 arcsec and 0.2 deg keeps the matrices of fields with few sources invertible.
    """
    w, t = 1 / secure["variance"], np.pi / 180

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(field, values, n_fields)

    normal = np.zeros((n_fields, 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = total(w) + 1 / 25
    normal[:, 0, 2] = normal[:, 2, 0] = -total(w * y) * t
    normal[:, 1, 2] = normal[:, 2, 1] = total(w * x) * t
    normal[:, 2, 2] = total(w * (x**2 + y**2)) * t**2 + 1 / 0.04
    right = np.stack(
        [total(w * secure["x"]), total(w * secure["y"]), total(w * (x * secure["y"] - y * secure["x"])) * t], axis=1
    )
    covariance = np.linalg.inv(normal)
    used = np.bincount(field, minlength=n_fields)
    return np.einsum("fij,fj->fi", covariance, right) * (used >= _FEWEST)[:, None], covariance, used


def _store(
    run: Run, names: list[tuple[int, str]], solution: np.ndarray, covariance: np.ndarray, used: np.ndarray
) -> None:
    keep = used >= _FEWEST
    run.summary["fields"] = {"fitted": int(keep.sum()), "too few secure counterparts": int((~keep).sum())}
    block = {
        "run_id": np.full(int(keep.sum()), run.run_id, np.int32),
        "catalogue_id": np.array([n[0] for n in names])[keep],
        "obs_id": np.array([n[1].encode() for n in names])[keep],
        "n_secure": used[keep],
        "offset_ra_arcsec": solution[keep, 0],
        "offset_dec_arcsec": solution[keep, 1],
        "offset_err_arcsec": np.sqrt(covariance[keep, 0, 0]),
        "rotation_deg": solution[keep, 2],
        "rotation_err_deg": np.sqrt(covariance[keep, 2, 2]),
    }
    copy.copy_in(run.conn, "field_offset", [block])

"""Rows of a file to rows of a catalogue table: standard columns, standard units, one error convention.

Everything works on whole columns. A row that cannot be used is rejected, with the column and the value at
fault; a value that is merely absent becomes NULL.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xcat.arrays import FloatArray
from xcat.catalogues.definition import Definition, PositionError
from xcat.catalogues.grammar import INTEGER_COLUMNS, TEXT_COLUMNS, ColumnSpec
from xcat.ingest import frames
from xcat.ingest.opened import RawChunk
from xcat.ingest.rows import Rejects, Rows, to_bools, to_bytes, unit_factor

_MAX_ERROR_ARCSEC = 3600.0
# columns whose values the database bounds: name -> (low, high, low itself allowed, high itself allowed)
_BOUNDS = {
    "p_variable": (0.0, 1.0, True, True),
    "p_variable_long": (0.0, 1.0, True, True),
    "d25_arcmin": (0.0, 1200.0, True, False),
    "axis_ratio": (0.0, 1.0, False, True),
}
_HAS_ELLIPSE = ("detection", "counterpart")
_MAX_INTEGER = 2**31 - 1


@dataclass
class Converted:
    """Usable rows of a chunk.

    Parameters
    ----------
    columns : dict
        Standard columns. Numbers are float64 with NaN for NULL, ``quality_flag`` and ``n_detections`` masked
        integers, texts UTF-8 bytes with the empty text for NULL.
    row_number : ndarray
        Row of the file that each row came from.
    rejects : Rejects
        The rows that cannot be used: those without identifier, position or positional error.
    emptied : Rejects
        Values that cannot be used, in rows that can.
    n_skipped : int
        Rows that ``read.only`` leaves out: neither used nor rejected.
    """

    columns: dict[str, np.ndarray]
    row_number: npt.NDArray[np.int64]
    rejects: Rejects
    emptied: Rejects
    n_skipped: int = 0

    def __len__(self) -> int:
        return len(self.row_number)


def convert(chunk: RawChunk, definition: Definition) -> Converted:
    """Convert rows of a file as the definition says.

    Returns
    -------
    Converted
        Always with ``native_id`` (the row number, if the definition names no identifier), ``ra`` and
        ``dec``, and with ``err_arcsec`` for all tables but the galaxies'; for references also ``class``.
    """
    rows = Rows(chunk, definition)
    n_skipped = rows.leave_out()
    rows.leave_out_damage()
    out: dict[str, np.ndarray] = {}
    _identify(rows, out)
    _place(rows, out)
    if definition.table_kind != "galaxy" and definition.position_error is not None:
        _errors(rows, definition.position_error, out)
    for name, spec in definition.columns.items():
        if name in out:
            continue
        if name in TEXT_COLUMNS:
            out[name] = to_bytes(rows.any_text(spec))
        else:
            out[name] = _bounded(rows, name, spec, rows.quantity(name, spec, optional=True))
    for name, spec in definition.of_source.items():
        if all(rows.has(column) for column in spec.from_):
            out[f"source_{name}"] = rows.quantity(name, spec, optional=True)
    if any(rows.has(flaw.column) for flaw in definition.quality.values()):
        out["flaws"] = _flaws(rows)
    if definition.table_kind == "detection" and "flux_cgs" in definition.columns:
        limits = rows.upper_limits("flux_cgs", definition.columns["flux_cgs"])
        if limits is not None:
            given = out.get("flux_upper_cgs", np.full(rows.n, np.nan))
            out["flux_upper_cgs"] = np.where(np.isnan(given), limits, given)
    if "pmra_mas_yr" in out and not definition.proper_motion.ra_includes_cosdec:
        out["pmra_mas_yr"] = out["pmra_mas_yr"] * np.cos(np.radians(out["dec"]))
    frame = frames.common(chunk.frames, (*definition.columns["ra"].from_, *definition.columns["dec"].from_))
    if frame:
        frames.turn_columns(out, frame, definition)
    if definition.kind == "reference":
        out["class"] = _classes(definition, out, rows.n)
    keep = slice(None) if rows.live.all() else rows.live
    kept = {name: column[keep] for name, column in out.items()}
    numbers = np.flatnonzero(rows.live) + chunk.first_row
    return Converted(kept, numbers, rows.rejects(), rows.emptied(), n_skipped)


def _identify(rows: Rows, out: dict[str, np.ndarray]) -> None:
    spec = rows.definition.columns.get("native_id")
    if spec is None:
        out["native_id"] = np.arange(rows.first_row, rows.first_row + rows.n).astype("S")
        return
    text = rows.any_text(spec)
    rows.reject(to_bools(pc.is_null(text)), spec.from_, "no identifier")
    out["native_id"] = to_bytes(text)


def _place(rows: Rows, out: dict[str, np.ndarray]) -> None:
    """Fill ra and dec, and reject rows without a valid position."""
    ra_spec, dec_spec = rows.definition.columns["ra"], rows.definition.columns["dec"]
    ra, dec = rows.quantity("ra", ra_spec), rows.quantity("dec", dec_spec)
    rows.reject(np.isnan(ra), ra_spec.from_, "no position")
    rows.reject(np.isnan(dec), dec_spec.from_, "no position")
    ra[ra == 360.0] = 0.0
    with np.errstate(invalid="ignore"):
        rows.reject((ra < 0) | (ra >= 360), ra_spec.from_, "right ascension outside 0 to 360 degrees")
        rows.reject(np.abs(dec) > 90, dec_spec.from_, "declination outside -90 to 90 degrees")
    out["ra"], out["dec"] = ra, dec


def axis_sigma_factor(convention: str) -> float:
    r"""Factor from a positional error as stated, in one of the conventions of ``position_error``, to 1 sigma per axis.

    Notes
    -----
    Errors that are Gaussian with :math:`\sigma` on each axis make the distance from the true position
    follow the Rayleigh distribution, :math:`P(<r) = 1 - \exp(-r^2 / 2 \sigma^2)`. So a radius that holds
    the fraction f is :math:`\sqrt{-2 \ln(1 - f)}` sigmas (1.5096, 2.1460 and 2.4477 for 0.68, 0.90 and
    0.95), and the same holds for both axes of an ellipse that holds the fraction f. "1 sigma radial" is the
    root of the summed variances of two equal axes, :math:`\sqrt 2 \sigma`.
    """
    fractions = {"radius_68": 0.68, "radius_90": 0.90, "radius_95": 0.95, "ellipse_95": 0.95}
    if convention in fractions:
        return float(1 / np.sqrt(-2 * np.log1p(-fractions[convention])))
    return float(1 / np.sqrt(2)) if convention == "radial_1sigma" else 1.0


def _errors(rows: Rows, spec: PositionError, out: dict[str, np.ndarray]) -> None:
    """Fill err_arcsec and, where there is one, the ellipse; reject rows without a usable error."""
    factor = axis_sigma_factor(spec.convention) * unit_factor(spec.unit, "arcsec")
    if spec.constant is not None:
        axes = [np.full(rows.n, spec.constant * factor)]
    else:
        axes = [rows.plain(c) * factor for c in spec.columns]
    if spec.systematic_arcsec:
        # a zero or negative error marks a missing one, and must stay recognisable
        axes = [np.where(a > 0, np.hypot(a, spec.systematic_arcsec), a) for a in axes]
    columns = tuple(c for s in spec.columns for c in s.from_)
    missing = np.isnan(axes[0]) if len(axes) == 1 else np.isnan(axes[0]) | np.isnan(axes[1])
    with np.errstate(invalid="ignore"):
        unusable = missing | np.any([a <= 0 for a in axes], axis=0)
        if spec.floor_arcsec is not None:
            axes = [np.where(unusable | (a < spec.floor_arcsec), spec.floor_arcsec, a) for a in axes]
        else:
            rows.reject(missing, columns, "no positional error")
            rows.reject(unusable & ~missing, columns, "positional error not above 0")
        major, minor = np.maximum(axes[0], axes[-1]), np.minimum(axes[0], axes[-1])
        size = major if len(axes) == 1 else np.sqrt(major) * np.sqrt(minor)
        rows.reject(major >= _MAX_ERROR_ARCSEC, columns, "positional error of a degree or more")
    out["err_arcsec"] = size
    if spec.is_ellipse and rows.definition.table_kind in _HAS_ELLIPSE:
        out["err_maj_arcsec"], out["err_min_arcsec"] = major, minor
        angle = rows.plain(ColumnSpec.model_validate(spec.pa), optional=True) if spec.pa else np.full(rows.n, np.nan)
        turned = angle + np.where(axes[0] < axes[1], 90.0, 0.0)  # the file lists the minor axis first
        out["err_pa_deg"] = np.where(np.isfinite(turned), np.mod(turned, 180.0), np.nan)


def _bounded(rows: Rows, name: str, spec: ColumnSpec, x: FloatArray) -> np.ndarray:
    if name in _BOUNDS:
        low, high, with_low, with_high = _BOUNDS[name]
        with np.errstate(invalid="ignore"):
            outside = (x < low) | (x > high)
            outside |= ((x == low) & (not with_low)) | ((x == high) & (not with_high))
        rows.leave_empty(outside, spec.from_, f"{name} outside {low:g} to {high:g}")
        x = np.where(outside, np.nan, x)
    if name in INTEGER_COLUMNS:
        null = np.isnan(x)
        wrong = ~null & ((x != np.floor(x)) | (np.abs(x) > _MAX_INTEGER))
        rows.leave_empty(wrong, spec.from_, "not a whole number")
        null |= wrong
        return np.ma.MaskedArray(np.where(null, 0, x).astype(np.int32), mask=null)
    return x


def _flaws(rows: Rows) -> npt.NDArray[np.bytes_]:
    """Names of the flaws of every row, with a blank between them."""
    text = np.zeros(rows.n, "S1")
    for name, flaw in rows.definition.quality.items():
        if rows.has(flaw.column) and (has := rows.has_flaw(flaw)).any():
            apart = np.where(has & (text != b""), b" ", b"")
            text = np.char.add(np.char.add(text, apart), np.where(has, name.encode(), b""))
    return text


def _classes(definition: Definition, out: dict[str, np.ndarray], n: int) -> npt.NDArray[np.bytes_]:
    """Map the native classes, each distinct one once."""
    if definition.klass is not None:
        return np.full(n, definition.klass.encode())
    native = pa.array(out["class_native"]).dictionary_encode()
    mapped = definition.classify_native(native.dictionary.to_pylist())
    table = np.array([c.encode() for c in mapped] or [b""], "S")
    return np.asarray(table[native.indices.to_numpy()])

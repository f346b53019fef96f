"""Values of a column judged: against what its quantity can be, and against the same column as it was loaded before.

Arrays in, sentences out. Columns are in the standard unit of their name (xcat/columns/columns.yaml); NaN is missing.
The limits are wide: they catch a wrong unit or another column under the same name, not an unusual sky.
"""

from __future__ import annotations

import re

import numpy as np

from xcat.arrays import FloatArray
from xcat.columns import registry

#: Range of the median of the absolute values, by a regular expression of the name; of fluxes, where positive.
_TYPICAL: tuple[tuple[str, float, float], ...] = (
    (r"flux_\w*err_cgs", 1e-23, 1e-6),
    (r"flux_\w*cgs", 1e-20, 1e-6),
    (r"mag(_\w+)?", 1e-3, 40.0),
    (r"err_(maj_|min_)?arcsec", 1e-4, 600.0),
    (r"pm(ra|dec)_mas_yr", 0.02, 2e4),
    (r"parallax(_err)?_mas", 5e-3, 800.0),
    (r"distance_pc", 0.1, 3e10),
    (r"distance_mpc", 1e-3, 2e4),
    (r"epoch_yr", 1850.0, 2150.0),
    (r"mjd", 3e4, 8e4),
    (r"exposure_s", 1.0, 1e9),
    (r"gamma", 1e-3, 20.0),
    (r"nh_gal_cm2", 1e19, 1e24),
    (r"hr[12]_err", 1e-5, 20.0),
)
#: Range of nearly all values.
_WITHIN: tuple[tuple[str, float, float], ...] = (
    (r"mag(_\w+)?", -15.0, 60.0),
    (r"hr[12]", -1.001, 1.001),
    (r"p_variable(_long)?", 0.0, 1.0),
    (r"(err_)?pa_deg", -360.0, 360.0),
)
_SHARE_OUTSIDE = 0.05
#: Typical proper motions below this, in mas/yr, are those of very distant objects, or are in arcsec/yr.
_SLOW_MAS_YR = 0.3
_CHANCE = 1e-4  # a column is empty or constant by chance: below this it is a fault
_CHANCE_OF_SHIFT = 0.01  # of values that are off by a factor of 30 already
_DEX = 1.5
_FEW = 20
_MAG_SHIFT = 10.0


def implausible(name: str, values: FloatArray) -> str | None:
    """Why values cannot be those of a standard column in its unit; None if they can.

    Parameters
    ----------
    name : str
        Standard column, such as ``flux_cgs``.
    values : ndarray, shape (n,)
    """
    x = values[np.isfinite(values)]
    unit = registry.columns()[name].unit
    if name.startswith("flux_"):
        x = x[x > 0]
    elif name.startswith(("pm", "parallax", "gamma")) or name.endswith("_err"):
        x = x[x != 0]  # some catalogues write 0 for what was not measured
    if not len(x):
        return None
    for pattern, low, high in _TYPICAL:
        if re.fullmatch(pattern, name):
            typical = float(np.median(np.abs(x)))
            if not low <= typical <= high:
                return f"its typical value is {typical:.3g} {unit}, expected is {low:g} to {high:g}".replace("  ", " ")
            break
    for pattern, low, high in _WITHIN:
        if re.fullmatch(pattern, name):
            outside = float(np.mean((x < low) | (x > high)))
            if outside > _SHARE_OUTSIDE:
                return f"{outside:.0%} of its values are outside {low:g} to {high:g}, up to {np.max(np.abs(x)):.3g}"
    return None


def doubtful(name: str, values: FloatArray) -> str | None:
    """Why values are unusual, though possible; None if they are not."""
    x = np.abs(values[np.isfinite(values) & (values != 0)])
    if re.fullmatch(r"pm(ra|dec)?_mas_yr", name) and len(x) and np.median(x) < _SLOW_MAS_YR:
        return f"its typical value is {np.median(x):.3g} mas / yr; is it in arcsec/yr?"
    return None


def hours(ra_deg: FloatArray, dec_deg: FloatArray) -> tuple[str, bool] | None:
    """Whether right ascensions look like hours: a sentence, and whether that is certain; None if they do not.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
        As they would be loaded.
    """
    if not len(ra_deg) or not ra_deg.max() < 24:
        return None
    extent = float(np.ptp(dec_deg))
    text = (
        f"all {len(ra_deg):,} right ascensions lie below 24 (up to {ra_deg.max():.4g}), "
        f"the declinations extend over {extent:.3g} deg"
    )
    return text, extent > 20 and len(ra_deg) >= _FEW


def emptied(before: FloatArray, after: FloatArray) -> str | None:
    """Whether a column has lost its values, not by chance; shapes (n,) and (m,)."""
    if not len(before) or not len(after):
        return None
    was, is_ = float(np.isfinite(before).mean()), float(np.isfinite(after).mean())
    if is_ == 0 and was > 0 and len(after) * np.log(max(1 - was, 1e-300)) < np.log(_CHANCE):
        return f"it is empty: {was:.1%} of the rows loaded before have a value, none of these"
    # a tenth of the former share, and not for want of rows
    if is_ < was / 10 and len(after) * was >= 10 * _FEW:
        return f"it is nearly empty: {was:.1%} of the rows loaded before have a value, {is_:.1%} of these"
    return None


def constant(before: FloatArray, after: FloatArray) -> str | None:
    """Whether all values of a column are the same, though they were not before, and not by chance."""
    old, counts = np.unique(before[np.isfinite(before)], return_counts=True)
    given = after[np.isfinite(after)]
    if len(old) < 2 or len(given) < 2 or (given != given[0]).any():
        return None
    if len(given) * np.log(counts.max() / counts.sum()) < np.log(_CHANCE):
        return f"it is constant: {len(old):,} different values before, one in these {len(given):,} rows"
    return None


def shifted(name: str, before: FloatArray, after: FloatArray) -> str | None:
    """Whether the values of a column are of another size than before.

    Notes
    -----
    Typical sizes (medians of the absolute values) differ by a factor of 30 or more, the middle halves of the two do not
    overlap, and that is not by chance: f being the share of rows before that are beyond the new median, half of n rows
    are with a probability of about f**(n/2). Magnitudes, which are logarithms, may also be off by 10 or more.
    """
    old, new = before[np.isfinite(before)], after[np.isfinite(after)]
    if not len(old) or not len(new):
        return None
    unit = registry.columns()[name].unit

    def apart(a: FloatArray, b: FloatArray) -> bool:
        (low_a, high_a), (low_b, high_b) = np.percentile(a, (25, 75)), np.percentile(b, (25, 75))
        below = np.median(b) < np.median(a)
        beyond = np.sum(a <= np.median(b) if below else a >= np.median(b))
        chance = ((beyond + 1) / (len(a) + 1)) ** (len(b) / 2)
        return bool((high_a < low_b or high_b < low_a) and chance < _CHANCE_OF_SHIFT)

    size_old, size_new = float(np.median(np.abs(old))), float(np.median(np.abs(new)))
    text = f"its typical value was {size_old:.3g} {unit} and is {size_new:.3g} {unit} now".replace("  ", " ")
    if size_old > 0 and size_new > 0:
        ratio = abs(np.log10(size_new / size_old))
        if ratio > _DEX and apart(np.abs(old), np.abs(new)):
            return f"{text}, a factor of {10**ratio:.3g}"
    if name.startswith("mag") and abs(np.median(new) - np.median(old)) > _MAG_SHIFT and apart(old, new):
        return f"its median was {np.median(old):.3g} mag and is {np.median(new):.3g} mag now"
    return None

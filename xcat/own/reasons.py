"""One sentence for each source: why its class and not the runner-up."""

from __future__ import annotations

from functools import cache

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.model import Model
from xcat.classifier.posterior import Classification, by_class
from xcat.classifier.sample import Sample
from xcat.columns.properties import property_label
from xcat.columns.registry import columns, property_entries
from xcat.properties.compute import ZERO

_FOR, _AGAINST = 2, 1  # properties that are named on either side
_WORTH_NAMING = np.log(1.5)  # nats; smaller factors decide nothing
_WORTH_A_WARNING = np.log(3.0)
_RATIO = "log_fx_f"
_TIMES = ("log_flux_ratio", "log_flux_ratio_low")


def sentences(model: Model, sample: Sample, result: Classification, log_fx: FloatArray) -> np.ndarray:
    """Say for every source what spoke most for its class over the runner-up, and what against.

    The factors are those of the accepted counterpart, or of none.

    Parameters
    ----------
    sample : Sample
        N sources with the model's properties.
    log_fx : (N,) float64
        Log of the flux in 0.2-12 keV, from which limits on flux ratios become magnitudes; NaN where there is none.

    Returns
    -------
    (N,) ndarray of str
        As in "XRB rather than AGN: no counterpart down to R 20.5 (x 12), flux changed 80 times (x 26)".
    """
    n, names = len(result.p), np.array(model.answers)
    if n == 0 or len(names) < 2:
        return np.full(n, "", dtype=np.str_)
    order = np.argsort(result.p, axis=1)
    best, second = order[:, -1], order[:, -2]
    terms = by_class(model, result.evidence)[0]
    rows = np.arange(n)
    nats = terms[rows, :, best] - terms[rows, :, second]
    ranked = np.argsort(-nats, axis=1, kind="stable")
    phrases = np.full(nats.shape, "", dtype=object)
    n_for = np.minimum(_FOR, nats.shape[1])
    pro, contra = ranked[:, :n_for], ranked[:, ::-1][:, :_AGAINST]
    named = np.zeros(nats.shape, bool)
    np.put_along_axis(named, pro, np.take_along_axis(nats, pro, 1) > _WORTH_NAMING, 1)
    against = np.zeros(nats.shape, bool)
    np.put_along_axis(against, contra, np.take_along_axis(nats, contra, 1) < -_WORTH_A_WARNING, 1)
    for t in range(nats.shape[1]):
        used = np.flatnonzero(named[:, t] | against[:, t])
        if used.size:
            words = np.char.add(_phrases(model, sample, log_fx, t, used), _factors(nats[used, t]))
            phrases[used, t] = words
    ordered = np.take_along_axis(np.where(named, phrases, ""), ranked, 1)[:, :n_for]
    text = ordered[:, 0]
    for k in range(1, n_for):
        text = text + np.where(ordered[:, k] == "", "", ", ") + ordered[:, k]
    text = np.where(text == "", "the priors", text)
    warning = np.take_along_axis(np.where(against, phrases, ""), contra, 1)[:, 0]
    text = text + np.where(warning == "", "", "; against it: ") + warning
    return np.asarray(
        (names[best].astype(object) + " rather than " + names[second].astype(object) + ": " + text), np.str_
    )


@cache
def _of_counterparts() -> frozenset[str]:
    """Names of the properties that need a counterpart."""
    return frozenset(entry["name"] for entry in property_entries() if entry.get("counterpart"))


def _factors(nats: FloatArray) -> np.ndarray:
    """Odds factors: " (x 12)" for, " (/ 3.1)" against."""
    factor = np.exp(np.minimum(np.abs(nats), 700))
    digits = np.where(factor < 10, np.char.mod("%.1f", factor), np.char.mod("%.0f", factor))
    digits = np.where(factor < 1e4, digits, np.char.mod("%.0e", factor))
    sign = np.where(nats > 0, " (x ", " (/ ")
    return np.char.add(np.char.add(sign, digits), ")")


def _phrases(model: Model, sample: Sample, log_fx: FloatArray, t: int, used: np.ndarray) -> np.ndarray:
    """What a term says of some sources, in words."""
    if t >= len(model.properties):
        return np.full(used.size, " and ".join(map(property_label, model.pairs[t - len(model.properties)].axes)))
    name = model.properties[t].name
    label, unit = property_label(name), columns()[name].unit.replace(" / ", "/")
    values = np.asarray(sample.values[used, t], dtype=np.float64)
    limit = np.full(used.size, np.nan) if sample.limits is None else np.asarray(sample.limits[used, t], np.float64)
    ending = f" {unit}" if unit else ""
    words = np.char.add(np.char.add(f"{label} ", np.char.mod("%.3g", values)), ending)
    if name in _TIMES:
        at_least = "at least " if name.endswith("_low") else ""
        words = np.char.add(np.char.add(f"flux changed {at_least}", np.char.mod("%.2g", 10**values)), " times")
    missing = np.isnan(values)
    absent = np.full(used.size, f"no {label}")
    if name.startswith(_RATIO):
        band = name.removeprefix(_RATIO)
        depth = 2.5 * (limit - log_fx[used] - ZERO[band])
        columns_of = [j for j, p in enumerate(model.properties) if p.name in _of_counterparts()]
        has_counterpart = np.isfinite(sample.values[used][:, columns_of]).any(axis=1)
        seen = np.where(has_counterpart, "not seen down to ", "no counterpart down to ")
        faint = np.char.add(np.char.add(seen, f"{band.upper()} "), np.char.mod("%.1f", depth))
        # without an X-ray flux there is no ratio, whatever was found
        none = (band in ("r", "b")) & np.isfinite(log_fx[used]) & ~has_counterpart
        absent = np.where(np.isfinite(depth), faint, np.where(none, "no counterpart", absent))
    return np.where(missing, absent, words)

"""Decision rules in the manner of Lin, Webb & Barret 2012 (ApJ 756, 27): star, AGN or compact object.

Their results: stars have low X-ray-to-infrared flux ratios, or flare; AGN have power laws of index 1.91 +- 0.31 and
vary between observations by less than a factor of 10 (98.5 % of them); compact objects are very soft or hard, vary
more, or have larger ratios than any AGN. The factor and the indices are theirs. The two limits of the flux ratio are
not in their abstract, and are fitted to the training part as the abstract describes them: the ratio that best separates
stars from AGN, and the one that 98.5 % of the AGN are below. Flares within an observation are not used: the probability
of variability does not distinguish them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError
from xcat.evaluate.protocol import Method, Training
from xcat.evaluate.scores import decisions

MOST_VARIABLE_AGN = 1.0
"""log10 of the factor between observations that 98.5 % of the AGN stay below."""
INDEX_OF_AGN = (1.91 - 3 * 0.31, 1.91 + 3 * 0.31)
"""Photon indices of AGN, out to three standard deviations."""
SHARE_OF_AGN = 0.985
_RATIOS = ("log_fx_fw1", "log_fx_fj", "log_fx_fw2")
_COMPACT = ("XRB", "CV", "LMXB", "HMXB", "NS")


@dataclass(frozen=True)
class Rules(Method):
    """The decision rules; no answer without a flux ratio, its limit or another criterion.

    For a source without an infrared counterpart the lower limit of its ratio is used, if the sample has limits.
    """

    name: str = "rules"
    about: str = "rules after Lin+2012"
    probabilities: bool = field(default=False, kw_only=True)

    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit the two limits of the flux ratio, and decide; compact objects get the most common compact class."""
        label = train.label
        agn, star, compact = roles(train.classes, label)
        ratio = _ratio(train.sample)
        measured = np.isfinite(ratio)
        agn_ratios = ratio[measured & (label == agn)]
        low = best_cut(ratio[measured & (label == star)], agn_ratios)
        high = float(np.quantile(agn_ratios, SHARE_OF_AGN)) if agn_ratios.size else np.inf
        x = _ratio(test)
        x = np.where(np.isnan(x), _limit(test), x)
        factor = np.fmax(_column(test, "log_flux_ratio_low"), _column(test, "log_flux_ratio"))
        index = _column(test, "gamma")
        with np.errstate(invalid="ignore"):
            odd = (factor > MOST_VARIABLE_AGN) | (index < INDEX_OF_AGN[0]) | (index > INDEX_OF_AGN[1]) | (x > high)
            decided = np.select([(x < low) & np.isfinite(_ratio(test)), odd, x >= low], [star, compact, agn], -1)
        return decisions(decided, len(train.classes))


def roles(classes: Sequence[str], label: IntArray) -> tuple[int, int, int]:
    """Numbers of the classes AGN, Star and the most common compact one; ConfigError without one of them."""
    names = list(classes)
    count = np.bincount(label, minlength=len(names))
    compact = [names.index(c) for c in _COMPACT if c in names]
    if "AGN" not in names or "Star" not in names or not compact:
        raise ConfigError(
            f"the rules need the classes AGN, Star and one of {', '.join(_COMPACT)}, not {', '.join(names)}"
        )
    return names.index("AGN"), names.index("Star"), max(compact, key=lambda c: int(count[c]))


def best_cut(below: FloatArray, above: FloatArray) -> float:
    """Value that separates two samples best, by the sum of the correct fractions; -inf if one of them is empty."""
    if not below.size or not above.size:
        return -np.inf
    cuts = np.unique(np.concatenate([below, above]))
    right = np.searchsorted(np.sort(below), cuts) / below.size - np.searchsorted(np.sort(above), cuts) / above.size
    return float(cuts[np.argmax(right)])


def _column(sample: Sample, name: str) -> FloatArray:
    """Finite values of a property, NaN elsewhere or if the sample has no such property."""
    names = [p.name for p in sample.properties]
    if name not in names:
        return np.full(len(sample), np.nan)
    values = np.asarray(sample.values[:, names.index(name)], dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _ratio(sample: Sample) -> FloatArray:
    """Log of the flux over that in Ks, or in another infrared band of the source: their constants are nearly equal."""
    ratio = _column(sample, _RATIOS[0])
    for name in _RATIOS[1:]:
        ratio = np.where(np.isnan(ratio), _column(sample, name), ratio)
    return ratio


def _limit(sample: Sample) -> FloatArray:
    """Lower limit of the same ratio, NaN without one."""
    names = [p.name for p in sample.properties]
    if sample.limits is None or _RATIOS[0] not in names:
        return np.full(len(sample), np.nan)
    return np.asarray(sample.limits[:, names.index(_RATIOS[0])], dtype=np.float64)

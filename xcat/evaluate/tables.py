"""xcat's own methods: likelihood tables with weights by property, by category, or none.

The only place of the evaluation that knows how xcat's model is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from xcat.classifier import classify
from xcat.classifier.model import CATEGORIES, Model
from xcat.classifier.properties import FloatArray, IntArray
from xcat.classifier.sample import Sample


@dataclass(frozen=True)
class Tables:
    """Likelihood tables.

    Attributes
    ----------
    name, about : str
    weights : {"property", "category", "equal"}
        An exponent a property and class, one a category, or 1 for all.
    objective : str
        What category weights are tuned for: log_loss, macro_f1 or f1:CLASS.
    n_inner : int
        Folds inside the training part, on which weights are fitted.
    """

    name: str
    about: str
    weights: Literal["property", "category", "equal"]
    objective: str = "log_loss"
    n_inner: int = 10
    probabilities: bool = True

    def fit_predict(
        self,
        train: Sample,
        label: IntArray,
        groups: IntArray,
        test: Sample,
        classes: Sequence[str],
        priors: FloatArray,
        seed: int,
    ) -> FloatArray:
        """Fit tables and weights on the training part, and classify the rest."""
        return classify(self._model(train, label, groups, classes, priors, seed), _values(test)).p

    def _model(
        self,
        train: Sample,
        label: IntArray,
        groups: IntArray,
        classes: Sequence[str],
        priors: FloatArray,
        seed: int,
    ) -> Model:
        from xcat.classifier import crossval, evidence
        from xcat.classifier.model import fit_tables

        args = (train.properties, classes, priors, np.ones(len(CATEGORIES)))
        model = fit_tables(_values(train), label, *args)
        if self.weights == "equal":
            return replace(model, sharpness=float(len(CATEGORIES)))
        fold = crossval.folds(label, groups, self.n_inner, seed)
        terms = np.empty((len(train), len(train.properties), len(classes)), dtype=np.float32)
        for f in range(self.n_inner):
            inner = fit_tables(_values(train)[fold != f], label[fold != f], *args)
            terms[fold == f] = evidence(inner, _values(train)[fold == f])
        return crossval._tuned(model, terms, label, None, self.weights == "property")


def _values(sample: Sample) -> FloatArray:
    return np.where(np.isinf(sample.values), np.nan, sample.values)

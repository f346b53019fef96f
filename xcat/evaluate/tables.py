"""xcat's own methods: likelihood tables with weights by property, by category, or none.

The only place of the evaluation that knows how xcat's model is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xcat.classifier import CATEGORIES, Model, Options, Sample, classify, tune
from xcat.classifier.properties import FloatArray, IntArray


@dataclass(frozen=True)
class Tables:
    """Likelihood tables.

    Attributes
    ----------
    name, about : str
    weights : {"property", "category", "equal"}
        Fitted for every property and pair of classes, or for every category; or 1 for all, which counts all properties
        as independent.
    objective : str
        What category weights are tuned for: log_loss, macro_f1 or f1:CLASS.
    pairs : tuple of (str, str)
        Properties that have a table together, where both are in the sample.
    """

    name: str
    about: str
    weights: Literal["property", "category", "equal"]
    objective: str = "log_loss"
    pairs: tuple[tuple[str, str], ...] = ()
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
        """Fit tables, smoothing and weights on the training part, and classify the rest."""
        return classify(self.fit(train, label, groups, classes, priors, seed), test).p

    def fit(
        self,
        train: Sample,
        label: IntArray,
        groups: IntArray,
        classes: Sequence[str],
        priors: FloatArray,
        seed: int,
    ) -> Model:
        """Fit the model."""
        names = {p.name for p in train.properties}
        pairs = tuple(pair for pair in self.pairs if set(pair) <= names)
        if self.weights == "equal":
            options = Options("equal", sharpness=float(len(CATEGORIES)), smoothing=1.0, pairs=pairs, seed=seed)
        else:
            options = Options(self.weights, self.objective, pairs=pairs, seed=seed)
        return tune(train, label, groups, classes, priors, options)

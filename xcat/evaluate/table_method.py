"""xcat's own methods: likelihood tables with weights by property, by category, or none.

The only place of the evaluation that knows how xcat's model is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xcat.arrays import FloatArray
from xcat.classifier import CATEGORIES, FitOptions, Sample, classify, tune
from xcat.evaluate.protocol import Training


@dataclass(frozen=True)
class Tables:
    """Likelihood tables.

    Attributes
    ----------
    name, about : str
    weights : {"property", "category", "equal"}
        Fitted for every property and pair of classes, or for every category; or 1 for all: independent properties.
    objective : str
        Objective of category weights: log_loss, macro_f1 or f1:CLASS.
    pairs : tuple of (str, str)
        Properties with a two-dimensional table, used if both are in the sample.
    """

    name: str
    about: str
    weights: Literal["property", "category", "equal"]
    objective: str = "log_loss"
    pairs: tuple[tuple[str, str], ...] = ()
    probabilities: bool = True

    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit tables, smoothing and weights to the training part, and classify the rest."""
        names = {p.name for p in train.sample.properties}
        pairs = tuple(pair for pair in self.pairs if set(pair) <= names)
        if self.weights == "equal":
            options = FitOptions("equal", sharpness=float(len(CATEGORIES)), smoothing=1.0, pairs=pairs, seed=seed)
        else:
            options = FitOptions(self.weights, self.objective, pairs=pairs, seed=seed)
        model = tune(train.sample, train.label, train.groups, train.classes, train.mix, options)
        return classify(model, test).p

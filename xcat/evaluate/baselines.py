"""The black boxes, and one that is not: what tables are compared with. They come with the extra `evaluate`.

They get the values of the same properties; not looked for and not there are both missing. Each is set as its users
would set it, the forest as in Tranin et al. 2022 and Yang et al. 2022 but with balanced classes.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError
from xcat.evaluate.protocol import Training

MISSING = -99.0
"""What a random forest, which knows no missing values, is given for one."""


@dataclass(frozen=True)
class Baseline:
    """A classifier with the interface of scikit-learn.

    Attributes
    ----------
    name, about : str
    module, kind : str
        Where its class is, and what it is called.
    package : str
        What has to be installed.
    options : tuple of (str, value)
        Its arguments, without the seed.
    missing : float
        Stands for missing values.
    """

    name: str
    about: str
    module: str
    kind: str
    package: str
    options: tuple[tuple[str, Any], ...] = ()
    missing: float = np.nan
    probabilities: bool = True

    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit on the training part, and classify the rest; a class that it never saw has the probability 0."""
        # a warning on how a data set is shaped is not for the reader of a report
        # two folds at once on two cores are faster than two threads that wait for each other
        kind = self.load()
        limits = importlib.import_module("threadpoolctl").threadpool_limits
        with warnings.catch_warnings(), limits(1):
            warnings.simplefilter("ignore")
            model = kind(random_state=seed, **dict(self.options)).fit(self._values(train.sample), train.label)
            found = model.predict_proba(self._values(test))
        p = np.zeros((len(test), len(train.classes)))
        p[:, np.asarray(model.classes_, dtype=np.int64)] = found
        return p

    def load(self) -> Any:
        """Class of the model.

        Raises
        ------
        ConfigError
            Its package is not installed.
        """
        try:
            return getattr(importlib.import_module(self.module), self.kind)
        except ImportError as error:
            raise ConfigError(
                f"the baseline '{self.name}' needs {self.package}, which is not installed ({error}). "
                "Install the extra: pip install 'xcat[evaluate]', or name the methods: --methods property,category"
            ) from None

    def _values(self, sample: Sample) -> FloatArray:
        values = np.asarray(sample.values, dtype=np.float64)
        return np.where(np.isfinite(values), values, self.missing)


EXPLAINABLE_BAGS = 4
"""Repetitions that explainable boosting averages; its own 14 take three times as long and gain nothing here."""


def baselines(n_trees: int = 500, n_rounds: int | None = None) -> tuple[Baseline, ...]:
    """The baselines; fewer trees and rounds for tests.

    Parameters
    ----------
    n_trees : int
        Of the random forest.
    n_rounds : int, optional
        Rounds of boosting, 20 times as many for explainable boosting, whose steps are small; what each takes by itself,
        if not given.
    """

    def rounds(name: str, times: int = 1) -> tuple[tuple[str, int], ...]:
        return () if n_rounds is None else ((name, times * n_rounds),)

    sklearn = "sklearn.ensemble"
    return (
        Baseline(
            "forest", "random forest", sklearn, "RandomForestClassifier", "scikit-learn",
            (("n_estimators", n_trees), ("class_weight", "balanced"), ("n_jobs", 1)), MISSING,
        ),
        Baseline(
            "lightgbm", "LightGBM, balanced", "lightgbm", "LGBMClassifier", "lightgbm",
            (("class_weight", "balanced"), ("verbose", -1), ("n_jobs", 1), *rounds("n_estimators")),
        ),
        Baseline(
            "histogram", "histogram boosting", sklearn, "HistGradientBoostingClassifier", "scikit-learn",
            rounds("max_iter"),
        ),
        Baseline(
            "explainable", "explainable boosting", "interpret.glassbox", "ExplainableBoostingClassifier",
            "interpret-core",
            (("interactions", 0), ("outer_bags", EXPLAINABLE_BAGS), ("n_jobs", 1), *rounds("max_rounds", 20)),
        ),
    )  # fmt: skip

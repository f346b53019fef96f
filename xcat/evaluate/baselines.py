"""Classifiers of other packages that the tables are compared with; they come with the extra `evaluate`.

They get the values of the same properties; unobserved values are missing, like all others. The settings are the usual
ones, for the forest those of Tranin et al. 2022 and Yang et al. 2022 but with balanced classes.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from xcat.arrays import FloatArray
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError
from xcat.evaluate.protocol import Training

MISSING = -99.0
"""Stands for a missing value in a random forest, which does not support them."""


@dataclass(frozen=True)
class Baseline:
    """A classifier with the interface of scikit-learn.

    Attributes
    ----------
    name, about : str
    module, kind : str
        Module and name of its class.
    package : str
        The package to install.
    options : tuple of (str, value)
        Arguments of the class, without the seed.
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
        """Fit to the training part, and classify the rest; a class missing from the training part has probability 0."""
        kind = self.load()
        # warnings about the shape of the data are useless in a report; parallel folds are faster than parallel threads
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            model = kind(random_state=seed, **dict(self.options)).fit(self._values(train.sample), train.label)
            answer = model.predict_proba(self._values(test))
        p = np.zeros((len(test), len(train.classes)))
        p[:, np.asarray(model.classes_, dtype=np.int64)] = answer
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
"""Repetitions that explainable boosting averages; the default 14 take three times as long and gain nothing here."""


def baselines(n_trees: int = 500, n_rounds: int | None = None) -> tuple[Baseline, ...]:
    """The baselines; fewer trees and rounds for tests.

    Parameters
    ----------
    n_trees : int
        Trees of the random forest.
    n_rounds : int, optional
        Rounds of boosting, 20 times as many for explainable boosting, whose steps are small; by default those of each
        package.
    """

    def rounds(name: str, times: int = 1) -> tuple[tuple[str, int], ...]:
        return () if n_rounds is None else ((name, times * n_rounds),)

    balanced, one_job = ("class_weight", "balanced"), ("n_jobs", 1)
    forest = (("n_estimators", n_trees), balanced, one_job)
    lightgbm = (balanced, ("verbose", -1), one_job, *rounds("n_estimators"))
    explainable = (("interactions", 0), ("outer_bags", EXPLAINABLE_BAGS), one_job, *rounds("max_rounds", 20))
    sklearn, histogram, ebm = "sklearn.ensemble", "HistGradientBoostingClassifier", "ExplainableBoostingClassifier"
    return (
        Baseline("forest", "random forest", sklearn, "RandomForestClassifier", "scikit-learn", forest, MISSING),
        Baseline("lightgbm", "LightGBM, balanced", "lightgbm", "LGBMClassifier", "lightgbm", lightgbm),
        Baseline("histogram", "histogram boosting", sklearn, histogram, "scikit-learn", rounds("max_iter")),
        Baseline("explainable", "explainable boosting", "interpret.glassbox", ebm, "interpret-core", explainable),
    )

"""The methods by name: xcat's own likelihood tables, classifiers of other packages, and the rules.

The classifiers of other packages come with the extra `evaluate`. They get the values of the same properties;
unobserved values are missing, like all others. The settings are the usual ones, for the forest those of Tranin et al.
2022 and Yang et al. 2022 but with balanced classes.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from xcat.arrays import FloatArray
from xcat.classifier import CATEGORIES, FitOptions, Sample, classify, tune
from xcat.classifier.kinds import Kinds
from xcat.errors import ConfigError
from xcat.evaluate.protocol import Labelled, Method, Training
from xcat.evaluate.rules import Rules, roles
from xcat.evaluate.scores import at_priors

RARE = "XRB"
"""Class whose F1 one of the methods is tuned for; if it is not among the classes, the rarest one."""
PAIRS = (("hr1", "hr2"), ("bp_rp", "log_fx_fr"), ("w1_w2", "j_w1"))
"""Pairs of properties with a two-dimensional table, used where a table of labelled sources has both. Not the place on
the sky: a map of the labelled sources is one of the surveys that they are from."""
NAMES = ("property", "category", "category_f1", "equal", "forest", "lightgbm", "histogram", "explainable", "rules")
EXPLAINABLE_BAGS = 4
"""Repetitions that explainable boosting averages; the default 14 take three times as long and gain nothing here."""


@dataclass(frozen=True)
class Tables(Method):
    """Likelihood tables.

    Attributes
    ----------
    weights : {"property", "category", "equal"}
        Fitted for every property and pair of classes, or for every category; or 1 for all: independent properties.
    objective : str
        Objective of category weights: log_loss, macro_f1 or f1:CLASS.
    pairs : tuple of (str, str)
        Properties with a two-dimensional table, used if both are in the sample.
    """

    weights: Literal["property", "category", "equal"]
    objective: str = "log_loss"
    pairs: tuple[tuple[str, str], ...] = ()

    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit tables, smoothing and weights to the training part, and classify the rest."""
        names = {p.name for p in train.sample.properties}
        pairs = tuple(pair for pair in self.pairs if set(pair) <= names)
        if self.weights == "equal":
            options = FitOptions("equal", sharpness=float(len(CATEGORIES)), smoothing=1.0, pairs=pairs, seed=seed)
        else:
            options = FitOptions(self.weights, self.objective, pairs=pairs, seed=seed)
        # the formula with weights of the categories has one table for each class
        kinds = Kinds.of(train.label, train.kind if self.weights == "property" else None, train.classes)
        options = replace(options, part_of=None if kinds.are_classes else kinds.part_of)
        priors = kinds.priors(train.classes, train.mix)
        model = tune(train.sample, kinds.label, train.groups, kinds.names, priors, options)
        return classify(model, test).p


@dataclass(frozen=True)
class Baseline(Method):
    """A classifier with the interface of scikit-learn.

    Attributes
    ----------
    package : str
        The package to install.
    module, kind : str
        Module and name of its class.
    options : mapping
        Arguments of the class, without the seed.
    missing : float
        Stands for missing values.
    """

    package: str
    module: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: float = np.nan

    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit to the training part, and classify the rest; a class missing from the training part has probability 0."""
        kind = self.load()
        # warnings about the shape of the data are useless in a report; parallel folds are faster than parallel threads
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            model = kind(random_state=seed, **self.options).fit(self._values(train.sample), train.label)
            answer = model.predict_proba(self._values(test))
        p = np.zeros((len(test), len(train.classes)))
        p[:, np.asarray(model.classes_, dtype=np.int64)] = answer
        if train.target is None or self.options.get("class_weight") == "balanced":
            return p
        return at_priors(p, train.mix, train.frequencies)

    def load(self) -> Any:
        """Class of the model; ConfigError when its package is not installed."""
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


def choose(
    data: Labelled,
    names: Sequence[str] | None = None,
    *,
    pairs: tuple[tuple[str, str], ...] = (),
    n_trees: int = 500,
    n_rounds: int | None = None,
) -> list[Method]:
    """Methods for these labelled sources.

    Parameters
    ----------
    names : sequence of str, optional
        By default all that the classes allow.
    pairs : tuple of (str, str)
        Properties with a two-dimensional table, in the weighted tables.
    n_trees : int
        Trees of the random forest.
    n_rounds : int, optional
        Rounds of boosting, 20 times as many for explainable boosting, whose steps are small; by default those of each
        package.

    Raises
    ------
    ConfigError
        A method is unknown, its package is not installed, or it does not support the classes.
    """
    rare = RARE if RARE in data.classes else data.classes[int(data.mix.argmin())]

    def rounds(name: str, times: int = 1) -> dict[str, int]:
        return {} if n_rounds is None else {name: times * n_rounds}

    balanced: dict[str, Any] = {"class_weight": "balanced", "n_jobs": 1}
    trees = {"n_estimators": n_trees, **balanced}
    boosting = {**balanced, "verbose": -1, **rounds("n_estimators")}
    explainable = {"interactions": 0, "outer_bags": EXPLAINABLE_BAGS, "n_jobs": 1, **rounds("max_rounds", 20)}
    forest = Baseline(
        "forest", "random forest", "scikit-learn", "sklearn.ensemble", "RandomForestClassifier", trees, -99.0
    )
    histogram = ("scikit-learn", "sklearn.ensemble", "HistGradientBoostingClassifier", rounds("max_iter"))
    ebm = ("interpret-core", "interpret.glassbox", "ExplainableBoostingClassifier", explainable)
    made: list[Method] = [
        Tables("property", "tables, property weights", "property", pairs=pairs),
        Tables("category", "tables, category weights", "category", pairs=pairs),
        Tables("category_f1", f"tables, categories, F1 of {rare}", "category", f"f1:{rare}", pairs),
        Tables("equal", "tables, unweighted", "equal"),
        forest,
        Baseline("lightgbm", "LightGBM, balanced", "lightgbm", "lightgbm", "LGBMClassifier", boosting),
        Baseline("histogram", "histogram boosting", *histogram),
        Baseline("explainable", "explainable boosting", *ebm),
        Rules(),
    ]
    by_name = {method.name: method for method in made}
    unknown = [name for name in names or () if name not in by_name]
    if unknown:
        raise ConfigError(f"unknown method {', '.join(unknown)}. The methods are: {', '.join(by_name)}")
    chosen = [by_name[name] for name in names or NAMES]
    for method in chosen:
        if isinstance(method, Baseline):
            method.load()
    if any(isinstance(method, Rules) for method in chosen):
        try:
            roles(data.classes, data.label)
        except ConfigError:
            if names is not None:
                raise
            chosen = [method for method in chosen if not isinstance(method, Rules)]
    return chosen

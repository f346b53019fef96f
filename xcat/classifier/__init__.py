"""The classifier: densities, tables, weights, posterior, evidence, folds and metrics. It never sees the database.

Everywhere N counts sources, P properties, Q pairs of them, K classes, T categories and G table nodes, in the order that
the `Model` lists them. Classes are numbered from 0; a missing value is NaN, one that was not observed +inf; log is
natural unless it says log10.
"""

from xcat.classifier.crossval import CrossValidation, FitOptions, cross_validate, fit, tune, with_priors
from xcat.classifier.density import Table
from xcat.classifier.held_out import folds
from xcat.classifier.metrics import summarise
from xcat.classifier.model import CATEGORIES, Model, fit_tables
from xcat.classifier.posterior import Classification, classify, contributions, evidence
from xcat.classifier.sample import NOT_OBSERVED, Hypotheses, Sample
from xcat.columns.properties import Property

__all__ = [
    "CATEGORIES",
    "NOT_OBSERVED",
    "Classification",
    "CrossValidation",
    "FitOptions",
    "Hypotheses",
    "Model",
    "Property",
    "Sample",
    "Table",
    "classify",
    "contributions",
    "cross_validate",
    "evidence",
    "fit",
    "fit_tables",
    "folds",
    "summarise",
    "tune",
    "with_priors",
]

"""The classifier: densities, tables, posterior, evidence, folds and metrics. It never sees the database.

Everywhere N counts sources, P properties, K classes, T categories and G table nodes, in the order that the
`Model` lists them. Classes are numbered from 0, missing values are NaN, log is natural unless it says log10.
"""

from xcat.classifier.crossval import CrossValidation, cross_validate, fit, fit_sharpness, folds
from xcat.classifier.density import Table, fit_table
from xcat.classifier.metrics import summarise
from xcat.classifier.model import CATEGORIES, Model, fit_tables
from xcat.classifier.posterior import Classification, classify, evidence
from xcat.classifier.properties import Property, to_scale

__all__ = [
    "CATEGORIES",
    "Classification",
    "CrossValidation",
    "Model",
    "Property",
    "Table",
    "classify",
    "cross_validate",
    "evidence",
    "fit",
    "fit_sharpness",
    "fit_table",
    "fit_tables",
    "folds",
    "summarise",
    "to_scale",
]

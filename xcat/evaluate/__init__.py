"""Evaluation: every method on the same folds, scored on held-out sources. It opens no database.

`leakage` checks the properties beforehand; `protocol` holds the folds and what a method is, `grouping` the groups of
sources that stay in one fold, `second_origin` the classification of a second table; `methods` and `rules` are the
methods; `scores` has the figures, `studies` further studies; `text`, `figures` and `page` show the result.
"""

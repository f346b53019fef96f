"""Honest evaluation: every method on the same folds, scored by sources that it did not see. It never sees the database.

`protocol` holds the folds and what a method is, `tables`, `baselines` and `rules` the methods, `scores` the figures,
`studies` what else is asked of the method by property weights, `leakage` the check before all that.
"""

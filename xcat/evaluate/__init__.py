"""Honest evaluation: every method on the same folds, scored by sources that it did not see. It opens no database.

`protocol` holds the folds and what a method is; `tables`, `baselines` and `rules` the methods, `methods` their names;
`scores` the figures, `studies` what else is asked, `leakage` the check before all that; `own` reads a table of one's
own; `text`, `figures` and `page` show the result.
"""

"""All methods by name."""

from __future__ import annotations

from collections.abc import Sequence

from xcat.errors import ConfigError
from xcat.evaluate.baselines import Baseline, baselines
from xcat.evaluate.protocol import Labelled, Method
from xcat.evaluate.rules import Rules, roles
from xcat.evaluate.table_method import Tables

RARE = "XRB"
"""Class whose F1 one of the methods is tuned for; if it is not among the classes, the rarest one."""
PAIRS = (("abs_b", "abs_l"), ("hr1", "hr2"), ("bp_rp", "log_fx_fr"), ("w1_w2", "j_w1"))
"""Pairs of properties with a two-dimensional table, used where a table of labelled sources has both."""
NAMES = ("property", "category", "category_f1", "equal", "forest", "lightgbm", "histogram", "explainable", "rules")


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
    data : Labelled
    names : sequence of str, optional
        By default all that the classes allow.
    pairs : tuple of (str, str)
        Properties with a two-dimensional table, in the weighted tables.
    n_trees, n_rounds
        As in `baselines`.

    Raises
    ------
    ConfigError
        A method is unknown, its package is not installed, or it does not support the classes.
    """
    rare = RARE if RARE in data.classes else data.classes[int(data.mix.argmin())]
    made: list[Method] = [
        Tables("property", "tables, property weights", "property", pairs=pairs),
        Tables("category", "tables, category weights", "category", pairs=pairs),
        Tables("category_f1", f"tables, categories, F1 of {rare}", "category", f"f1:{rare}", pairs),
        Tables("equal", "tables, unweighted", "equal"),
        *baselines(n_trees, n_rounds),
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

"""Labelled sources in a user's table, for the evaluation. No database is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.model import is_behind_galaxy
from xcat.classifier.sample import Sample
from xcat.columns.properties import all_properties, select
from xcat.errors import ConfigError, InputError
from xcat.evaluate.grouping import neighbours, sky_cells
from xcat.evaluate.protocol import Labelled, counterparts
from xcat.own.property_columns import UserProperties, read_properties
from xcat.tables.facts import TableLike

POSTER_PRIORS = {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02}
_NOT_BY_DEFAULT = ("flux_ratio_sigma",)  # repeats log_flux_ratio_low


def of_table(
    table: TableLike,
    label_column: str,
    *,
    answers: Sequence[str] = (),
    class_map: Mapping[str, str] | None = None,
    priors: Mapping[str, float] | None = None,
    properties: Sequence[str] | None = None,
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Labelled, list[str]]:
    """Labelled sources of a user's table; their numbers are its rows, from 1.

    Parameters
    ----------
    label_column : str
        Column of the true class.
    answers : sequence of str
        Columns of published classes. ``PREFIX*`` stands for columns of the prefix and a class of the table, with
        published probabilities, which are summed over the classes mapped to one; the most probable is the answer.
    class_map : mapping, optional
        Class of the table to class; others are left out. Without it every value of the column is a class.
    priors : mapping, optional
        Class to prior. Without it those of Tranin et al. 2022 if the classes are theirs, else the sample's fractions.
    properties : sequence of str, optional
        Without it all that the table gives.
    band, columns
        As in `read_properties`.

    Returns
    -------
    Labelled
    list of str
        What was taken for what, and what was left out.

    Raises
    ------
    InputError
        A column does not exist, or no row has a label.
    ConfigError
        A prior is missing.
    """
    wanted = list(properties or (p.name for p in all_properties() if p.name not in _NOT_BY_DEFAULT))
    user = read_properties(table, [*wanted, *({"log_fx"} - set(wanted))], band, columns)
    for column in (label_column, *(a for a in answers if not a.endswith("*"))):
        if column not in user.table.colnames:
            raise InputError(f"{user.name}: no column '{column}'. There are: {', '.join(user.table.colnames)}")
    native = _text(user.table[label_column])
    mapping = dict(class_map) if class_map else {name: name for name in np.unique(native) if name}
    classes = tuple(dict.fromkeys(mapping.values()))
    number = {name: classes.index(c) for name, c in mapping.items()}
    index = _mapped(native, number)
    rows = np.flatnonzero(index >= 0)
    if not rows.size:
        raise InputError(f"{user.name}: no row's '{label_column}' is one of {', '.join(mapping)}")
    left_out = zip(*np.unique(native[index < 0], return_counts=True), strict=True)
    messages = [*user.messages, *(f"left out: {n} rows with {label_column} '{c}'" for c, n in left_out)]
    used = [j for j, name in enumerate(user.names) if name in wanted and user.has_columns[j]]
    missing = [name for j, name in enumerate(user.names) if name in wanted and not user.has_columns[j]]
    if missing:
        messages.append(f"not in the table: {', '.join(missing)}")
    if not used:
        raise InputError(f"{user.name}: the table gives none of the properties {', '.join(wanted)}")
    names = [user.names[j] for j in used]
    shift = user.shift(names) if any(map(is_behind_galaxy, classes)) else None
    of_rows = (user.values[rows][:, used], user.errors[rows][:, used])
    sample = Sample(select(names), *of_rows, shift=None if shift is None else shift[rows])
    ra, dec = user.ra[rows], user.dec[rows]
    labelled = Labelled(
        rows + 1,
        sample,
        index[rows],
        {"source": neighbours(ra, dec), "sky": sky_cells(ra, dec)},
        classes,
        _priors(classes, priors, index[rows]),
        user.values[rows, user.names.index("log_fx")],
        counterparts(sample),
        {name: _published(user, name, number)[rows] for name in answers},
    )
    return labelled, messages


def _published(user: UserProperties, name: str, numbers: Mapping[str, int]) -> IntArray:
    """Published class of every row, from a column of classes or from columns of probabilities; -1 for others."""
    table: Table = user.table
    if not name.endswith("*"):
        return _mapped(_text(table[name]), numbers)
    columns = {c: name[:-1] + c for c in numbers if name[:-1] + c in table.colnames}
    if not columns:
        raise InputError(f"{user.name}: no columns {', '.join(name[:-1] + c for c in numbers)}")
    p = np.zeros((len(table), max(numbers.values()) + 1))
    for native, column in columns.items():
        p[:, numbers[native]] += np.nan_to_num(np.ma.filled(np.ma.asarray(table[column], dtype=np.float64), 0.0))
    return np.where(p.sum(axis=1) > 0, p.argmax(axis=1), -1)


def _text(column: Any) -> np.ndarray:
    """A column as text without blanks around it; missing is empty."""
    values = np.ma.filled(np.ma.asarray(column).astype("U"), "")
    return np.strings.strip(values)


def _mapped(native: np.ndarray, numbers: Mapping[str, int]) -> IntArray:
    """Numbers of texts, -1 for those that are not in the mapping."""
    return np.asarray(pd.Series(native).map(numbers).fillna(-1), dtype=np.int64)


def _priors(classes: Sequence[str], given: Mapping[str, float] | None, label: IntArray) -> FloatArray:
    if given is not None and (set(given) != set(classes) or any(not v > 0 for v in given.values())):
        raise ConfigError(f"--priors takes a positive number for each of the classes: {', '.join(classes)}")
    if given is None and set(classes) <= set(POSTER_PRIORS):
        given = POSTER_PRIORS
    if given is None:
        weights = np.bincount(label, minlength=len(classes)) + 0.5
    else:
        weights = np.array([given[c] for c in classes], dtype=np.float64)
    return np.asarray(weights / weights.sum())

"""Labelled sources in a user's table, for the evaluation. No database is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from xcat.arrays import FloatArray, IntArray
from xcat.classifier import FitOptions, Sample, tune
from xcat.classifier.model import is_behind_galaxy
from xcat.columns.properties import all_properties, select
from xcat.errors import ConfigError, InputError
from xcat.evaluate.grouping import near, neighbours, sky_cells
from xcat.evaluate.protocol import Labelled, counterparts, with_origin
from xcat.models.training_range import off_range
from xcat.own.property_columns import UserProperties, read_properties
from xcat.tables.facts import TableLike

POSTER_PRIORS = {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02}
ORIGIN_NAMES = (
    "classref",
    "refclass",
    "labelref",
    "typeref",
    "classreference",
    "bibcode",
    "refcode",
    "reference",
    "ref",
)
"""Names, without case and signs, of columns with the reference of a label, the most likely first."""
SAME_SOURCE_ARCSEC = 2.0
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
    origin: str | None = None,
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
    origin : str, optional
        Column of the reference that a label comes from; guessed by its name if not given, "" for none.

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
    mapping = dict(class_map) if class_map else {str(name): str(name) for name in np.unique(native) if name}
    classes = tuple(dict.fromkeys(mapping.values()))
    index, rows, left_out = _labels(user.name, native, label_column, mapping, classes)
    messages = [*user.messages, *left_out]
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
    number = {name: classes.index(c) for name, c in mapping.items()}
    labelled = _labelled(user, rows, sample, index[rows], classes, _priors(classes, priors, index[rows]))
    labelled = replace(labelled, answers={name: _published(user, name, number)[rows] for name in answers})
    if len(mapping) > len(classes):
        labelled = replace(labelled, kind=native[rows])
        kinds = {c: [name for name, of_class in mapping.items() if of_class == c] for c in classes}
        named = "; ".join(f"{c} ({', '.join(names)})" for c, names in kinds.items() if len(names) > 1)
        messages.append(f"{user.name}: kinds, with tables of their own where property weights are fitted: {named}")
    column = _origin_column(user, origin)
    if column:
        labelled = with_origin(labelled, _text(user.table[column])[rows])
        messages.append(f"{user.name}: the reference of a label is {column} ({'given' if origin else 'name'})")
        messages += labelled.notes
    return labelled, messages


def second_table(
    first: Labelled,
    table: TableLike,
    label_column: str,
    *,
    class_map: Mapping[str, str] | None = None,
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Labelled, list[str]]:
    """Labelled sources of a second origin, in the classes of the first one and with properties that both have.

    Parameters
    ----------
    first : Labelled
        Sources that the methods will be fitted to. Sources within `SAME_SOURCE_ARCSEC` of one of them are left out.
    label_column, class_map, band, columns
        As in `of_table`; without a `class_map` the column has the names of the classes.

    Raises
    ------
    InputError
        A column does not exist, no source is left, or values whose unit was assumed are not like those of the first.
    ConfigError
        The mapping names a class that the first origin does not have.
    """
    names = [p.name for p in first.sample.properties]
    try:
        user = read_properties(table, [*names, *({"log_fx"} - set(names))], band, columns)
    except (InputError, ConfigError) as error:
        raise type(error)(_of_second(str(error))) from None
    if label_column not in user.table.colnames:
        raise InputError(f"{user.name}: no column '{label_column}'. There are: {', '.join(user.table.colnames)}")
    mapping = dict(class_map) if class_map else {name: name for name in first.classes}
    wrong = sorted(set(mapping.values()) - set(first.classes))
    if wrong:
        raise ConfigError(
            f"{user.name}: class {', '.join(wrong)} is none of those to train on: {', '.join(first.classes)}"
        )
    index, rows, left_out = _labels(user.name, _text(user.table[label_column]), label_column, mapping, first.classes)
    messages = [*map(_of_second, user.messages), *left_out]
    used = [j for j, name in enumerate(user.names) if name in names and user.has_columns[j]]
    shared = [name for name in names if name in {user.names[j] for j in used}]
    if not shared:
        raise InputError(f"{user.name}: gives none of the properties to train on: {', '.join(names)}")
    if len(shared) < len(names):
        messages.append(
            f"{user.name}: gives {len(shared)} of {len(names)} properties, and only these are used for it; without "
            f"{', '.join(n for n in names if n not in shared)}"
        )
    messages += _same_units(first, user, shared)
    if first.position is not None:
        again = near(np.stack([user.ra, user.dec], axis=1)[rows], first.position, SAME_SOURCE_ARCSEC)
        if again.any():
            messages.append(
                f"{user.name}: left out: {again.sum():,} sources within {SAME_SOURCE_ARCSEC:g} arcsec of one "
                "to train on"
            )
        rows = rows[~again]
    if not rows.size:
        raise InputError(f"{user.name}: every labelled source is one to train on, too")
    columns_of = [user.names.index(name) for name in shared]
    shift = user.shift(shared) if any(map(is_behind_galaxy, first.classes)) else None
    of_rows = (user.values[rows][:, columns_of], user.errors[rows][:, columns_of])
    sample = Sample(select(shared), *of_rows, shift=None if shift is None else shift[rows])
    return _labelled(user, rows, sample, index[rows], first.classes, first.priors), messages


def _same_units(first: Labelled, user: UserProperties, names: Sequence[str]) -> list[str]:
    """Warnings about values that are not where those of the first origin are; InputError if their unit was assumed."""
    options = FitOptions("equal", sharpness=1.0, smoothing=1.0)
    model = tune(first.sample.select(names), first.label, None, first.classes, first.mix, options)
    found = off_range(model, user.names, user.values, user.assumed)
    refused = [one.message for one in found if one.refused]
    if refused:
        raise InputError(_of_second(f"{user.name}: {'; '.join(refused)}"))
    return [f"{user.name}: {one.message}" for one in found]


def _of_second(text: str) -> str:
    """A message about a table, with the options of a second one."""
    return re.sub(r"--(?=(column|band)\b)", "--test-", text)


def _labels(
    table: str, native: np.ndarray, column: str, mapping: Mapping[str, str], classes: Sequence[str]
) -> tuple[IntArray, IntArray, list[str]]:
    """Class of every row, -1 for none; rows with a class; and what is left out."""
    index = _mapped(native, {name: classes.index(c) for name, c in mapping.items()})
    rows = np.flatnonzero(index >= 0)
    if not rows.size:
        raise InputError(f"{table}: no row's '{column}' is one of {', '.join(mapping)}")
    left_out = zip(*np.unique(native[index < 0], return_counts=True), strict=True)
    return index, rows, [f"{table}: left out: {n} rows with {column} '{c}'" for c, n in left_out]


def _labelled(
    user: UserProperties, rows: IntArray, sample: Sample, label: IntArray, classes: tuple[str, ...], priors: FloatArray
) -> Labelled:
    """Rows of a table, with groups of one object and of one cell of the sky."""
    ra, dec = user.ra[rows], user.dec[rows]
    return Labelled(
        rows + 1,
        sample,
        label,
        {"source": neighbours(ra, dec), "sky": sky_cells(ra, dec)},
        classes,
        priors,
        user.values[rows, user.names.index("log_fx")],
        counterparts(sample),
        position=np.stack([ra, dec], axis=1),
    )


def _origin_column(user: UserProperties, given: str | None) -> str:
    """Column of the reference of a label; empty for none."""
    if given and given not in user.table.colnames:
        raise InputError(f"{user.name}: no column '{given}'. There are: {', '.join(user.table.colnames)}")
    if given is not None:
        return given
    by_name = {re.sub(r"[^a-z]", "", name.lower()): name for name in reversed(user.table.colnames)}
    return next((by_name[name] for name in ORIGIN_NAMES if name in by_name), "")


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

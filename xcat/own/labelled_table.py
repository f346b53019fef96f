"""Labelled sources in a table of one's own, for the evaluation. No database is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.sample import Sample
from xcat.columns.properties import all_properties
from xcat.errors import ConfigError, InputError
from xcat.evaluate.grouping import neighbours, sky_cells
from xcat.evaluate.protocol import Labelled, counterparts
from xcat.own.property_columns import read_properties

POSTER_PRIORS = {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02}
_NOT_BY_DEFAULT = ("flux_ratio_sigma",)  # repeats log_flux_ratio_low


def of_table(
    path: Path,
    label_column: str,
    *,
    answers: Sequence[str] = (),
    class_map: Mapping[str, str] | None = None,
    priors: Mapping[str, float] | None = None,
    properties: Sequence[str] | None = None,
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Labelled, list[str]]:
    """Labelled sources of a table of one's own; their numbers are its rows, from 1.

    Parameters
    ----------
    path : Path
    label_column : str
        Column of the true class.
    answers : sequence of str
        Columns of published classes. ``PREFIX*`` stands for columns of the prefix and a class of the table, with
        published probabilities, which are summed over what makes one of our classes; the most probable is the answer.
    class_map : mapping, optional
        Class of the table to class; others are left out. Without it all that the column says are classes.
    priors : mapping, optional
        Class to prior. Without, those of Tranin et al. 2022 if the classes are theirs, else the sample's mix.
    properties : sequence of str, optional
        All that the table gives, without.
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
        A column is not there, or no row has a label.
    ConfigError
        A prior is missing.
    """
    known = {p.name: p for p in all_properties()}
    wanted = list(properties) if properties else [name for name in known if name not in _NOT_BY_DEFAULT]
    own = read_properties(path, [*wanted, *({"log_fx"} - set(wanted))], band, columns)
    for column in (label_column, *(a for a in answers if not a.endswith("*"))):
        if column not in own.table.colnames:
            raise InputError(f"{path}: no column '{column}'. There are: {', '.join(own.table.colnames)}")
    native = _text(own.table[label_column])
    mapping = dict(class_map) if class_map else {name: name for name in np.unique(native) if name}
    classes = tuple(dict.fromkeys(mapping.values()))
    number = {c: i for i, c in enumerate(classes)}
    index = _mapped(native, {name: number[c] for name, c in mapping.items()})
    rows = np.flatnonzero(index >= 0)
    if not rows.size:
        raise InputError(f"{path}: no row's '{label_column}' is one of {', '.join(mapping)}")
    left_out = np.unique(native[index < 0], return_counts=True)
    lines = list(own.told)
    lines += [f"left out: {n} rows with {label_column} '{c}'" for c, n in zip(*left_out, strict=True)]
    names = list(own.names)
    used = [names.index(name) for name in wanted if own.known[names.index(name)]]
    missing = [name for name in wanted if not own.known[names.index(name)]]
    if missing:
        lines.append(f"not in the table: {', '.join(missing)}")
    if not used:
        raise InputError(f"{path}: the table gives none of the properties {', '.join(wanted)}")
    kept = tuple(known[names[j]] for j in used)
    sample = Sample(kept, own.values[rows][:, used], own.errors[rows][:, used])
    ra, dec = own.ra[rows], own.dec[rows]
    return (
        Labelled(
            rows + 1, sample, index[rows], {"source": neighbours(ra, dec), "sky": sky_cells(ra, dec)},
            classes, _priors(classes, priors, index[rows]), own.values[rows, names.index("log_fx")],
            counterparts(sample),
            {c: _published(path, own.table, c, {n: number[k] for n, k in mapping.items()})[rows] for c in answers},
        ),
        lines,
    )  # fmt: skip


def _published(path: Path, table: Table, name: str, numbers: Mapping[str, int]) -> IntArray:
    """Published class of every row, from a column of classes or from columns of probabilities; -1: none of ours."""
    if not name.endswith("*"):
        return _mapped(_text(table[name]), numbers)
    columns = {c: name[:-1] + c for c in numbers if name[:-1] + c in table.colnames}
    if not columns:
        raise InputError(f"{path}: no columns {', '.join(name[:-1] + c for c in numbers)}")
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
    values, where = np.unique(native, return_inverse=True)
    found = np.array([numbers.get(str(v), -1) for v in values], dtype=np.int64)
    return found[where.ravel()]


def _priors(classes: Sequence[str], given: Mapping[str, float] | None, label: IntArray) -> FloatArray:
    if given is None:
        if set(classes) <= set(POSTER_PRIORS):
            found = np.array([POSTER_PRIORS[c] for c in classes])
        else:
            found = np.bincount(label, minlength=len(classes)) + 0.5
        return np.asarray(found / found.sum())
    if set(given) != set(classes) or any(not v > 0 for v in given.values()):
        raise ConfigError(f"--priors takes a positive number for each of the classes: {', '.join(classes)}")
    found = np.array([given[c] for c in classes], dtype=np.float64)
    return np.asarray(found / found.sum())

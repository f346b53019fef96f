"""Requests of HTTP that end, and the tables that come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import requests
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from xcat.errors import InputError


class Session(requests.Session):
    """Requests that do not wait for ever, and whose answers are closed: pyvo does not read them to the end."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._answers: list[requests.Response] = []

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """As of `requests.Session`, with a timeout."""
        self._answers.append(super().request(*args, **{"timeout": self._timeout_s, **options}))
        return self._answers[-1]

    def end_answers(self) -> None:
        """Close all that was answered so far."""
        while self._answers:
            self._answers.pop().close()


def degrees(table: Table, name: str) -> np.ndarray:
    """A column of angles in degrees, NaN where it is masked; without a unit it is in degrees."""
    if name not in table.colnames:
        raise InputError(f"the table has no column '{name}', only {', '.join(table.colnames)}")
    values = np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan)
    unit = table[name].unit
    return np.asarray(values if unit is None else (values * u.Unit(unit)).to_value(u.deg))


def texts(column: Column) -> Column:
    """Texts of any length in numpy's own type, as `xcat.sql` gives them."""
    if column.dtype.kind != "O" or not all(v is None or v is np.ma.masked or isinstance(v, str) for v in column):
        return column
    values = np.ma.asarray(column)
    missing = np.ma.getmaskarray(values) | np.array([v is None for v in np.ma.getdata(values)], dtype=bool)
    data = np.where(missing, "", np.ma.getdata(values)).astype(np.str_)
    made = MaskedColumn(data, mask=missing) if missing.any() else Column(data)
    made.unit, made.description, made.meta = column.unit, column.description, dict(column.meta)
    return made


def spread(table: Table, places: np.ndarray, n_rows: int) -> Table:
    """The rows of a table at some places of a longer one, whose other rows are masked."""
    index = np.zeros(n_rows, dtype=np.int64)
    index[places] = np.arange(len(places))
    is_empty = np.ones(n_rows, dtype=bool)
    is_empty[places] = False
    out = Table(meta=dict(table.meta))
    for column in table.itercols():
        values = np.ma.asarray(column)
        if len(values):
            mask = is_empty.reshape(-1, *[1] * (values.ndim - 1)) | np.ma.getmaskarray(values)[index]
            made = MaskedColumn(np.ma.getdata(values)[index], mask=mask)
        else:
            made = MaskedColumn(np.zeros((n_rows, *values.shape[1:]), dtype=values.dtype), mask=True)
        made.unit, made.description, made.meta = column.unit, column.description, dict(column.meta)
        out[column.name] = made
    return out

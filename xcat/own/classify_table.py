"""Classify a table of one's own with a model of the database; nothing is written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from xcat import progress
from xcat.classifier.model import Model
from xcat.classifier.posterior import LEAST_P_TAIL, Classification, classify, contributions
from xcat.classifier.sample import NOT_OBSERVED, Sample
from xcat.columns.registry import columns as meanings
from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.models import answers, store
from xcat.own.match_answer import unique_labels
from xcat.own.property_columns import OwnTable, read_properties

_PIECE = 50_000  # rows; a classification takes some 600 bytes a row


@dataclass
class Classified:
    """A table with its classes.

    Parameters
    ----------
    table : Table
        The rows of the file in their order; its columns, then those of the classification.
    told : list of str
        What was taken for what, and what is missing.
    summary : dict
        Rows, classes, outliers, times and memory; JSON-ready.
    """

    table: Table
    told: list[str]
    summary: dict[str, Any]


def load_model(conn: Connection, which: str) -> tuple[int, Model]:
    """Model of a fit run, by its number, or of the published run.

    Raises
    ------
    XcatError
        There is no such model, or nothing is published.
    """
    if which == "published":
        row = conn.execute(job("classify.published").compose()).fetchone()
        if row is None:
            raise XcatError(
                "nothing is published yet. Run: xcat publish RUN, or give a fit run: --model RUN (xcat runs)"
            )
        number = int(runs.get(conn, row[0], "classify")["model_run_id"])
    elif which.isdecimal() and len(which) < 10:
        number = int(which)
        runs.get(conn, number, "fit")
    else:
        raise XcatError(f"--model {which}: give the number of a fit run (see: xcat runs), or 'published'")
    return number, store.load(conn, number)


def classify_table(
    path: Path,
    run_id: int,
    model: Model,
    *,
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    hdu: int | str | None = None,
    for_fits: bool = False,
) -> Classified:
    """Read a table, derive the properties of the model, and classify its rows.

    Parameters
    ----------
    path : Path
    run_id : int
        Number of the model, for the record.
    model : Model
    band, columns, hdu
        See `xcat.own.property_columns.read_properties`.
    for_fits : bool
        The table is to be written to FITS, whose names are ASCII and not told apart by case.

    Returns
    -------
    Classified

    Raises
    ------
    InputError, ConfigError
        As `read_properties`; or the table has none of the properties.

    Notes
    -----
    A property that the table has no columns for says nothing: it is left out of the sum. One that has columns, and no
    value in a row, is missing there as it is in a source of the catalogues, which is evidence. So what a row gets does
    not depend on the other rows. A row without any value is not classified.
    """
    clock: dict[str, float] = {}
    with progress.timed(clock, "read"), progress.bar(f"read {path.name}"):
        own = read_properties(path, [p.name for p in model.properties], band, columns, hdu)
    if not own.known.any():
        raise XcatError(
            f"{path}: the table gives none of the properties of model {run_id} ({', '.join(own.names)}). "
            "Say which column gives one: --column PROPERTY=COLUMN"
        )
    with progress.timed(clock, "classify"):
        usable = np.asarray(~np.isnan(own.values).all(axis=1))
        parts = []
        with progress.bar(f"classify {len(usable):,} rows", len(usable)) as advance:
            for first in range(0, len(usable), _PIECE):
                piece = slice(first, first + _PIECE)
                parts.append(_columns(model, own, piece))
                advance(len(usable[piece]))
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not usable.all():
            own.told.append(f"{path.name}: {(~usable).sum():,} rows have no value at all and are not classified")
        table = _joined(own, found, usable, model, for_fits)
    return Classified(table, own.told, _summary(path, run_id, model, own, found, usable, clock))


def _columns(model: Model, own: OwnTable, piece: slice) -> dict[str, np.ndarray]:
    """What the model says of some rows, as columns."""
    values = np.where(own.known, own.values[piece], NOT_OBSERVED)
    result = classify(model, Sample(model.properties, values, own.errors[piece]))
    names = np.array(model.classes)
    return {
        "class": names[result.class_index],
        **{f"p_{_word(c)}": result.p[:, k] for k, c in enumerate(model.classes)},
        "margin": result.margin,
        "outlier": result.outlier,
        "p_tail": result.p_tail,
        "is_outlier": result.p_tail < LEAST_P_TAIL,
        "n_missing": result.n_missing.astype(np.int16),
        "alternative": np.char.decode(answers.alternatives(model, result)),
        **_nats(model, result),
    }


def _nats(model: Model, result: Classification) -> dict[str, np.ndarray]:
    """Natural log of the odds of the best class over the second, and what prior and each category have of it."""
    order = np.argsort(result.p, axis=1)
    best, second = order[:, -1], order[:, -2] if len(model.classes) > 1 else order[:, -1]
    said = contributions(model, result.evidence)
    rows = np.arange(len(best))
    advantage = said[rows, :, best] - said[rows, :, second]
    category = model.category_index
    return {
        "nats_prior": model.log_prior[best] - model.log_prior[second],
        **{f"nats_{t}": advantage[:, category == k].sum(axis=1) for k, t in enumerate(model.categories)},
    }


def _word(name: str) -> str:
    """A class as part of a column's name."""
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _joined(own: OwnTable, found: dict[str, np.ndarray], usable: np.ndarray, model: Model, for_fits: bool) -> Table:
    """The file's columns, then ours, all with a prefix if the file has one of the names."""
    out, told = own.table.copy(copy_data=False), own.told
    if for_fits:
        ascii_names = [name.encode("ascii", "replace").decode() for name in out.colnames]
        for old, new in zip(own.table.colnames, unique_labels(ascii_names), strict=True):
            if old != new:
                out.rename_column(old, new)
                told.append(f"column '{old}' is written as '{new}': names in FITS are ASCII, and alike in either case")
    there = {name.casefold() for name in out.colnames}
    prefix = ""
    while taken := [name for name in found if (prefix + name).casefold() in there]:
        prefix += "xcat_"
        told.append(f"the columns of the classification begin with {prefix}: the table has {', '.join(taken)}")
    for name, values in found.items():
        column = Column(values) if usable.all() else _masked(values, ~usable)
        column.description, column.meta["ucd"] = _meaning(name, model)
        if values.dtype.kind == "f":
            column.info.format = ".7g"  # as many digits as mean something, in formats that are text
        out[prefix + name] = column
    return out


def _masked(values: np.ndarray, mask: np.ndarray) -> MaskedColumn:
    values = values.copy()
    values[mask] = np.nan if values.dtype.kind == "f" else np.zeros(1, values.dtype)[0]
    return MaskedColumn(values, mask=mask)


def _meaning(name: str, model: Model) -> tuple[str, str]:
    """Words and UCD of a column."""
    if name in meanings():
        return meanings()[name].about, meanings()[name].ucd
    if name.startswith("nats_"):
        about = f"Natural log of the odds of the best class over the second that come from: {name[5:]}"
        return about, "stat.likelihood;arith.ratio"
    klass = next(c for c in model.classes if f"p_{_word(c)}" == name)
    return f"Probability of the class {klass}", "stat.probability;src.class"


# --- what happened ----------------------------------------------------------------------------------------


def _summary(
    path: Path,
    run_id: int,
    model: Model,
    own: OwnTable,
    found: dict[str, np.ndarray],
    usable: np.ndarray,
    seconds: dict[str, float],
) -> dict[str, Any]:
    classes = found["class"][usable]
    outlier = found["is_outlier"][usable]
    return {
        "table": str(path),
        "model_run_id": run_id,
        "rows_in": len(usable),
        "classified": int(usable.sum()),
        "classes": {c: int((classes == c).sum()) for c in model.classes},
        "outliers": {c: int(outlier[classes == c].sum()) for c in model.classes},
        "properties": [name for name, there in zip(own.names, own.known, strict=True) if there],
        "not_in_the_table": [name for name, there in zip(own.names, own.known, strict=True) if not there],
        "bad_values": own.n_bad,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_mb": progress.peak_memory_mb(),
    }


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    total = max(result["classified"], 1)
    there, gone = len(result["properties"]), len(result["not_in_the_table"])
    lines = [f"model of run {result['model_run_id']}: {there} of its {there + gone} properties are in the table"]
    if there < gone:
        lines.append("WARNING: with so few, the classes are little more than the priors")
    lines.append(f"{result['rows_in']:,} rows in, {result['classified']:,} classified")
    width = max(len(name) for name in result["classes"])
    lines += [
        f"  -> {name.ljust(width)} {n:>9,} ({n / total:6.1%}), {result['outliers'][name]:,} of them outliers"
        for name, n in result["classes"].items()
    ]
    lines.append(f"outliers: as far out as fewer than {LEAST_P_TAIL:.0%} of the members of the class")
    lines.append("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items()))
    lines.append(f"peak memory: {result['peak_memory_mb']:,.0f} MB, the database apart")
    return "\n".join(lines)

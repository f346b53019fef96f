"""Classify a user's table with a model of the database; nothing is written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table

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
from xcat.output.provenance import KEY, provenance
from xcat.own.property_columns import UserProperties, read_properties
from xcat.own.table_result import TableResult, cost_lines, costs, masked, step
from xcat.tables.facts import TableLike

_PIECE = 50_000  # rows; a classification takes some 600 bytes per row


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
    table: TableLike,
    run_id: int,
    model: Model,
    *,
    band: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    hdu: int | str | None = None,
) -> TableResult:
    """Read a table, derive the properties of the model, and classify its rows.

    Parameters
    ----------
    run_id : int
        Number of the model, for the record.
    band, columns, hdu
        See `xcat.own.property_columns.read_properties`.

    Raises
    ------
    InputError, ConfigError
        As `read_properties`; or the table has none of the properties.

    Notes
    -----
    A property that the table has no columns for is excluded: it contributes nothing to the sum. One that has columns,
    and no value in a row, is missing there as it is in a source of the catalogues, which is evidence. So the answer for
    a row does not depend on the other rows. A row without any value is not classified.
    """
    seconds: dict[str, float] = {}
    with step(seconds, "read", "read the table"):
        user = read_properties(table, [p.name for p in model.properties], band, columns, hdu)
    if not user.has_columns.any():
        raise XcatError(
            f"{user.name}: the table gives none of the properties of model {run_id} ({', '.join(user.names)}). "
            "Say which column gives one: --column PROPERTY=COLUMN"
        )
    with progress.timed(seconds, "classify"):
        usable = np.asarray(~np.isnan(user.values).all(axis=1))
        pieces = []
        with progress.bar(f"classify {len(usable):,} rows", len(usable)) as advance:
            for first in range(0, len(usable), _PIECE):
                piece = slice(first, first + _PIECE)
                pieces.append(_columns(model, user, piece))
                advance(len(usable[piece]))
        answer = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        if not usable.all():
            user.messages.append(f"{user.name}: {(~usable).sum():,} rows have no value at all and are not classified")
        joined = _joined(user, answer, usable, model, run_id)
    classes, is_outlier, names = answer["class"][usable], answer["is_outlier"][usable], np.array(user.names)
    summary = {
        "table": user.name,
        "model_run_id": run_id,
        "rows_in": len(usable),
        "classified": int(usable.sum()),
        "classes": {c: int((classes == c).sum()) for c in model.classes},
        "outliers": {c: int(is_outlier[classes == c].sum()) for c in model.classes},
        "properties": names[user.has_columns].tolist(),
        "not_in_the_table": names[~user.has_columns].tolist(),
        "bad_values": user.n_bad,
        **costs(seconds),
    }
    return TableResult(joined, user.messages, summary)


def _columns(model: Model, user: UserProperties, piece: slice) -> dict[str, np.ndarray]:
    """The classification of some rows, as columns."""
    values = np.where(user.has_columns, user.values[piece], NOT_OBSERVED)
    result = classify(model, Sample(model.properties, values, user.errors[piece]))
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
    """Natural log of the odds of the best class over the second, by prior and category."""
    order = np.argsort(result.p, axis=1)
    best, second = order[:, -1], order[:, -2] if len(model.classes) > 1 else order[:, -1]
    terms = contributions(model, result.evidence)
    rows = np.arange(len(best))
    advantage = terms[rows, :, best] - terms[rows, :, second]
    category = model.category_index
    return {
        "nats_prior": model.log_prior[best] - model.log_prior[second],
        **{f"nats_{t}": advantage[:, category == k].sum(axis=1) for k, t in enumerate(model.categories)},
    }


def _word(name: str) -> str:
    """A class as part of a column's name."""
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _joined(
    user: UserProperties, answer: dict[str, np.ndarray], usable: np.ndarray, model: Model, run_id: int
) -> Table:
    """The user's columns, then those of the answer, all with a prefix if the user's table has one of the names."""
    out, messages = user.table.copy(copy_data=False), user.messages
    for column in out.itercols():  # the frame of the user's positions is as the user's file has it
        column.meta = {"frame": ""} | column.meta
    out.meta[KEY] = provenance("classify", model_run_id=run_id, table=user.name)
    used = {name.casefold() for name in out.colnames}
    prefix = ""
    while taken := [name for name in answer if (prefix + name).casefold() in used]:
        prefix += "xcat_"
        messages.append(f"the columns of the classification begin with {prefix}: the table has {', '.join(taken)}")
    for name, values in answer.items():
        column = masked(values, ~usable)
        column.description, column.meta["ucd"] = _meaning(name, model)
        if values.dtype.kind == "f":
            column.info.format = ".7g"  # the significant digits, in formats that are text
        out[prefix + name] = column
    return out


def _meaning(name: str, model: Model) -> tuple[str, str]:
    """Description and UCD of a column."""
    if name in meanings():
        return meanings()[name].about, meanings()[name].ucd
    if name.startswith("nats_"):
        about = f"Natural log of the odds of the best class over the second that come from: {name[5:]}"
        return about, "stat.likelihood;arith.ratio"
    klass = next(c for c in model.classes if f"p_{_word(c)}" == name)
    return f"Probability of the class {klass}", "stat.probability;src.class"


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    n_classified = max(result["classified"], 1)
    present, missing = len(result["properties"]), len(result["not_in_the_table"])
    lines = [f"model of run {result['model_run_id']}: {present} of its {present + missing} properties are in the table"]
    if present < missing:
        lines.append("WARNING: with so few properties, the classes are little more than the priors")
    lines.append(f"{result['rows_in']:,} rows in, {result['classified']:,} classified")
    width = max(len(name) for name in result["classes"])
    lines += [
        f"  -> {name.ljust(width)} {n:>9,} ({n / n_classified:6.1%}), {result['outliers'][name]:,} of them outliers"
        for name, n in result["classes"].items()
    ]
    lines.append(f"outliers: fewer than {LEAST_P_TAIL:.0%} of the members of the class are at least as extreme")
    return "\n".join([*lines, *cost_lines(result)])

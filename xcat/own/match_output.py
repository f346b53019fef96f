"""The table that a match gives: all columns of all tables, one row per hypothesis; and its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from astropy.units import Unit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.output import files, style
from xcat.output.columns import unique_names
from xcat.output.provenance import KEY, axis, provenance
from xcat.output.regions import Places
from xcat.output.terminal import aligned
from xcat.own.match_answer import Answer, CounterpartRows, separations
from xcat.own.table_result import TableResult, cost_lines, costs, masked

_MISSING = -99  # NWAY's mark
_BAR = 20

# name: (unit, UCD, words)
_MEANINGS = {
    "sep_arcsec": ("arcsec", "pos.angDistance;stat.max", "Largest separation of a member from the source"),
    "n_members": ("", "meta.number", "Tables that the hypothesis joins, the user's included"),
    "log_bayes_factor": ("", "stat.likelihood", "Natural log of the Bayes factor of association against chance"),
    "p_single": ("", "stat.probability", "Probability of this hypothesis beside 'none of these' alone"),
    "p_any": ("", "stat.probability", "Probability that the source has a counterpart in any of the tables"),
    "p_i": ("", "stat.probability", "Probability that this is the counterpart, given that there is one"),
    "match_flag": ("", "meta.code", "1: the best hypothesis; 2: one with more than half of its p_i; 0: others"),
    "accepted": ("", "meta.code", "The best hypothesis, and p_any is not below the cutoff for the wanted false rate"),
    "unusable": ("", "meta.note", "Why the row could not be matched; empty where it could"),
}


def result(answer: Answer, *, best: bool = False) -> TableResult:
    """The table of `build` with messages and summary."""
    return TableResult(build(answer, best=best), answer.messages, summary(answer))


def build(answer: Answer, *, best: bool = False) -> Table:
    """Join the rows of all tables.

    Parameters
    ----------
    best : bool
        One row per source, its best hypothesis, whether accepted or not; else all, "none of these" last.

    Returns
    -------
    Table
        In the order of the user's rows, each at least once; hypotheses by falling probability. Columns
        ``<TABLE>_<COLUMN>``, then those of the match; masked where a source has no value.
    """
    row, number = _rows(answer, best)
    named = _side_columns(answer.label, answer.table, row, np.ones(len(row), dtype=bool))
    for k, counterparts in enumerate(answer.counterparts):
        object_id = np.append(answer.objects[:, k], 0)[number]
        named += _side_columns(
            counterparts.label, counterparts.table, *counterparts.index(object_id), counterparts.is_loaded
        )
    named += _match_columns(answer, number)
    named.append(("unusable", _with_meaning("unusable", Column(answer.unusable[row]))))
    table = Table()
    for name, (_, column) in zip(unique_names([name for name, _ in named]), named, strict=True):
        table[name] = column
    table.meta[KEY] = provenance(
        "match",
        tables=", ".join([answer.label, *(c.label for c in answer.counterparts)]),
        cutoff=answer.cutoff,
        false_rate_wanted=answer.false_rate,
    )
    return table


def places(answer: Answer, *, best: bool = False) -> Places:
    """Position and error of every row of `build`, as they were matched."""
    row, _ = _rows(answer, best)
    return Places(answer.places["ra"][row], answer.places["dec"][row], answer.err_arcsec[row])


def _rows(answer: Answer, best: bool) -> tuple[np.ndarray, np.ndarray]:
    """Row of the user's table (from 0), and number of the hypothesis (-1 for none), of every row of the answer."""
    hypotheses = answer.hypotheses
    number = np.arange(len(hypotheses))
    if best:
        number = np.unique(hypotheses["row"], return_index=True)[1]  # "none of these" is the last, or the only one
    unmatched = np.setdiff1d(np.arange(1, len(answer.table) + 1), hypotheses["row"])
    row = np.concatenate([hypotheses["row"][number], unmatched])
    order = np.argsort(row, kind="stable")
    return row[order] - 1, np.concatenate([number, np.full(len(unmatched), -1)])[order]


def _side_columns(
    label: str, table: Table, at: np.ndarray, exists: np.ndarray, is_ours: bool = False
) -> list[tuple[str, Column]]:
    """Columns of one of the tables; masked where a hypothesis has no member in it."""
    named = []
    for name in table.colnames:
        column, data = table[name], np.ma.asarray(table[name])
        if len(data):
            taken = masked(np.ma.getdata(data)[at], np.ma.getmaskarray(data)[at] | ~exists)
        else:
            taken = masked(np.zeros(len(at), dtype=data.dtype), np.ones(len(at), dtype=bool))
        taken.unit, taken.description, taken.meta = column.unit, column.description, dict(column.meta)
        if axis(name, column) and not is_ours:  # a file's own frame is as its reader states it, or unknown
            taken.meta.setdefault("frame", "")
        named.append((f"{label}_{name}", taken))
    return named


def _with_meaning(name: str, column: Column) -> Column:
    unit, column.meta["ucd"], column.description = _MEANINGS[name]
    column.unit = Unit(unit) if unit else None
    return column


def _match_columns(answer: Answer, number: np.ndarray) -> list[tuple[str, Column]]:
    """Columns of the match for hypotheses of these numbers; -1 stands for none."""
    labels = [answer.label, *(c.label for c in answer.counterparts)]
    hypotheses, apart = answer.hypotheses, separations(answer)

    def column(name: str, values: np.ndarray) -> Column:
        taken = np.append(values, np.zeros(1, values.dtype))[number]
        return _with_meaning(name, masked(taken, (number < 0) | (taken != taken)))  # NaN differs from itself

    named = [("sep_arcsec", column("sep_arcsec", np.fmax.reduce([apart[0, k] for k in range(1, len(labels))])))]
    for (i, j), values in apart.items():
        separation = column("sep_arcsec", values)
        separation.description = f"Separation of the members of {labels[i]} and {labels[j]}"
        named.append((f"{labels[i]}_{labels[j]}_sep_arcsec", separation))
    numbers = {
        "n_members": (1 + (answer.objects > 0).sum(axis=1)).astype(np.int16),
        "log_bayes_factor": hypotheses["log_bf"],
        "p_single": hypotheses["p_single"],
        "p_any": hypotheses["p_any"],
        # "none of these" has no share of the counterparts
        "p_i": np.where(hypotheses["rank"] == 0, 0.0, hypotheses["p_i"]),
        "match_flag": hypotheses["match_flag"],
    }
    named += [(name, column(name, values)) for name, values in numbers.items()]
    accepted = np.append(answer.is_accepted, False)[number]
    return [*named, ("accepted", _with_meaning("accepted", Column(accepted)))]


def write(table: Table, path: Path, *, overwrite: bool = False, places: Places | None = None) -> Path:
    """Write the table; in FITS, missing whole numbers are -99, as NWAY's users expect. For regions give `places`.

    Raises
    ------
    XcatError
        As `xcat.output.files.write`.
    """
    plain = table.copy(copy_data=False)
    if path.suffix.lower() == ".fits":
        for column in table.itercols():
            mask = np.ma.getmaskarray(np.ma.asarray(column))
            if column.dtype.kind in "iu" and mask.any():
                data = np.ma.getdata(np.ma.asarray(column))
                if data.dtype.kind == "u" or data.dtype.itemsize < 2:
                    data = data.astype(np.int16 if data.dtype.itemsize < 2 else np.int64)
                if not np.any(data[~mask] == _MISSING):  # else the mask stays, as TNULL
                    data = np.where(mask, _MISSING, data).astype(data.dtype)
                    about = {"unit": column.unit, "description": column.description, "meta": column.meta}
                    plain[column.name] = Column(data, **about)
    elif path.suffix.lower() == ".csv":
        for column in plain.itercols():
            if column.dtype == np.float32:  # as many digits as they have: 0.91, not 0.9100000262260437
                column.info.format = lambda value: str(np.float32(value))
    return files.write(plain, path, overwrite=overwrite, places=places)


# --- summary ----------------------------------------------------------------------------------------------


def summary(answer: Answer) -> dict[str, Any]:
    """Rows in, rows that could not be matched and why, matches, cutoff, magnitudes, times, memory; JSON-ready."""
    n_rows = len(answer.table)
    reasons, counts = np.unique(answer.unusable[answer.unusable != ""], return_counts=True)
    n_matched = int(answer.is_accepted.sum())
    cutoffs = answer.hypotheses["cutoff"] if len(answer.hypotheses) else np.array([answer.cutoff])
    return {
        "rows_in": n_rows,
        "unusable": dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        "n_unusable": int(counts.sum()),
        "with_candidates": int((answer.hypotheses["rank"] == 1).sum()),
        "matched": n_matched,
        "fraction_matched": n_matched / max(n_rows, 1),
        "cutoff": answer.cutoff,
        "cutoff_low": float(cutoffs.min()),
        "cutoff_high": float(cutoffs.max()),
        "false_rate_wanted": answer.false_rate,
        "false_rate_measured": answer.measured_rate,
        "magnitudes": [h for k, c in enumerate(answer.counterparts) if (h := _histogram(answer, k, c))],
        "counts": answer.counts,
        **costs(answer.seconds),
        "notes": answer.messages,
    }


def _histogram(answer: Answer, k: int, counterparts: CounterpartRows) -> dict[str, Any] | None:
    if counterparts.field is None or counterparts.magnitude is None:
        return None
    edges, field = counterparts.field
    at, exists = counterparts.index(answer.objects[:, k])
    values = np.ma.asarray(counterparts.table[counterparts.magnitude])[at[answer.is_accepted & exists]]
    values = np.ma.filled(values.astype(float), np.nan)
    values = values[np.isfinite(values) & (values > -90)]
    n, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return {
        "table": counterparts.label,
        "column": counterparts.magnitude,
        "edges": edges.tolist(),
        "accepted": n.tolist(),
        "field": field.tolist(),
    }


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    low, high = result["cutoff_low"], result["cutoff_high"]
    spread = "" if low == high else f" ({low:.3f} to {high:.3f} by density)"
    measured, wanted = result["false_rate_measured"], result["false_rate_wanted"]
    passing = f"{measured or 0:.1%} of the shifted positions pass (wanted: {wanted:.1%})"
    lines = [
        f"{result['rows_in']:,} rows in, {result['n_unusable']:,} of them unusable",
        *(f"  {n:,}: {reason}" for reason, n in result["unusable"].items()),
        f"{result['with_candidates']:,} have candidates within the radius",
        f"{result['matched']:,} matched ({result['fraction_matched']:.1%} of the rows): "
        f"p_any at {result['cutoff']:.3f} or above{spread}",
        f"false rate: {'not measured' if measured is None else passing}",
    ]
    for histogram in result["magnitudes"]:
        lines += ["", *_bars(histogram)]
    return "\n".join([*lines, "", *cost_lines(result)])


def _bars(histogram: dict[str, Any]) -> list[str]:
    edges, n, field = (np.array(histogram[key]) for key in ("edges", "accepted", "field"))
    cells = [[f"{histogram['table']}_{histogram['column']}", "accepted", "", "all objects", ""]]
    for i in range(len(n)):
        bars = ["#" * round(_BAR * x[i] / max(x.max(), 1)) for x in (n, field)]
        cells.append(
            [f"{edges[i]:.2f} to {edges[i + 1]:.2f}", f"{n[i]:,}", bars[0].ljust(_BAR), f"{field[i]:,}", bars[1]]
        )
    return aligned(cells, {1, 3})


def draw(answer: Answer, path: Path) -> Path:
    """Draw the false rate against p_any, and the magnitudes of the counterparts against all objects.

    Raises
    ------
    XcatError
        As `xcat.output.style.save`.
    """
    result = summary(answer)
    panels = 1 + len(result["magnitudes"])
    with style.settings():
        figure = Figure(figsize=(3.6 * panels, 3.0), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _draw_calibration(axes[0], answer)
        for one, histogram in zip(axes[1:], result["magnitudes"], strict=True):
            edges = np.array(histogram["edges"])
            for key, colour, line in (("field", style.GREY, "--"), ("accepted", "#0072B2", "-")):
                counts = np.array(histogram[key], dtype=float)
                one.stairs(counts / max(counts.sum(), 1) / np.diff(edges), edges, color=colour, ls=line)
            one.set_xlabel(f"{histogram['table']} {histogram['column']} (mag)")
            one.set_ylabel("share per mag")
            one.set_title("counterparts (solid), all objects (dashed)")
        return style.save(figure, path)


def _draw_calibration(axes: Axes, answer: Answer) -> None:
    axes.set_xlabel("p_any")
    axes.set_ylabel("share at p_any or above")
    axes.axvline(answer.cutoff, color=style.GREY, lw=0.8)
    if answer.calibration is None:
        axes.set_title("false rate not measured")
        return
    cut, false_rate, share = answer.calibration
    axes.plot(cut, share, color="#0072B2")
    axes.plot(cut, false_rate, color="#D55E00", ls="--")
    axes.set_title(f"sources (solid), shifted positions (dashed); cutoff {answer.cutoff:.3f}")
    axes.set_ylim(0, 1)

"""The table that a match of one's own gives: all columns of all sides, one row a hypothesis, and what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.output import files, style
from xcat.output.terminal import aligned
from xcat.own.match_answer import Answer, Side, separations
from xcat.progress import peak_memory_mb

_MISSING = -99  # what NWAY's users know
_BAR = 20

# name: (unit, UCD, words)
_MEANINGS = {
    "sep_arcsec": ("arcsec", "pos.angDistance;stat.max", "Largest separation of a member from the source"),
    "n_members": ("", "meta.number", "Tables that the hypothesis joins, mine included"),
    "log_bayes_factor": ("", "stat.likelihood", "Natural log of the Bayes factor of association against chance"),
    "p_single": ("", "stat.probability", "Probability of this hypothesis beside 'none of these' alone"),
    "p_any": ("", "stat.probability", "Probability that the source has a counterpart in any of the tables"),
    "p_i": ("", "stat.probability", "Probability that this is the counterpart, given that there is one"),
    "match_flag": ("", "meta.code", "1: the best hypothesis; 2: one with more than half of its p_i; 0: others"),
    "accepted": ("", "meta.code", "The best hypothesis, and p_any is not below the cutoff for the wanted false rate"),
    "unusable": ("", "meta.note", "Why the row could not be matched; empty where it could"),
}


def build(answer: Answer, *, best: bool = False) -> Table:
    """Join the rows of all sides.

    Parameters
    ----------
    answer : Answer
    best : bool
        One row a source, its best hypothesis, whether accepted or not; else all, "none of these" as the last of each.

    Returns
    -------
    Table
        In the order of my rows, each of them at least once; hypotheses by falling probability. Columns
        ``<TABLE>_<COLUMN>``, then those of the match; masked where a source has no value.
    """
    found = answer.hypotheses
    number = np.arange(len(found))
    if best:
        number = np.unique(found["row"], return_index=True)[1]  # "none of these" is the last, or the only one
    alone = np.setdiff1d(np.arange(1, len(answer.table) + 1), found["row"])
    row = np.concatenate([found["row"][number], alone])
    order = np.argsort(row, kind="stable")
    number = np.concatenate([number, np.full(len(alone), -1)])[order]
    there = number >= 0
    out = Table()
    _add(out, answer.label, answer.table, row[order] - 1, np.ones(len(order), dtype=bool))
    for k, side in enumerate(answer.sides):
        at, has = side.index(np.where(there, answer.objects[number, k], 0) if len(found) else np.zeros(len(order), int))
        _add(out, side.label, side.table, at, has)
    _add_match(out, answer, number, there)
    _put(out, "unusable", Column(answer.unusable[row[order] - 1]))
    return out


def _add(out: Table, label: str, table: Table, at: np.ndarray, there: np.ndarray) -> None:
    """Columns of one side; masked where it has no member."""
    for name in table.colnames:
        column = table[name]
        data = np.ma.asarray(column)
        if len(data):
            values, mask = np.ma.getdata(data)[at], np.ma.getmaskarray(data)[at] | ~there
        else:
            values, mask = np.zeros(len(at), dtype=data.dtype), np.ones(len(at), dtype=bool)
        made = _masked(values, mask)
        made.unit, made.description, made.meta = column.unit, column.description, dict(column.meta)
        out[_free(out, f"{label}_{name}")] = made


def _masked(values: np.ndarray, mask: np.ndarray) -> Column:
    if not mask.any():
        return Column(values)
    values = values.copy()
    values[mask] = np.nan if values.dtype.kind == "f" else np.zeros(1, values.dtype)[0]
    return MaskedColumn(values, mask=mask)


def _free(out: Table, name: str) -> str:
    used = {n.casefold() for n in out.colnames}
    candidate, number = name, 1
    while candidate.casefold() in used:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _put(out: Table, name: str, column: Column, meaning: str = "") -> None:
    unit, ucd, words = _MEANINGS[meaning or name]
    column.description = words
    column.meta["ucd"] = ucd
    if unit:
        column.unit = Unit(unit)
    out[_free(out, name)] = column


def _add_match(out: Table, answer: Answer, number: np.ndarray, there: np.ndarray) -> None:
    labels = [answer.label, *(side.label for side in answer.sides)]
    apart = separations(answer)
    from_me = np.stack([apart[0, k] for k in range(1, len(labels))], axis=1)
    known = ~np.isnan(from_me)
    largest = np.where(known.any(axis=1), np.where(known, from_me, -1.0).max(axis=1, initial=-1.0), np.nan)

    def put(name: str, values: np.ndarray, meaning: str = "") -> None:
        taken = values[number] if len(values) else np.zeros(len(number), dtype=values.dtype)
        gone = ~there | np.isnan(taken) if taken.dtype.kind == "f" else ~there
        _put(out, name, _masked(taken, gone), meaning)

    put("sep_arcsec", largest)
    for (i, j), values in apart.items():
        put(f"{labels[i]}_{labels[j]}_sep_arcsec", values, "sep_arcsec")
        out.columns[-1].description = f"Separation of the members of {labels[i]} and {labels[j]}"
    put("n_members", (1 + (answer.objects > 0).sum(axis=1)).astype(np.int16))
    found = answer.hypotheses
    put("log_bayes_factor", found["log_bf"])
    for name in ("p_single", "p_any", "p_i"):
        # "none of these" has no share of the counterparts
        put(name, np.where(found["rank"] == 0, 0.0, found["p_i"]) if name == "p_i" else found[name])
    put("match_flag", found["match_flag"])
    accepted = np.zeros(len(number), dtype=bool)
    accepted[there] = is_accepted(answer)[number[there]]
    _put(out, "accepted", Column(accepted))


def is_accepted(answer: Answer) -> np.ndarray:
    """Whether each hypothesis is the counterpart of its source, shape (n_hypotheses,)."""
    found = answer.hypotheses
    return np.asarray((found["rank"] == 1) & (found["p_any"] >= found["cutoff"]))


def write(table: Table, path: Path, *, overwrite: bool = False) -> Path:
    """Write the table; in FITS, whole numbers that a source does not have are -99, as NWAY's users know them.

    Raises
    ------
    XcatError
        As `xcat.output.files.write`.
    """
    if path.suffix.lower() == ".fits":
        table = table.copy(copy_data=False)
        for name in table.colnames:
            column = table[name]
            mask = getattr(column, "mask", None)
            if column.dtype.kind in "iu" and mask is not None and np.any(mask):
                data = np.ma.getdata(np.ma.asarray(column))
                if data.dtype.kind == "u" or data.dtype.itemsize < 2:
                    data = data.astype(np.int16 if data.dtype.itemsize < 2 else np.int64)
                if not np.any(data[~mask] == _MISSING):  # else the mask stays, which FITS knows as TNULL
                    table[name] = Column(
                        np.where(mask, _MISSING, data).astype(data.dtype),
                        unit=column.unit, description=column.description, meta=column.meta,
                    )  # fmt: skip
    elif path.suffix.lower() == ".csv":
        table = table.copy(copy_data=False)
        for column in table.itercols():
            if column.dtype == np.float32:  # as many digits as they have: 0.91, not 0.9100000262260437
                column.info.format = _short
    return files.write(table, path, overwrite=overwrite)


def _short(value: float) -> str:
    return str(np.float32(value))


# --- what happened ----------------------------------------------------------------------------------------


def summary(answer: Answer) -> dict[str, Any]:
    """Rows in, rows that could not be matched and why, matches, cutoff, magnitudes, times, memory; JSON-ready."""
    n_rows = len(answer.table)
    reasons, counts = np.unique(answer.unusable[answer.unusable != ""], return_counts=True)
    accepted = is_accepted(answer)
    cutoffs = answer.hypotheses["cutoff"]
    return {
        "rows_in": n_rows,
        "unusable": dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        "n_unusable": int(counts.sum()),
        "with_candidates": int((answer.hypotheses["rank"] == 1).sum()),
        "matched": int(accepted.sum()),
        "fraction_matched": float(accepted.sum() / max(n_rows, 1)),
        "cutoff": answer.cutoff,
        "cutoff_low": float(cutoffs.min()) if len(cutoffs) else answer.cutoff,
        "cutoff_high": float(cutoffs.max()) if len(cutoffs) else answer.cutoff,
        "false_rate_wanted": answer.false_rate,
        "false_rate_measured": answer.measured_rate,
        "magnitudes": [h for k, side in enumerate(answer.sides) if (h := _histogram(answer, k, side, accepted))],
        "counts": answer.counts,
        "seconds": answer.seconds,
        "peak_memory_mb": peak_memory_mb(),
        "notes": answer.lines,
    }


def _histogram(answer: Answer, k: int, side: Side, accepted: np.ndarray) -> dict[str, Any] | None:
    if side.field is None or side.magnitude is None:
        return None
    edges, field = side.field
    at, there = side.index(answer.objects[:, k])
    values = np.ma.asarray(side.table[side.magnitude])[at[accepted & there]]
    values = np.ma.filled(values.astype(float), np.nan)
    values = values[np.isfinite(values) & (values > -90)]
    n, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return {
        "table": side.label,
        "column": side.magnitude,
        "edges": edges.tolist(),
        "accepted": n.tolist(),
        "field": field.tolist(),
    }


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    lines = [f"{result['rows_in']:,} rows in, {result['n_unusable']:,} of them unusable"]
    lines += [f"  {n:,}: {reason}" for reason, n in result["unusable"].items()]
    lines.append(f"{result['with_candidates']:,} have candidates within the radius")
    low, high = result["cutoff_low"], result["cutoff_high"]
    spread = "" if low == high else f" ({low:.3f} to {high:.3f} by density)"
    lines.append(
        f"{result['matched']:,} matched ({result['fraction_matched']:.1%} of the rows): "
        f"p_any at {result['cutoff']:.3f} or above{spread}"
    )
    if result["false_rate_measured"] is None:
        lines.append("false rate: not measured")
    else:
        lines.append(
            f"false rate: {result['false_rate_measured']:.1%} of the shifted positions pass "
            f"(wanted: {result['false_rate_wanted']:.1%})"
        )
    for histogram in result["magnitudes"]:
        lines += ["", *_bars(histogram)]
    lines.append("")
    times = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result["seconds"].items())
    lines.append(f"seconds: {times}")
    lines.append(f"peak memory: {result['peak_memory_mb']:,.0f} MB, the database apart")
    return "\n".join(lines)


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

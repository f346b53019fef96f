"""The charts of a source: probabilities step by step, densities with the source marked, place, fluxes over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from xcat.classifier.model import Model
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import property_label, property_symbol
from xcat.output import style
from xcat.output.chart import Axis, Chart, power
from xcat.output.reading import Row
from xcat.output.words import number, unit
from xcat.report.explain import wording
from xcat.report.explain.change import nodes
from xcat.report.explain.drawing import chosen
from xcat.report.explain.explanation import Explanation, Term
from xcat.report.explain.panels import density, span
from xcat.service.pages import ellipses, sentences

_MOST_POINTS = 64
_MISSION_MARKS = ("o", "s", "D", "^", "v", "P", "X", "*")
_PROBABILITY = Axis(0, 1, "Probability so far", ticks=[(t / 4, f"{t / 4:g}") for t in range(5)])


def track(e: Explanation) -> Markup:
    """How the probabilities move as the evidence is added, from the prior downwards."""
    shown, others = chosen(e)
    p = e.track((*shown, *others))[: len(shown) + 1]
    steps = ["Before any evidence", *(f"{sentences.term_name(t)}" for t in shown)]
    values = ["", *(_short_value(t) for t in shown)]
    if others:
        p = np.vstack([p, [e.posterior_accepted[c] for c in e.classes]])
        steps.append(f"{len(others)} more together" if len(others) > 1 else sentences.term_name(others[0]))
        values.append("")
    if e.counterpart_matters:
        p = np.vstack([p, [e.posterior_by_model[c] for c in e.classes]])
        steps.append("Averaged over counterparts")
        values.append("")
    if e.is_out_of_fold:
        p = np.vstack([p, [e.posterior[c] for c in e.classes]])
        steps.append("By a model that had not seen it")
        values.append("")
    n, row = len(steps), 34
    last = f"{steps[-1]}"
    chart = Chart(
        Axis(0, 1, "Probability so far", ticks=_PROBABILITY.ticks), Axis(n - 0.5, -0.5), 560, 24 + row * n + 44,
        (232, 18, 12, 44),
    )  # fmt: skip
    chart.axes(with_y=False)
    for t in (0.0, 0.25, 0.5, 0.75, 1.0):
        chart.add(
            '<path class="grid" d="M{x},{a}V{b}"/>', x=float(chart.px(t)), a=float(chart.top), b=float(chart.bottom)
        )
    for i, (words, value) in enumerate(zip(steps, values, strict=True)):
        y = float(chart.py(i))
        chart.text(chart.left - 10, y + (0 if value else 4), _cut(words, 34), "end", size=12)
        if value:
            chart.text(chart.left - 10, y + 13, value, "end", "soft", 11)
    styles = style.of_classes(e.classes)
    order = sorted(range(len(e.classes)), key=lambda k: e.classes[k] == e.best)
    for k in order:
        look = styles[e.classes[k]]
        chart.line(p[:, k], np.arange(n), look.colour, look.line, 2.6 if e.classes[k] == e.best else 1.7)
    for k in order:
        look = styles[e.classes[k]]
        for i in range(n):
            title = f"{e.classes[k]}: {wording.probability(float(p[i, k]))} after {steps[i].lower()}"
            chart.marker(p[i, k], i, look.marker, look.colour, 4.6 if e.classes[k] == e.best else 3.6, title)
    start = ", ".join(f"{c} {p[0, k]:.2f}" for k, c in enumerate(e.classes))
    end = ", ".join(f"{c} {p[-1, k]:.2f}" for k, c in enumerate(e.classes))
    about = f"One line per class. Before any evidence: {start}. After {last.lower()}: {end}."
    return chart.svg("How the probabilities move as the evidence is added", about)


def _short_value(term: Term) -> str:
    if term.axes:
        return "both known" if term.state == "value" else "one is missing"
    return wording.value(term, with_error=False).replace("-", "−")


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def panels(e: Explanation, model: Model) -> list[dict[str, Any]]:
    """One chart for each property with a value or a limit, the most telling first."""
    single = [t for t in e.terms if not t.axes and t.state in ("value", "limit")]
    ordered = sorted(single, key=lambda t: -abs(t.nats))
    return [{"term": t, "svg": _panel(e, model, t)} for t in ordered]


def _panel(e: Explanation, model: Model, term: Term) -> Markup:
    j = model.term_names.index(term.property)
    prop, table = model.properties[j], model.tables[j]
    given = term.limit if term.limit is not None else term.value
    assert given is not None
    position = float(column_to_scale(np.array([given]), prop)[0])
    x, dense = nodes(table), density(table, term.error)
    edge = float(np.clip(position, x[0], x[-1]))
    low, high = span(x, dense, 0.01)
    low, high = min(low, edge), max(high, edge)
    margin = 0.03 * (high - low) or 1.0
    low, high = low - margin, high + margin
    inside = np.flatnonzero((x >= low) & (x <= high))
    inside = inside[:: max(1, inside.size // _MOST_POINTS)]
    marks = np.array([np.interp(edge, x, column) for column in dense.T])
    top = max(1.12 * float(np.quantile(dense[inside], 0.99, axis=0).max()), 1.15 * float(marks.max()), 1e-9)
    label = property_symbol(term.property)
    shown_unit = unit(term.unit)
    chart = Chart(
        Axis(low, high, f"{label} ({shown_unit})" if shown_unit else label, ticks=ticks(prop.scale, low, high)),
        Axis(0, top), 320, 190, (10, 10, 24, 42),
    )  # fmt: skip
    if term.limit is not None:
        left = float(chart.px(edge))
        chart.add(
            '<rect class="pale" x="{x}" y="{y}" width="{w}" height="{h}"/>',
            x=left, y=float(chart.top), w=max(float(chart.right) - left, 0.0), h=float(chart.bottom - chart.top),
        )  # fmt: skip
    chart.axes(with_y=False)
    styles = style.of_classes(e.classes)
    for k, name in enumerate(e.classes):
        heights = np.minimum(dense[inside, k], top)
        chart.line(x[inside], heights, styles[name].colour, styles[name].line, 2.0)
    at = float(chart.px(edge))
    chart.add(
        '<path class="ink" stroke-width="1.4" d="M{x},{a}V{b}"/>', x=at, a=float(chart.top), b=float(chart.bottom)
    )
    if term.error is not None:
        ends = np.clip([position - term.error, position + term.error], low, high)
        y = float(chart.top + 8)
        chart.path(chart.px(ends), [y, y], width=1.4)
    if term.limit is None:
        for k, name in enumerate(e.classes):
            title = f"{name}: density {marks[k]:.3g}"
            chart.marker(edge, min(marks[k], top), styles[name].marker, styles[name].colour, 4.4, title)
    words = sentences.term_value(term)
    rightwards = at < (chart.left + chart.right) / 2
    chart.text(at + (6 if rightwards else -6), 14, words, "start" if rightwards else "end", "halo", 12)
    best = e.classes[int(marks.argmax())]
    about = (
        f"Density of {property_label(term.property)} in each class; this source is at {words}, where "
        f"{best} is densest. Factor on the odds of {e.best} against {e.second}: {sentences.odds_words(term.nats)}."
    )
    return chart.svg(sentences.term_name(term), about)


def ticks(scale: str, low: float, high: float) -> Sequence[tuple[float, str]] | None:
    """Ticks of an axis on the scale of a property, in its own values."""
    if scale == "log10":
        whole = np.arange(math.ceil(low), math.floor(high) + 1)
        whole = whole[:: max(1, -(-len(whole) // 6))]
        return [(float(t), power(10.0**t)) for t in whole]
    if scale == "asinh":
        values = [t for t in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if low <= math.asinh(t) <= high]
        return [(math.asinh(t), f"{t:g}".replace("-", "−")) for t in values]
    return None


def place(xray: Row, objects: list[Row]) -> Markup:
    """The error ellipse of the X-ray source, and the catalogued objects around it with theirs."""
    far = 1.12 * ellipses.reach_arcsec(xray, objects)
    every = [(*ellipses.offset_arcsec(xray, row), row) for row in objects]
    spots = [spot for spot in every if max(abs(spot[0]), abs(spot[1])) < far]
    chart = Chart(
        Axis(far, -far, "East ← arcsec → West"), Axis(-far, far, "North, arcsec"), 440, 440, (54, 12, 12, 48),
    )  # fmt: skip
    chart.axes()
    for times, look in ((ellipses.TIMES_95, 'class="pale"'), (1.0, 'class="ink" stroke-dasharray="4 3"')):
        _ellipse(chart, 0.0, 0.0, xray, times, look)
    x, y = float(chart.px(0.0)), float(chart.py(0.0))
    chart.add('<path class="ink" stroke-width="1.2" d="M{a},{y}h12m-6,-6v12"/>', a=x - 6, y=y)
    for east, north, row in spots:
        shape, colour = _KINDS.get(row["kind"], ("s", "#009E73"))
        _ellipse(chart, east, north, row, 1.0, f'fill="none" stroke="{colour}"')
        if row["is_accepted"]:
            x, y = float(chart.px(east)), float(chart.py(north))
            chart.add('<circle class="ink" cx="{x}" cy="{y}" r="10" stroke-width="1.6"/>', x=x, y=y)
        title = (
            f"{row['catalogue']} {row['native_id']}: {row['sep_arcsec']:.2f} arcsec away, error (1σ, arcsec) "
            f"{ellipses.error_words(row)}, probability {wording.probability(row['p_i'])}"
        )
        chart.marker(east, north, shape, colour, 3.2 + 2.6 * math.sqrt(row["p_i"]), title)
    for label in ellipses.labels(xray, [row for _, _, row in spots]):
        east, north = ellipses.offset_arcsec(xray, label)
        chart.text(float(chart.px(east)) + 12, float(chart.py(north)) - 7, label["text"], css="halo")
    words = "; ".join(
        f"{row['catalogue']} {row['native_id']}, {row['sep_arcsec']:.2f} arcsec away"
        for row in objects
        if row["is_accepted"]
    )
    about = (
        f"Around the X-ray position, whose error (1σ, arcsec) is {ellipses.error_words(xray)}: {len(objects)} objects "
        f"could be the counterpart, improbable ones outside: {len(every) - len(spots)}. Accepted: {words or 'none'}."
    )
    return chart.svg("The source and what is catalogued around it", about)


_KINDS = {"optical": ("o", "#0072B2"), "infrared": ("D", "#D55E00")}


def _ellipse(chart: Chart, east: float, north: float, row: Row, times: float, look: str) -> None:
    """Draw the error of a position, unless it would vanish in a marker; its angle is from north through east."""
    scale = times * abs(float(chart.px(0.0) - chart.px(1.0)))
    if (row["err_maj_arcsec"] or 0.0) * scale > 2:
        chart.add(
            '<ellipse cx="0" cy="0" rx="{rx}" ry="{ry}" transform="translate({x} {y}) rotate({turn})" {look}'
            ' stroke-width="1.4"/>',
            rx=row["err_min_arcsec"] * scale, ry=row["err_maj_arcsec"] * scale, turn=-row["err_pa_deg"],
            x=float(chart.px(east)), y=float(chart.py(north)), look=Markup(look),
        )  # fmt: skip


def energy(points: list[Row]) -> Markup | None:
    """The spectral energy distribution."""
    values = [p["nu_f_nu_cgs"] or p["limit_cgs"] for p in points if p["nu_f_nu_cgs"] or p["limit_cgs"]]
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    chart = Chart(
        Axis(5e12, 1e19, "Frequency (Hz)", True), Axis(low / 4, high * 5, "ν F_ν (erg s⁻¹ cm⁻²)", True), 440, 300,
        (74, 14, 14, 44),
    )  # fmt: skip
    chart.axes()
    for p in points:
        value = p["nu_f_nu_cgs"]
        is_xray = p["low_hz"] is not None
        colour = "#D55E00" if p["frequency_hz"] < 3e14 else "#0072B2" if not is_xray else ""
        shape = "s" if is_xray else "D" if p["frequency_hz"] < 3e14 else "o"
        if is_xray:
            at = value or p["limit_cgs"]
            if at:
                chart.line([p["low_hz"], p["high_hz"]], [at, at], width=1.4)
        if value:
            if p["error_cgs"]:
                chart.bar(p["frequency_hz"], max(value - p["error_cgs"], low / 4), value + p["error_cgs"], colour)
            chart.marker(p["frequency_hz"], value, shape, colour, 4.4, f"{p['band']}, {p['catalogue']}: {value:.3g}")
        elif p["limit_cgs"]:
            title = f"{p['band']}, {p['catalogue']}: below {p['limit_cgs']:.3g}"
            chart.limit(p["frequency_hz"], p["limit_cgs"], colour, title)
    told = "; ".join(
        f"{p['band']} {number(p['nu_f_nu_cgs'])}" if p["nu_f_nu_cgs"] else f"{p['band']} below {number(p['limit_cgs'])}"
        for p in points
        if p["nu_f_nu_cgs"] or p["limit_cgs"]
    )
    return chart.svg(
        "Energy by frequency, from infrared to X-rays", f"In erg per second and square centimetre: {told}."
    )


def light_curve(observed: list[Row], width: int = 640) -> Markup | None:
    """Fluxes of all missions in one band over the years, and upper limits."""
    dated = [o for o in observed if o["mjd"] is not None and (o["flux_std_cgs"] or o["limit_std_cgs"])]
    if not dated:
        return None
    years = [2000.0 + (o["mjd"] - 51544.5) / 365.25 for o in dated]
    values = [o["flux_std_cgs"] or o["limit_std_cgs"] for o in dated]
    tops = [v + (o["flux_std_err_cgs"] or 0.0) for v, o in zip(values, dated, strict=True)]
    low, high = min(values) / 2, max(tops) * 1.6
    pad = max(0.06 * (max(years) - min(years)), 0.4)
    chart = Chart(
        Axis(min(years) - pad, max(years) + pad, "Year"),
        Axis(low, high, "Flux, 0.2–12 keV (erg s⁻¹ cm⁻²)", True),
        *(width, 300, (80, 14, 14, 44)),
    )
    chart.axes()
    marks = mission_marks(observed)
    for year, value, o in zip(years, values, dated, strict=True):
        shape, colour = marks[o["catalogue"]]
        if o["flux_std_cgs"]:
            error = o["flux_std_err_cgs"]
            if error:
                chart.bar(year, max(value - error, low), value + error, colour)
            chart.marker(year, value, shape, colour, 4.6, f"{o['catalogue']}, {year:.2f}: {value:.3g}")
        else:
            chart.limit(year, value, colour, f"{o['catalogue']}, {year:.2f}: below {value:.3g}")
    n_limits = sum(not o["flux_std_cgs"] for o in dated)
    about = (
        f"{len(dated) - n_limits} fluxes and {n_limits} upper limits of {len(marks)} missions from {min(years):.1f} to "
        f"{max(years):.1f}; between {min(values):.2g} and {max(values):.2g} erg per second and square centimetre."
    )
    return chart.svg("Flux over the years, all missions in one band", about)


def mission_marks(observed: list[Row]) -> dict[str, tuple[str, str]]:
    """Marker and colour of each mission."""
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C510A", "#6A51A3", "#56B4E9", "#999999")
    names = sorted({o["catalogue"] for o in observed})
    return {name: (_MISSION_MARKS[i % 8], colours[i % 8]) for i, name in enumerate(names)}


def hardness(e: Explanation, model: Model) -> Markup | None:
    """The two hardness ratios of the source among the typical ones of the classes."""
    terms = {t.property: t for t in e.terms}
    if any(name not in terms or terms[name].value is None for name in ("hr1", "hr2")):
        return None
    chart = Chart(
        Axis(-1.05, 1.05, "HR1, medium against soft"), Axis(-1.05, 1.05, "HR2, hard against medium"), 340, 320
    )
    chart.axes()
    styles = style.of_classes(e.classes)
    for k, name in enumerate(e.classes):
        ends = [_quartiles(model, prop, k) for prop in ("hr1", "hr2")]
        (a, b, c), (p, q, r) = ends
        colour = styles[name].colour
        chart.line([a, c], [q, q], colour, "-", 2.4)
        chart.line([b, b], [p, r], colour, "-", 2.4)
        chart.marker(b, q, styles[name].marker, colour, 4.6, f"{name}: middle at HR1 {b:.2f}, HR2 {q:.2f}")
    x, y = float(terms["hr1"].value or 0.0), float(terms["hr2"].value or 0.0)
    for name, error in (("hr1", terms["hr1"].error), ("hr2", terms["hr2"].error)):
        if error:
            if name == "hr1":
                chart.line([max(x - error, -1.05), min(x + error, 1.05)], [y, y], width=1.4)
            else:
                chart.bar(x, max(y - error, -1.05), min(y + error, 1.05))
    chart.marker(x, y, "*", "", 7.5, "this source")
    about = f"This source (star) is at HR1 {x:.2f}, HR2 {y:.2f}; crosses span the middle half of each class."
    return chart.svg("Hardness of the X-rays", about)


def _quartiles(model: Model, name: str, k: int) -> tuple[float, float, float]:
    table = model.tables[model.term_names.index(name)]
    sums = np.cumsum(np.exp(table.log_density[:, k]))
    low, middle, high = np.interp([0.25, 0.5, 0.75], sums / sums[-1], nodes(table))
    return float(low), float(middle), float(high)

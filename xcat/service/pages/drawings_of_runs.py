"""The charts of a model and of a run: densities, weights, reliability, sum rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from xcat.classifier.metrics import wilson
from xcat.classifier.model import Model
from xcat.columns.properties import property_label, property_symbol
from xcat.columns.registry import columns
from xcat.output import style
from xcat.output.chart import Axis, Chart
from xcat.output.reading import Row
from xcat.output.words import label, unit
from xcat.report.explain.change import nodes
from xcat.report.explain.panels import density, span
from xcat.report.run.summary import Report
from xcat.service.pages.drawings import ticks

_MOST_POINTS = 120


def densities(model: Model) -> list[dict[str, Any]]:
    """One chart per property: how frequent its values are in every class."""
    return [{"name": p.name, "category": p.category, "svg": _density(model, j)} for j, p in enumerate(model.properties)]


def _density(model: Model, j: int) -> Markup:
    prop, table = model.properties[j], model.tables[j]
    x, dense = nodes(table), density(table, None)
    low, high = span(x, dense, 0.005)
    inside = np.flatnonzero((x >= low) & (x <= high))
    inside = inside[:: max(1, inside.size // _MOST_POINTS)]
    top = max(1.08 * float(np.quantile(dense[inside], 0.99, axis=0).max()), 1e-9)
    words = property_symbol(prop.name)
    shown_unit = unit(columns()[prop.name].unit)
    along = Axis(low, high, f"{words} ({shown_unit})" if shown_unit else words, ticks=ticks(prop.scale, low, high))
    chart = Chart(along, Axis(0, top), 320, 180, (10, 10, 10, 42))
    chart.axes(with_y=False)
    modes = []
    for k, (name, look) in enumerate(style.of_classes(model.classes).items()):
        chart.line(x[inside], np.minimum(dense[inside, k], top), look.colour, look.line, 2.0)
        at = inside[int(dense[inside, k].argmax())]
        chart.marker(x[at], min(dense[at, k], top), look.marker, look.colour, 4.2, name)
        modes.append(f"{name} {x[at]:.3g}")
    scale = "" if prop.scale == "linear" else f" on the scale {prop.scale}"
    about = f"Where each class is densest{scale}: {', '.join(modes)}."
    return chart.svg(f"Density of {property_label(prop.name)} by class", about)


def weights(model: Model) -> list[Row]:
    """What each property may do to the scores: the mean size of its mixing, and its category's weight."""
    size = np.abs(model.mixing).mean(axis=(1, 2)) * len(model.classes)
    largest = float(size.max()) or 1.0
    return [
        {"term": name, "label": label(name), "category": category, "weight": float(w), "share": float(w) / largest}
        for name, category, w in zip(model.term_names, model.term_categories, size, strict=True)
    ]


def reliability(result: Report) -> Markup:
    """Share of correct classes against their probability, out of fold, with 95 % binomial intervals."""
    curve = result.metrics["sample"]["reliability"]
    n = np.array(curve["n"])
    filled = n > 0
    confidence, accuracy = (np.array(curve[name], dtype=float)[filled] for name in ("confidence", "accuracy"))
    low, high = wilson(accuracy * n[filled], n[filled])
    least = max(0.0, min(0.45, float(confidence.min(initial=0.45)) - 0.03))
    chart = Chart(
        Axis(least, 1.0, "Probability of the class"), Axis(0, 1.02, "Share that is right", n_ticks=5), 440, 320
    )  # fmt: skip
    chart.axes()
    chart.line([max(least, 0), 1], [max(least, 0), 1], dash=(0, (3, 2)), width=1.2)
    chart.line(confidence, accuracy, "#0072B2")
    for x, y, a, b, many in zip(confidence, accuracy, low, high, n[filled], strict=True):
        chart.bar(float(x), float(a), float(b), "#0072B2")
        chart.marker(x, y, "o", "#0072B2", 4.6, f"{many:,} sources: probability {x:.2f}, right {y:.2f}")
    told = "; ".join(f"at {x:.2f}, {y:.2f} are right" for x, y in zip(confidence, accuracy, strict=True))
    return chart.svg("Reliability of the probabilities", f"On the dashed line they are exact. {told}.")


def sum_rule(rule: Row, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Numbers per square degree and dex by flux, one chart per range of |b|; published numbers as lines."""
    drawn: list[dict[str, Any]] = []
    styles = style.of_classes(classes)
    of_classes = [row for row in rule["rows"] if row["class"] in classes]
    values = [_per_area(row, row["sum_p"]) for row in of_classes if row["sum_p"] >= 1]
    if not values:
        return []
    top = 3 * max(values)
    least = max(min(values) / 3, top / 1e6)
    low = min(row["log_flux"][0] for row in of_classes)
    high = max(row["log_flux"][1] for row in of_classes)
    for place in dict.fromkeys(tuple(row["abs_b_deg"]) for row in of_classes):
        chart = Chart(
            Axis(10**low, 10**high, "Flux, 0.2–12 keV (erg s⁻¹ cm⁻²)", True),
            Axis(least, top, "Objects per deg² and dex", True), 420, 300, (64, 12, 14, 44),
        )  # fmt: skip
        chart.axes()
        n_off = 0
        for name in classes:
            rows = [row for row in of_classes if row["class"] == name and tuple(row["abs_b_deg"]) == place]
            look = styles[name]
            line = [(10 ** np.mean(r["log_flux"]), _per_area(r, r["published"])) for r in rows if r["published"]]
            line = [(x, y) for x, y in line if least <= y <= top]
            if len(line) > 1:
                chart.line([x for x, _ in line], [y for _, y in line], look.colour, look.line, 1.8)
            for row in rows:
                x, y, n = 10 ** np.mean(row["log_flux"]), _per_area(row, row["sum_p"]), row["sum_p"]
                if not least <= y <= top:
                    continue
                error = y / np.sqrt(n)
                chart.bar(float(x), max(y - error, least), min(y + error, top), look.colour)
                if row["is_off"]:
                    n_off += 1
                    at = {"x": float(chart.px(x)), "y": float(chart.py(y))}
                    chart.add('<circle class="ink" cx="{x}" cy="{y}" r="9" stroke-width="1.4"/>', **at)
                title = f"{name}: sum {n:.3g}, published {row['published'] or 0:.3g}"
                chart.marker(x, y, look.marker, look.colour, 4.4, title)
        about = f"Sums of probabilities as points beside published counts as lines; {n_off} points are off."
        title = f"Galactic latitude |b| from {place[0]:g}° to {place[1]:g}°"
        drawn.append({"title": title, "svg": chart.svg(title, about)})
    return drawn


def _per_area(row: Row, number: float) -> float:
    low, high = row["log_flux"]
    return float(number / max(row["area_deg2"], 1e-9) / (high - low))

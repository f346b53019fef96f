"""The charts of what time and energy resolve: count rates with their blocks, and spectra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from xcat.database.connection import Connection
from xcat.output.chart import Axis, Chart, marker
from xcat.output.reading import Row, rows
from xcat.output.words import number

_MOST = 24
_FLAGS = ("is_limit", "is_doubtful")
#: More points than these are joined in drawing: a screen shows no more.
_MOST_POINTS = 160
_DAY_S = 86_400.0
_BLOCK, _LIMIT = "#D55E00", "#999999"
#: Rates that differ by more than this are drawn on a logarithmic scale.
_LARGE_RATIO = 30.0
#: More points than these have no words of their own.
_MOST_SINGLE = 80


def gather(conn: Connection, source_ids: list[int]) -> list[Row]:
    """Light curves and spectra of sources, with their points; the earliest first, at most 24."""
    found = rows(conn, "products.of_source", {"source_ids": source_ids, "most": _MOST})
    spectra = {p["product_id"]: p for p in found if p["product_kind"] == "spectrum"}
    curves = {p["product_id"]: p for p in found if p["product_kind"] != "spectrum"}
    parts = (("spectrum", spectra, "bins"), ("curve", curves, "bins"), ("blocks", curves, "blocks"))
    for statement, products, name in parts:
        for product in products.values():
            product[name] = []
        for row in rows(conn, f"products.{statement}", {"product_ids": [*products]}) if products else []:
            products[row.pop("product_id")][name].append(row)
    return found


def figures(products: list[Row], is_secret: bool = False) -> list[dict[str, Any]]:
    """Charts of products, with words; where the source is secret, without what names it."""
    out = []
    for product in products:
        if not product["bins"]:
            continue
        svg = _spectrum(product) if product["product_kind"] == "spectrum" else _curve(product)
        out.append(
            {"kind": product["product_kind"], "svg": svg, "words": _words(product, is_secret), "product": product}
        )
    return out


def legend(figures: list[dict[str, Any]]) -> Markup:
    """What the marks of these charts are, as a list."""
    kinds = {figure["kind"] for figure in figures}
    points = {name for figure in figures for b in figure["product"]["bins"] for name in _FLAGS if b.get(name)}
    line = f'<path d="M0,6H20" stroke="{_BLOCK}" stroke-width="2.4" fill="none"/>'
    limit = f'<path d="M5,2h10m-5,0v9m-3,-3l3,3l3,-3" stroke="{_LIMIT}" fill="none"/>'
    items = [(marker(10, 6, "o", "", 3), "measured, with its error (1σ)")]
    items += [(marker(10, 6, "X", "", 3), "marked as doubtful in the file")] * ("is_doubtful" in points)
    items += [(Markup(limit), "upper limit")] * ("is_limit" in points)
    items += [(Markup(line), "rate in Bayesian blocks")] * ("light_curve" in kinds)
    items += [(Markup(line), "power law of index 1.7, folded through the response")] * ("spectrum" in kinds)
    form = Markup('<li><svg class="chart" viewBox="0 0 20 12" aria-hidden="true">{}</svg>{}</li>')
    listed = Markup("").join(form.format(*item) for item in items)
    return Markup('<ul class="legend" aria-label="Marks">{}</ul>').format(listed)


def _band(product: Row) -> str:
    if product["energy_low_kev"] is None:
        return ""
    return f", {product['energy_low_kev']:.3g}–{product['energy_high_kev']:.3g} keV"


def _words(product: Row, is_secret: bool) -> str:
    """What a figure shows, in a sentence."""
    instrument = f" {product['instrument']}" if product["instrument"] else ""
    observation = f", observation {product['obs_id']}" if product["obs_id"] and not is_secret else ""
    head = f"{product['mission']}{instrument}{observation}{_band(product)}."
    counts = "" if product["n_counts"] is None else f" {product['n_counts']:,.0f} counts.".replace(",", "\u202f")
    return head + counts + (variability_words(product) if product["product_kind"] == "light_curve" else "")


def variability_words(product: Row) -> str:
    """What was found of the variability, in a sentence that begins with a blank."""
    n, value, error = (product[name] for name in ("n_blocks", "excess_variance", "excess_variance_err"))
    text = ""
    if n == 1:
        text = " No change of the rate was found."
    elif n:
        low, high = product["rate_low_cps"], product["rate_high_cps"]
        ratio = f", the brightest {number(high / low)} times the faintest" if low > 0 else ""
        text = f" The rate changes: {n} stretches of constant rate{ratio}."
    if value is not None:
        text += f" Excess variance {value:.2g} ± {error:.1g} (bins of {_span(product['bin_s'])}).".replace("-", "−")
    return text


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 10_000 else f"{seconds / _DAY_S:.2g} d"


def _curve(product: Row) -> Markup:
    """Count rates with errors and limits, and the blocks as a line."""
    bins, blocks = product["bins"], product["blocks"]
    start = product["mjd_first"]
    span_d = product["mjd_last"] - start
    is_long = span_d > 20
    scale = 1.0 if is_long else _DAY_S / 1000
    zero = 0.0 if is_long else start
    label = "Date (MJD)" if is_long else f"Time after MJD {start:.3f} (ks)"
    shown = _joined(bins) if product["n_counts"] is not None else bins
    tops = [_rate(b) + (b["rate_err_high_cps"] or 0.0) for b in shown if not b["is_limit"]]
    tops += [b["rate_cps"] for b in shown if b["is_limit"]] if not tops else []
    tops += [b["rate_cps"] + (b["rate_err_cps"] or 0.0) for b in blocks]
    high = max(tops) * 1.12 or 1.0
    low = min(0.0, *(_rate(b) for b in shown)) * 1.1
    above = [_rate(b) for b in shown if _rate(b) > 0 and not b["is_limit"]]
    is_log = is_long and len(above) > 1 and max(above) > _LARGE_RATIO * min(above)
    if is_log:
        low, high = min(above) / 2, high * 1.5
    pad = 0.02 * span_d or 0.01
    ends = ((start - pad - zero) * scale, (start + span_d + pad - zero) * scale)
    chart = Chart(Axis(*ends, label), Axis(low, high, "Count rate (s⁻¹)", is_log), 520, 260, (72, 14, 14, 44))
    chart.axes()
    _points(chart, shown, zero, scale)
    if blocks:
        edges, rates = [], []
        for block in blocks:
            edges += [(block[end] - zero) * scale for end in ("mjd_low", "mjd_high")]
            rates += [max(block["rate_cps"], low)] * 2
        chart.line(edges, rates, _BLOCK, "-", 2.4)
    n_limits = sum(b["is_limit"] for b in bins)
    limits = f" and {n_limits} upper limits" if n_limits else ""
    length = f"{span_d:.0f} days" if is_long else f"{span_d * _DAY_S / 1000:.3g} ks"
    about = (
        f"{len(bins) - n_limits} rates{limits} over {length}, at most {max(tops):.2g} counts per second."
        f"{variability_words(product)}"
    )
    return chart.svg(f"Light curve, {product['mission']}", about)


def _points(chart: Chart, shown: list[Row], zero: float, scale: float) -> None:
    """Draw rates: limits below errors below markers, each kind as one path where there are many."""
    low, high = chart.y.low, chart.y.high
    time, width, rate = (np.array([b[name] for b in shown], float) for name in ("time_mjd", "width_s", "rate_cps"))
    down, up = (np.array([b[f"rate_err_{end}_cps"] or 0.0 for b in shown]) for end in ("low", "high"))
    is_limit, is_doubtful = (np.array([b[name] for b in shown], bool) for name in _FLAGS)
    x, half = chart.px((time - zero) * scale), width / 2 / _DAY_S * scale
    y, ends = (chart.py(np.clip(values, low, high)) for values in (rate, [rate - down, rate + up]))
    limits = is_limit & (rate > low) & (rate <= high)
    _path(chart, "M{:.1f},{:.1f}m-5,0h10m-5,0v13m-3.5,-4l3.5,4l3.5,-4", (x, y), limits, f'stroke="{_LIMIT}"', 1.4)
    _path(chart, "M{:.1f},{:.1f}V{:.1f}", (x, *ends), ~is_limit & (up > 0), 'class="ink"', 1.3)
    if len(shown) <= _MOST_SINGLE and width.sum() > 0.2 * (time.max() - time.min()) * _DAY_S:
        left, right = (chart.px((time - zero) * scale + side * half) for side in (-1, 1))
        _path(chart, "M{:.1f},{:.1f}H{:.1f}", (left, y, right), ~is_limit, 'class="ink"', 0.8)
    if len(shown) > _MOST_SINGLE:
        dot = 'class="ink" stroke-linecap="round"'
        _path(chart, "M{:.1f},{:.1f}h0", (x, y), ~is_limit & ~is_doubtful, dot, 4.0)
        _path(chart, "M{:.1f},{:.1f}m-2,-2l4,4m0,-4l-4,4", (x, y), ~is_limit & is_doubtful, 'class="ink"', 1.0)
        return
    for i in np.flatnonzero(~is_limit):
        title = f"{time[i]:.4f}: {rate[i]:.3g} per second"
        at = (time[i] - zero) * scale, min(max(rate[i], low), high)
        chart.marker(*at, "X" if is_doubtful[i] else "o", "", 3.2, title)


def _path(chart: Chart, form: str, places: tuple[Any, ...], wanted: Any, look: str, width: float) -> None:
    """Draw one mark at many places as one path."""
    d = "".join(form.format(*place) for place in zip(*(values[wanted].tolist() for values in places), strict=True))
    if d:
        chart.add('<path d="{d}" fill="none" {look} stroke-width="{w}"/>', d=d, look=Markup(look), w=f"{width:g}")


def _rate(point: Row) -> float:
    return float(point["rate_cps"])


def _joined(bins: list[Row]) -> list[Row]:
    """Neighbouring bins together, as a screen shows them; their errors are not independent, so the mean is told."""
    step = math.ceil(len(bins) / _MOST_POINTS)
    if step < 2:
        return bins
    out = []
    for i in range(0, len(bins), step):
        part = bins[i : i + step]
        mean = {
            n: sum(b[n] or 0.0 for b in part) / len(part) for n in ("rate_cps", "rate_err_low_cps", "rate_err_high_cps")
        }
        width = sum(b["width_s"] for b in part)
        middle = (part[0]["time_mjd"] + part[-1]["time_mjd"]) / 2
        out.append(part[0] | mean | {"width_s": width, "time_mjd": middle})
    return out


def _spectrum(product: Row) -> Markup:
    """Count rates per keV with errors, and a folded power law."""
    bins = product["bins"]
    values = [v for b in bins for v in (b["rate_per_kev_cps"], b["folded_per_kev_cps"]) if v is not None and v > 0]
    top = max(values, default=1.0)
    low = max(min(values, default=0.1) / 2, top * 1e-4)
    ends = bins[0]["energy_low_kev"], bins[-1]["energy_high_kev"]
    ticks = [(e, f"{e:g}") for e in (0.3, 0.5, 1.0, 2.0, 5.0, 10.0) if ends[0] <= e <= ends[1]]
    chart = Chart(
        Axis(*ends, "Energy (keV)", True, ticks=ticks or None),
        Axis(low, top * 2, "Counts (s⁻¹ keV⁻¹)", True),
        *(520, 300, (76, 14, 14, 44)),
    )
    chart.axes()
    folded = [b for b in bins if b["folded_per_kev_cps"] and b["folded_per_kev_cps"] > low]
    if folded:
        edges, model = [], []
        for b in folded:
            edges += [b["energy_low_kev"], b["energy_high_kev"]]
            model += [b["folded_per_kev_cps"]] * 2
        chart.line(edges, model, _BLOCK, "-", 1.8)
    for b in bins:
        y, error = b["rate_per_kev_cps"], b["rate_per_kev_err_cps"] or 0.0
        middle = math.sqrt(b["energy_low_kev"] * b["energy_high_kev"])
        title = f"{b['energy_low_kev']:.2f} to {b['energy_high_kev']:.2f} keV: {b['n_counts']:.0f} counts"
        if y <= low:
            if y + 3 * error > low:
                chart.limit(middle, min(y + 3 * error, top * 2), "", title)
            continue
        chart.line([b["energy_low_kev"], b["energy_high_kev"]], [y, y], width=1.2)
        chart.bar(middle, max(y - error, low), min(y + error, top * 2))
        chart.marker(middle, y, "o", "", 2.6, title)
    peak = max(bins, key=lambda b: b["rate_per_kev_cps"])
    about = (
        f"{len(bins)} groups of channels from {ends[0]:.2g} to {ends[1]:.2g} keV, {product['n_counts']:.0f} counts; "
        f"most per keV at {peak['energy_low_kev']:.2g} to {peak['energy_high_kev']:.2g} keV."
    )
    return chart.svg(f"Spectrum, {product['mission']}", about)

"""The charts of what time and energy resolve: count rates with their blocks, and spectra."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from xcat.database.connection import Connection
from xcat.output.chart import Axis, Chart
from xcat.output.reading import Row, rows
from xcat.service.pages.words import number

_MOST = 24
#: More points than these are joined in drawing: a screen shows no more.
_MOST_POINTS = 160
_DAY_S = 86_400.0
_BLOCK, _LIMIT = "#D55E00", "#999999"
#: Rates that differ by more than this are drawn on a logarithmic scale.
_LARGE_RATIO = 30.0


def gather(conn: Connection, source_ids: list[int]) -> list[Row]:
    """Light curves and spectra of sources, with their points; the earliest first, at most 24."""
    found = rows(conn, "products.of_source", {"source_ids": source_ids, "most": _MOST})
    for product in found:
        asked = {"product_id": product["product_id"]}
        if product["product_kind"] == "spectrum":
            product["bins"] = rows(conn, "products.spectrum", asked)
        else:
            product["bins"] = rows(conn, "products.curve", asked)
            product["blocks"] = rows(conn, "products.blocks", asked)
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
    for b in shown:
        x, y = (b["time_mjd"] - zero) * scale, _rate(b)
        half = b["width_s"] / 2 / _DAY_S * scale
        title = f"{b['time_mjd']:.4f}: {'below ' if b['is_limit'] else ''}{y:.3g} per second"
        if b["is_limit"]:
            if low < y <= high:
                chart.limit(x, y, _LIMIT, title)
            continue
        if not is_long and len(shown) <= 80:
            chart.line([x - half, x + half], [y, y], width=0.8)
        if b["rate_err_high_cps"]:
            ends_of_bar = y - b["rate_err_low_cps"], y + b["rate_err_high_cps"]
            chart.bar(x, *(min(max(end, low), high) for end in ends_of_bar))
        chart.marker(x, max(y, low), "X" if b["is_doubtful"] else "o", "", 2.4 if len(shown) > 80 else 3.2, title)
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

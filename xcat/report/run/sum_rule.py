"""The sum rule of a classify run in words; see `xcat.jobs.sum_rule`. Its figure is in page_figures.py."""

from __future__ import annotations

from xcat.jobs.sum_rule import number
from xcat.output.reading import Row
from xcat.output.terminal import aligned

TITLE = "Sum rule: sum of P(class) over the objects against published numbers over the area searched"
_HEADS = ["|b| (deg)", "log flux", "area (deg2)", "objects", "class", "sum of P", "published", ""]
_WHAT_NOW = (
    "These are called too often or too seldom, or the fields were pointed at them, or the counts do not hold there: "
    "see docs/explanation/priors.md"
)
_OF_ALL = (
    "All classes together are off, so that single classes tell little: the sources may be a selection of those in "
    "their fields, or their fluxes those of another band"
)


def lines(rule: Row) -> list[str]:
    """The whole table, for a terminal."""
    if not rule["rows"]:
        return [f"{TITLE}: no bin has enough objects with a flux above the limit of its field"]
    cells = [_HEADS]
    for row in rule["rows"]:
        (b_low, b_high), (f_low, f_high) = row["abs_b_deg"], row["log_flux"]
        published = "-" if row["published"] is None else number(row["published"])
        place = [
            f"{b_low:g} to {b_high:g}",
            f"{f_low:g} to {f_high:g}",
            f"{row['area_deg2']:.2f}",
            f"{row['sources']:,}",
        ]
        cells.append([*place, row["class"], number(row["sum_p"]), published, "off" if row["is_off"] else ""])
    return [f"{TITLE} ({searched(rule)})", *aligned(cells, {2, 3, 5, 6})]


def verdict(rule: Row) -> list[str]:
    """What is off, one line per class; a single line if nothing is."""
    tested = sum(row["sources"] >= rule["fewest_sources"] and row["published"] is not None for row in rule["rows"])
    if not tested:
        return [f"Sum rule: not tested, no bin has {rule['fewest_sources']} objects above the limit of their fields"]
    if not rule["messages"]:
        return [f"Sum rule: kept within a factor {rule['factor']:g} in all {tested} bins ({searched(rule)})"]
    what_now = _OF_ALL if any(message.startswith("all classes:") for message in rule["messages"]) else _WHAT_NOW
    return [f"Sum rule ({searched(rule)}):", *(f"  {message}" for message in rule["messages"]), f"  {what_now}"]


def searched(rule: Row) -> str:
    """Area and objects that were compared."""
    part = f", in one of {rule['part']} cells of the sky" if rule.get("part", 1) > 1 else ""
    return f"{rule['area_deg2']:,.1f} deg2 searched, {rule['sources']:,} objects above the limits of their fields{part}"

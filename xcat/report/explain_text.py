"""An explanation as text: readable at a hundred columns, and without colour."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from xcat.report.terminal import aligned, number

if TYPE_CHECKING:
    from xcat.report.explain import Explanation, Term
    from xcat.report.reading import Row

_BAR = 6  # characters of a bar on either side


def odds(nats: float) -> str:
    """Odds factor in words: x 12 for, / 3.1 against."""
    size = abs(nats)
    if size < 0.005:
        return "x 1"
    factor = math.exp(min(size, 700))
    digits = f"{factor:.2g}" if factor < 10 else f"{factor:.0f}" if factor < 1e4 else f"{factor:.0e}"
    return f"{'x' if nats > 0 else '/'} {digits}"


def bar(nats: float, largest: float) -> str:
    """A bar to the right for the best class, to the left against it."""
    size = round(_BAR * min(abs(nats) / largest, 1)) if largest > 0 else 0
    left, right = ("", "+" * size) if nats > 0 else ("-" * size, "")
    return f"{left:>{_BAR}}|{right:<{_BAR}}"


def value(term: Term) -> str:
    """Value with unit; missing and out-of-range ones say so."""
    if term.value is None:
        return "missing"
    beyond = {"below": " (< table)", "above": " (> table)", "": ""}[term.beyond]
    unit = {"mas / yr": "mas/yr"}.get(term.unit, term.unit)
    return f"{number(term.value)}{' ' if unit else ''}{unit}{beyond}"


def headline(e: Explanation) -> str:
    """Class and probability in one line."""
    state = (
        f"an outlier: {e.outlier:.1f} decades, limit {e.outlier_limit:.1f}"
        if e.is_outlier
        else f"not an outlier: {e.outlier:.1f} decades, limit {e.outlier_limit:.1f}"
    )
    return (
        f"{e.best}, P = {probability(e.posterior[e.best])}; next {e.second}, P = {probability(e.posterior[e.second])};"
        f" margin {e.margin:.3f}; {state}"
    )


def source_lines(e: Explanation) -> list[str]:
    """Where the source is and how bright."""
    s = e.source
    lines = [
        f"{s['name']}   {s['catalogue']}, number {s['source_id']}, classify run {e.run_id}",
        f"RA {s['ra']:.5f}  Dec {s['dec']:+.5f} deg,  l {s['glon']:.3f}  b {s['glat']:+.3f} deg,"
        f"  1 sigma {s['err_arcsec']:.2f} arcsec a axis",
    ]
    facts = []
    if s["flux_cgs"] is not None:
        error = f" +- {s['flux_err_cgs']:.1e}" if s["flux_err_cgs"] is not None else ""
        facts.append(f"flux {s['flux_cgs']:.2e}{error} erg/(s cm2)")
    facts.append(_counted(s["n_detections"], "detection"))
    if s["snr"] is not None:
        facts.append(f"S/N {s['snr']:.1f}")
    facts.append("in the test sample" if s["in_test_sample"] else "not in the test sample")
    return [*lines, ", ".join(facts)]


def surroundings(e: Explanation) -> str:
    """The most probable hypothesis, and what the other missions say, in one line."""
    parts = ["no counterpart was looked for"]
    if e.hypotheses:
        best = max(e.hypotheses, key=lambda h: h["p_hypothesis"])
        named = " + ".join(f"{m['catalogue']} {m['native_id']}" for m in best["members"])
        parts = [f"{named or 'no counterpart'}, P = {probability(best['p_hypothesis'])}"]
    if e.master is not None and e.master["others"]:
        perhaps = "perhaps " if e.master["is_ambiguous"] else ""
        parts.append(f"{perhaps}one with {', '.join(other['name'] for other in e.master['others'][:3])}")
    if e.master is not None and e.master["flux_ratio_sigma"] is not None:
        parts.append(f"flux ratio {number(e.master['flux_ratio'])}, {number(e.master['flux_ratio_sigma'])} sigma")
    return ";  ".join(parts)


def label_lines(e: Explanation) -> list[str]:
    """What the literature says."""
    if not e.labels:
        return ["Literature: in none of the reference catalogues"]
    lines = []
    for label in e.labels:
        name = f" {label['name']}" if label["name"] else ""
        native = f" (there: {label['class_native']})" if label["class_native"] else ""
        remark = {"used": "", "duplicate": "; same class again"}.get(label["status"], f"; {label['status']}")
        lines.append(
            f"Literature: {label['class'] or 'no class of ours'}{native},{name} in {label['origin']},"
            f" {label['sep_arcsec']:.2f} arcsec away{remark}"
        )
    return lines


def probability(p: float) -> str:
    """Three decimals, and a power of ten for what they would call 0."""
    return f"{p:.3f}" if p >= 0.0005 or p == 0 else f"{p:.0e}"


def text(e: Explanation, width: int = 100) -> str:
    """Write everything; lines are at most ``width`` characters long as far as names allow."""
    lines = [*source_lines(e), *label_lines(e), "", headline(e), ""]
    # more than five classes do not fit beside each other; the least probable ones go
    shown = [c for c in e.classes if c in sorted(e.classes, key=lambda k: -e.posterior[k])[:5]]
    lines += [*_properties(e, shown), "", *_categories(e, shown), "", *_counterparts(e), *_hypotheses(e), *_master(e)]
    folded = [textwrap.wrap(line, width, subsequent_indent="  ") if len(line) > width else [line] for line in lines]
    return "\n".join(line for part in folded for line in part)


def _properties(e: Explanation, shown: list[str]) -> list[str]:
    largest = max((abs(t.nats) for t in e.terms), default=0.0)
    n = len(shown)
    head = ["property", "value", *shown, f"{_scale(e.second, e.best)}", "nats", "odds"]
    prior = ["prior", "", *(f"{e.log_prior[c]:.2f}" for c in shown)]
    body = [head, [*prior, bar(e.prior_nats, largest), f"{e.prior_nats:+.2f}", odds(e.prior_nats)]]
    for category in e.categories:
        body.append([category.category])
        for t in e.terms:
            if t.category == category.category:
                terms = [f"{t.log_likelihood[c]:.2f}" for c in shown]
                body.append([f"  {t.property}", value(t), *terms, bar(t.nats, largest), f"{t.nats:+.2f}", odds(t.nats)])
    return [
        f"Log-likelihood of each class (nats); then what {e.best} gains on {e.second}, exponent included",
        *aligned(body, {*range(2, n + 2), n + 3, n + 4}),
    ]


def _scale(second: str, best: str) -> str:
    return f"{'-' + second:>{_BAR}}|{best + '+':<{_BAR}}"


def _categories(e: Explanation, shown: list[str]) -> list[str]:
    largest = max([abs(c.nats) for c in e.categories] + [abs(e.prior_nats)])
    n = len(shown)
    body = [["category", "exponent", *shown, _scale(e.second, e.best), "nats", "odds", "without"]]
    prior = [f"{e.log_prior[c]:.2f}" for c in shown]
    body.append(["prior", "", *prior, bar(e.prior_nats, largest), f"{e.prior_nats:+.2f}", odds(e.prior_nats), ""])
    for c in e.categories:
        sums = [f"{c.log_likelihood[k]:.2f}" for k in shown]
        without = c.class_without if c.class_without == e.best else f"{c.class_without} (!)"
        body.append(
            [
                c.category,
                "fitted" if c.exponent is None else f"{c.exponent:.3f}",
                *sums,
                bar(c.nats, largest),
                f"{c.nats:+.2f}",
                odds(c.nats),
                without,
            ]
        )
    whole = e.prior_nats + sum(c.nats for c in e.categories)
    p = [probability(e.posterior[c]) for c in shown]
    body.append(["posterior", "", *p, "", f"{whole:+.2f}", odds(whole), ""])
    if any(c.exponent is None for c in e.categories):
        rule = [
            "posterior = prior x product over properties of (likelihood / its mean over classes) ^ exponent,",
            "normalised; the exponents were fitted, one a property and class; without: class if it is dropped",
        ]
    else:
        rule = [
            "posterior = prior x product over categories of likelihood ^ exponent, normalised;",
            f"exponent = sharpness x alpha / sum of alpha, sharpness {e.sharpness:.3g};"
            " without: class if it is dropped",
        ]
    return [*aligned(body, {1, *range(2, n + 2), n + 3, n + 4}), *rule]


def _magnitudes(row: Row) -> str:
    values = sorted((row["magnitudes"] or {}).items())
    return "  ".join(f"{name.removeprefix('mag_')} {value:.2f}" for name, value in values)


def _counterparts(e: Explanation) -> list[str]:
    if not e.counterparts:
        return ["Counterparts: none was looked for"]
    body = [["catalogue", "object", "arcsec", "p_i", "p_any", "candidates", "used", "magnitudes"]]
    for c in e.counterparts:
        there = c["sep_arcsec"] is not None
        body.append(
            [
                c["catalogue"],
                c["native_id"] or "-",
                f"{c['sep_arcsec']:.2f}" if there else "-",
                f"{c['p_i']:.3f}" if there else "-",
                f"{c['p_any']:.3f}",
                str(c["n_candidates"]),
                "yes" if c["accepted"] and there else "no",
                _magnitudes(c),
            ]
        )
    return [
        "Best candidate in each catalogue (p_any: that there is a counterpart; p_i: that it is this one)",
        *aligned(body, {2, 3, 4, 5}),
    ]


def _hypotheses(e: Explanation) -> list[str]:
    """The combinations of objects that the source may be, most probable first; "none of these" has its place there."""
    if not e.hypotheses:
        return []
    body = [["rank", "P", "catalogue", "object", "arcsec", "magnitudes"]]
    for h in sorted(e.hypotheses, key=lambda h: -h["p_hypothesis"]):
        first = [str(h["rank"]), probability(h["p_hypothesis"])]
        if not h["members"]:
            body.append([*first, "none of these", "", "", ""])
        for i, member in enumerate(h["members"]):
            sep = f"{member['sep_arcsec']:.2f}" if member["sep_arcsec"] is not None else "-"
            body.append(
                [*(first if i == 0 else ["", ""]), member["catalogue"], member["native_id"], sep, _magnitudes(member)]
            )
    lines = ["", "What it may be in all catalogues together", *aligned(body, {0, 1, 4})]
    more = e.n_hypotheses - sum(h["rank"] > 0 for h in e.hypotheses)
    if more > 0:
        p = max(e.p_kept - sum(h["p_hypothesis"] for h in e.hypotheses), 0.0)
        lines.append(f"and {more} more, together P = {probability(p)}")
    return lines


def _master(e: Explanation) -> list[str]:
    """What the other missions saw of it."""
    m = e.master
    if m is None:
        return []
    seen = f"{_counted(m['n_missions'], 'mission')}, {_counted(m['n_detections'], 'detection')}"
    limits = f", {_counted(m['n_upper_limits'], 'upper limit')}" if m["n_upper_limits"] else ""
    lines = ["", f"Master source {m['master_id']}: {m['status']}; {seen}{limits}"]
    if m["flux_ratio"] is not None:
        ratio = f"flux ratio {number(m['flux_ratio'])}"
        if m["flux_ratio_low"] is not None:
            ratio += f", {number(m['flux_ratio_low'])} with the errors taken off"
        if m["flux_ratio_sigma"] is not None:
            ratio += f", {number(m['flux_ratio_sigma'])} sigma"
        span = f"{m['flux_std_min_cgs']:.2e} to {m['flux_std_max_cgs']:.2e} erg/(s cm2) in 0.2-12 keV"
        lines.append(f"{ratio}; {span}")
    if m["others"]:
        body = [["mission", "source", "arcsec", "detections", "mean flux", ""]]
        for other in m["others"]:
            flux = f"{other['flux_std_cgs']:.2e}" if other["flux_std_cgs"] is not None else "-"
            remark = "perhaps the same" if other["relation"] == "ambiguous" else ""
            cells = [other["catalogue"], other["name"], f"{other['sep_arcsec']:.2f}", str(other["n_detections"])]
            body.append([*cells, flux, remark])
        lines += aligned(body, {2, 3, 4})
    return lines


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"

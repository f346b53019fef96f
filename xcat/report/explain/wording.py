"""An explanation as text: readable at a hundred columns, and without colour."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from xcat.output.terminal import aligned, number

if TYPE_CHECKING:
    from xcat.output.reading import Row
    from xcat.report.explain.explanation import Change, Explanation, Term

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


def value(term: Term, with_error: bool = True) -> str:
    """Value with error and unit; a limit, a missing and an out-of-range one say so. Without error: three digits."""
    if term.axes:
        return "both" if term.state == "value" else "-"
    unit = {"mas / yr": "mas/yr"}.get(term.unit, term.unit)
    after = f" {unit}" if unit else ""
    if term.limit is not None:
        return f"> {number(term.limit if with_error else _rounded(term.limit))}{after}"
    if term.value is None:
        return term.state
    error = f" +- {term.error:.2g}" if with_error and term.error is not None else ""
    beyond = {"below": " (< table)", "above": " (> table)", "": ""}[term.beyond]
    return f"{number(term.value if with_error else _rounded(term.value))}{error}{after}{beyond}"


def tail(p: float) -> str:
    """A tail probability as a number of members."""
    if p < 0.001:
        return "fewer than 1 in 1000"
    return f"{1000 * p:.0f} in 1000" if p < 0.0095 else f"{100 * p:.0f} in 100"


def headline(e: Explanation) -> str:
    """Class and probability in one line."""
    return (
        f"{e.best}, P = {probability(e.posterior[e.best])}; next {e.second}, P = {probability(e.posterior[e.second])};"
        f" margin {e.margin:.3f}; {'an' if e.is_outlier else 'no'} outlier, as far out as {tail(e.p_tail)} {e.best}"
    )


def out_of_fold(e: Explanation) -> str:
    """Where the probabilities of a labelled source come from; empty for any other."""
    if not e.is_out_of_fold:
        return ""
    return (
        f"Labelled source: probabilities are out of fold (fold {e.fold} of {e.n_folds}:"
        " from tables fitted without this source)"
    )


def _in_sample(e: Explanation) -> list[str]:
    """The same, with what the whole model says."""
    if e.posterior_in_sample is None:
        return []
    p = ", ".join(f"P({c}) = {probability(e.posterior_in_sample[c])}" for c in dict.fromkeys([e.best, e.best_by_model]))
    return [f"{out_of_fold(e)}.", f"All that is listed below is of the whole model, which has seen its label: {p}"]


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
    facts.append(_place_in_samples(e))
    return [*lines, ", ".join(facts)]


def _place_in_samples(e: Explanation) -> str:
    if e.source["in_test_sample"]:
        return "in the test sample"
    return f"not in the test sample ({'labelled' if e.known_class else 'not classifiable by hand'})"


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
    lines = [*source_lines(e), *label_lines(e), "", headline(e), *_in_sample(e), ""]
    by_probability = sorted(e.classes, key=lambda k: -e.posterior[k])
    for most in range(min(len(e.classes), 5), 1, -1):  # the least probable classes go where the lines are too long
        evidence = [*_properties(e, [c for c in e.classes if c in by_probability[:most]])]
        if max(map(len, evidence)) <= width:
            break
    shown = [c for c in e.classes if c in by_probability[:most]]
    lines += [*evidence, "", *_categories(e, shown), "", *_changes(e), *_without(e), *_alike(e), ""]
    lines += [*_counterparts(e), *_hypotheses(e), *_master(e)]
    folded = [textwrap.wrap(line, width, subsequent_indent="  ") if len(line) > width else [line] for line in lines]
    return "\n".join(line for part in folded for line in part)


def _properties(e: Explanation, shown: list[str]) -> list[str]:
    largest = max((abs(t.nats) for t in e.terms), default=0.0)
    n = len(shown)
    head = ["property", "value", *shown, f"{_scale(e.second, e.best)}", "nats", "odds"]
    prior = ["prior", "", *(f"{e.log_prior[c]:.2f}" for c in shown)]
    body = [head, [*prior, bar(e.prior_nats, largest), f"{e.prior_nats:+.2f}", odds(e.prior_nats)]]
    silent = [t for t in e.terms if not any(t.said.values())]
    for category in e.categories:
        mine = [t for t in e.terms if t.category == category.category and t not in silent]
        body += [[category.category]] if mine else []
        for t in mine:
            said = [f"{t.said[c]:+.2f}" for c in shown]
            body.append([f"  {t.property}", value(t), *said, bar(t.nats, largest), f"{t.nats:+.2f}", odds(t.nats)])
    lines = [
        f"What each property adds to the score of each class (nats); then what {e.best} gains on {e.second}",
        *aligned(body, {*range(2, n + 2), n + 3, n + 4}),
    ]
    lines += [f"{t.property}: {t.about.lower()}" for t in e.terms if t.axes and t.about.startswith("Prior")]
    for state, why in (
        ("not observed", "nobody has looked"), ("missing", "one of the two is not there"), ("value", "no weight"),
    ):  # fmt: skip
        names = [t.property for t in silent if t.state == state or (state == "value" and t.state == "limit")]
        if names:
            lines.append(f"Nothing is said ({why}) by {', '.join(names)}")
    return lines


def _scale(second: str, best: str) -> str:
    return f"{'-' + second:>{_BAR}}|{best + '+':<{_BAR}}"


def _categories(e: Explanation, shown: list[str]) -> list[str]:
    largest = max([abs(c.nats) for c in e.categories] + [abs(e.prior_nats)])
    n = len(shown)
    body = [["category", *shown, _scale(e.second, e.best), "nats", "odds", "without"]]
    prior = [f"{e.log_prior[c]:.2f}" for c in shown]
    body.append(["prior", *prior, bar(e.prior_nats, largest), f"{e.prior_nats:+.2f}", odds(e.prior_nats), ""])
    for c in e.categories:
        sums = [f"{sum(t.said[k] for t in e.terms if t.category == c.category):+.2f}" for k in shown]
        without = f"{c.class_without} {probability(c.posterior_without[c.class_without])}"
        without += "" if c.class_without == e.best_by_model else " (!)"
        body.append([c.category, *sums, bar(c.nats, largest), f"{c.nats:+.2f}", odds(c.nats), without])
    whole = e.prior_nats + sum(c.nats for c in e.categories)
    end = [probability(e.posterior_accepted[c]) for c in shown]
    body.append(["P", *end, "", f"{whole:+.2f}", odds(whole), ""])
    lines = aligned(body, {*range(1, n + 1), n + 2, n + 3})
    if e.counterpart_matters:
        lines.append("That is with the accepted counterpart; P of the source is the mean over what it may be:")
        lines.append("  " + ", ".join(f"{c} {probability(e.posterior_by_model[c])}" for c in shown))
    elif e.is_summed:
        lines.append("That is with the accepted counterpart; the mean over what it may be is within 0.005")
    return [
        *lines,
        "P = exp(score) / sum, score = prior + what is added; without: the answer if nothing of it is added",
        e.weighting,
    ]


def changes(e: Explanation, most: int) -> list[str]:
    """The nearest values that would change the answer, one a line."""
    units = {t.property: f" {t.unit}" if t.unit else "" for t in e.terms}
    return [
        f"{c.to} if {c.property} were {_apart(c)[0]}{units[c.property]} (is {_apart(c)[1]};"
        f" {c.spreads:.2g} spreads of {e.best_by_model} away)"
        for c in e.changes[:most]
    ]


def _apart(c: Change) -> tuple[str, str]:
    """Where the change is, and the value, with as many digits as tell them apart."""
    for digits in range(3, 7):
        there, here = (f"{x:.{digits}g}" if digits > 3 else number(_rounded(x)) for x in (c.threshold, c.value))
        if there != here:
            return f"{c.direction} {there}", here
    return f"not {here} exactly", here


def _rounded(x: float) -> float:
    return float(f"{x:.3g}")


def _changes(e: Explanation) -> list[str]:
    told = changes(e, 6)
    if not told:
        return [f"No value of any one property, all else as it is, would make it anything but {e.best_by_model}"]
    return ["What would change the answer, one property at a time", *(f"  {line}" for line in told)]


def _without(e: Explanation) -> list[str]:
    """What the answer would be without each property, where that makes a difference."""
    best = e.best_by_model
    p = e.posterior_by_model[best]
    told = sorted(e.without, key=lambda w: (w.to == best, -abs(w.posterior[best] - p)))
    told = [w for w in told if w.to != best or abs(w.posterior[best] - p) >= 0.02][:6]
    if not told:
        return [f"Without any one property it would still be {best}, P within 0.02"]
    words = []
    for w in told:
        words.append(f"{w.property}: {w.to} {probability(w.posterior[w.to])}{' (!)' if w.to != best else ''}")
    return [f"Without  {';  '.join(words)}"]


def _alike(e: Explanation) -> list[str]:
    if not e.alike:
        return []
    mine = {t.property: t for t in e.terms}
    body = [["source", "catalogue", "is", "P out of fold", "nats away", "differs in"]]
    for a in e.alike:
        most = a.differs_in[0] if a.differs_in else ""
        values = f" ({_short(mine[most].value)}, {_short(a.values[most])})" if most in a.values else ""
        away = f"{a.distance_nats:.2f}"
        body.append([a.name, a.catalogue, a.known_class, probability(a.out_of_fold), away, most + values])
    return [
        "",
        "Labelled sources whose evidence is most like this, and what differs most (here, there)",
        *aligned(body, {3, 4}),
    ]


def _short(x: float | None) -> str:
    return "-" if x is None else number(_rounded(x))


def _magnitudes(row: Row) -> str:
    values = sorted((row["magnitudes"] or {}).items())
    return ", ".join(f"{name.removeprefix('mag_').removeprefix('gaia_')} {value:.2f}" for name, value in values)


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
    classes = [e.best, e.second] if e.is_summed else []
    body = [["rank", "P", *(f"P({c})" for c in classes), "catalogue", "object", "arcsec", "magnitudes"]]
    for h in sorted(e.hypotheses, key=lambda h: -h["p_hypothesis"]):
        then = [probability(h["posterior"][c]) if h["posterior"] else "-" for c in classes]
        first = [str(h["rank"]), probability(h["p_hypothesis"]), *then]
        if not h["members"]:
            body.append([*first, "none of these", "", "", ""])
        for i, member in enumerate(h["members"]):
            sep = f"{member['sep_arcsec']:.2f}" if member["sep_arcsec"] is not None else "-"
            cells = first if i == 0 else [""] * len(first)
            body.append([*cells, member["catalogue"], member["native_id"], sep, _magnitudes(member)])
    n = len(classes)
    about = "; P(class): if that is true" if e.is_summed else ""
    lines = ["", f"What it may be in all catalogues together{about}"]
    lines += aligned(body, {*range(2 + n), 4 + n})
    more = e.n_hypotheses - sum(h["rank"] > 0 for h in e.hypotheses)
    if more > 0:
        p = max(e.p_kept - sum(h["p_hypothesis"] for h in e.hypotheses), 0.0)
        then_all = f", P({e.best}) {probability(e.rest['posterior'][e.best])}" if e.rest else ""
        lines.append(f"and {more} more, together P = {probability(p)}{then_all}")
    if e.is_summed:
        parts = [f"{h['weight']:.3f} x {h['posterior'][e.best]:.3f}" for h in _taken(e)]
        parts += [f"{e.rest['weight']:.3f} x {e.rest['posterior'][e.best]:.3f}"] if e.rest else []
        lines.append(f"P({e.best}) = {' + '.join(parts)} = {probability(e.posterior_by_model[e.best])}")
        if any(h["posterior"] is None for h in e.hypotheses):
            lines.append("A hypothesis below P = 0.01 is left out of the mean")
    return lines


def _taken(e: Explanation) -> list[Row]:
    taken = [h for h in e.hypotheses if h["posterior"] is not None]
    return sorted(taken, key=lambda h: -h["weight"])


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

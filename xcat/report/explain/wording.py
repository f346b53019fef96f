"""An explanation as text: readable at a hundred columns, and without colour."""

from __future__ import annotations

import math
import textwrap

from xcat.columns.properties import property_label
from xcat.output.reading import Row
from xcat.output.terminal import aligned, number
from xcat.report.explain.explanation import ClassThreshold, Explanation, Term

_BAR = 6  # characters of a bar on either side
_REMARKS = {
    "used": "",
    "duplicate": "; repeats the label",
    "conflict": "; in conflict with another catalogue",
    "unmapped": "; not a class of the model",
}


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


def named(name: str) -> str:
    """Column name of a property with its human name: log_fx_fw1 (X-ray to W1 flux ratio); of a pair, as it is."""
    label = property_label(name)
    return name if label == name or "*" in name else f"{name} ({label})"


def value(term: Term, with_error: bool = True) -> str:
    """Value with error and unit, or the state of a term without one. Without error: three digits."""
    if term.axes:
        return "both" if term.state == "value" else "-"
    unit = _unit(term)
    given = term.value if term.limit is None else term.limit
    if given is None:
        return term.state
    digits = number(given if with_error else _rounded(given))
    if term.limit is not None:
        return f"> {digits}{unit}"
    error = f" +- {term.error:.2g}" if with_error and term.error is not None else ""
    beyond = {"below": " (< table)", "above": " (> table)", "": ""}[term.beyond]
    return f"{digits}{error}{unit}{beyond}"


def _unit(term: Term) -> str:
    return f" {term.unit.replace(' / ', '/')}" if term.unit else ""


def tail(p: float) -> str:
    """A tail probability as a percentage of the members of a class."""
    if p < 0.001:
        return "fewer than 0.1 %"
    return f"{100 * p:.1f} %" if p < 0.0095 else f"{100 * p:.0f} %"


def probability(p: float) -> str:
    """Three decimals, and a power of ten for what they would call 0."""
    return f"{p:.3f}" if p >= 0.0005 or p == 0 else f"{p:.0e}"


def _error(e: Explanation, name: str) -> str:
    """Error of a probability, if it is known."""
    return "" if e.p_err is None else f" +- {probability(e.p_err[name])}"


def headline(e: Explanation) -> str:
    """Class and probability in one line."""
    of = {c: f"{probability(e.posterior[c])}{_error(e, c)}" for c in (e.best, e.second)}
    stable = "" if e.stability is None else f", the class of {100 * e.stability:.0f} % of the refits"
    return (
        f"{e.best}, P = {of[e.best]}{stable}; next {e.second}, P = {of[e.second]};"
        f" margin {e.margin:.3f}; {'an' if e.is_outlier else 'not an'} outlier:"
        f" {tail(e.p_tail)} of {e.best} are at least as extreme"
    )


def kinds(e: Explanation) -> list[str]:
    """What kinds of the most probable classes the source may be of, by the whole model: a line, or none."""
    parts = [
        f"{name}: " + ", ".join(f"{kind} {probability(p)}" for kind, p in sorted(of.items(), key=lambda each: -each[1]))
        for name in (e.best, e.second)
        if (of := e.kinds.get(name))
    ]
    return [f"Kinds, by the whole model: {'; '.join(parts)}"] if parts else []


def out_of_fold(e: Explanation) -> str:
    """Where the probabilities of a labelled source come from; empty for any other."""
    if not e.is_out_of_fold:
        return ""
    return (
        f"Labelled source: probabilities are out of fold (fold {e.fold} of {e.n_folds}:"
        " from tables fitted without this source)"
    )


def source_lines(e: Explanation) -> list[str]:
    """Name, position and brightness of the source."""
    s = e.source
    facts = []
    if s["flux_cgs"] is not None:
        error = f" +- {s['flux_err_cgs']:.1e}" if s["flux_err_cgs"] is not None else ""
        facts.append(f"flux {s['flux_cgs']:.2e}{error} erg/(s cm2)")
    facts.append(_counted(s["n_detections"], "detection"))
    if s["snr"] is not None:
        facts.append(f"S/N {s['snr']:.1f}")
    which = f"number {s['source_id']}, classify run {e.run_id}"
    if s["in_test_sample"] is None:
        which = f"row {s['source_id']}, with what classify run {e.run_id} learned"
    else:
        reason = "labelled" if e.known_class else "not classifiable by hand"
        facts.append("in the test sample" if s["in_test_sample"] else f"not in the test sample ({reason})")
    return [
        f"{s['name']}   {s['catalogue']}, {which}",
        f"RA {s['ra']:.5f}  Dec {s['dec']:+.5f} deg,  l {s['glon']:.3f}  b {s['glat']:+.3f} deg,"
        f"  1 sigma {s['err_arcsec']:.2f} arcsec per axis",
        ", ".join(facts),
        *_flaws(s),
    ]


def _flaws(source: Row) -> list[str]:
    """What is wrong with detections of the source, and what was made of it."""
    if not source["n_flawed"]:
        return []
    flaws = ", ".join(flaw.replace("_", " ") for flaw in str(source["flaws"]).split())
    if source["flux_is_doubtful"]:
        return [f"The flux is doubtful: no detection is without flaws ({flaws}); no flux ratio or variability is known"]
    counted = _counted(source["n_flawed"], "detection")
    return [f"Not used for variability, nor for the flux where better ones suffice: {counted} with flaws ({flaws})"]


def surroundings(e: Explanation) -> str:
    """The most probable hypothesis, and the source in other missions, in one line."""
    parts = ["no counterparts searched"]
    if e.hypotheses and _is_searched(e):
        best = max(e.hypotheses, key=lambda h: h["p_hypothesis"])
        members = " + ".join(f"{m['catalogue']} {m['native_id']}" for m in best["members"])
        parts = [f"{members or 'no counterpart'}, P = {probability(best['p_hypothesis'])}"]
    if e.master is not None and e.master["others"]:
        possibly = "possibly " if e.master["is_ambiguous"] else ""
        others = (f"{o['name']} ({o['class']} {probability(o['p_class'])})" for o in e.master["others"][:3])
        parts.append(f"{possibly}identical to {', '.join(others)}")
    if e.master is not None and e.master["flux_ratio_sigma"] is not None:
        parts.append(f"flux ratio {number(e.master['flux_ratio'])}, {number(e.master['flux_ratio_sigma'])} sigma")
    return ";  ".join(parts)


def text(e: Explanation, width: int = 100) -> str:
    """Write everything; lines are at most ``width`` characters long as far as names allow."""
    lines = [*source_lines(e), *_labels(e), "", headline(e), *kinds(e), *_in_sample(e), ""]
    by_probability = sorted(e.classes, key=lambda k: -e.posterior[k])
    for most in range(min(len(e.classes), 5), 1, -1):  # drop the least probable classes where lines are too long
        shown = [c for c in e.classes if c in by_probability[:most]]
        table = _properties(e, shown)
        if max(map(len, table)) <= width:
            break
    lines += [*table, *_notes_on_properties(e), "", *_categories(e, shown), "", *_changes(e), *_without(e), *_alike(e)]
    lines += ["", *_counterparts(e), *_hypotheses(e), *_master(e)]
    folded = [textwrap.wrap(line, width, subsequent_indent="  ") if len(line) > width else [line] for line in lines]
    return "\n".join(line for part in folded for line in part)


def _labels(e: Explanation) -> list[str]:
    lines = []
    for label in e.labels:
        native = f" (catalogue class {label['class_native']})" if label["class_native"] else ""
        name = f" {label['name']}" if label["name"] else ""
        lines.append(
            f"Literature: {label['class'] or 'another class'}{native}:{name} in {label['origin']},"
            f" {label['sep_arcsec']:.2f} arcsec away{_REMARKS[label['status']]}"
        )
    return lines or ["Literature: not in any reference catalogue"]


def _in_sample(e: Explanation) -> list[str]:
    if e.posterior_in_sample is None:
        return []
    p = ", ".join(f"P({c}) = {probability(e.posterior_in_sample[c])}" for c in dict.fromkeys([e.best, e.best_by_model]))
    return [f"{out_of_fold(e)}.", f"Everything below is of the whole model, which was fitted with its label: {p}"]


def _scores(of: dict[str, float], shown: list[str], form: str, nats: float, largest: float) -> list[str]:
    """Cells of a row of scores: one per class, then the advantage of the best class as bar, nats and odds."""
    return [*(format(of[c], form) for c in shown), bar(nats, largest), f"{nats:+.2f}", odds(nats)]


def _head(e: Explanation, shown: list[str]) -> list[str]:
    return [*shown, f"{'-' + e.second:>{_BAR}}|{e.best + '+':<{_BAR}}", "nats", "odds"]


def _properties(e: Explanation, shown: list[str]) -> list[str]:
    largest = max((abs(t.nats) for t in e.terms), default=0.0)
    n = len(shown)
    rows = [["property", "value", *_head(e, shown)]]
    rows.append(["prior", "", *_scores(e.log_prior, shown, ".2f", e.prior_nats, largest)])
    for category in e.categories:
        active = [t for t in e.terms if t.category == category.category and any(t.contributions.values())]
        rows += [[category.category]] if active else []
        for t in active:
            rows.append([f"  {t.property}", value(t), *_scores(t.contributions, shown, "+.2f", t.nats, largest)])
    return [
        f"Contribution of each property to the score of each class (nats), and advantage of {e.best} over {e.second}",
        *aligned(rows, {*range(2, n + 2), n + 3, n + 4}),
    ]


def _notes_on_properties(e: Explanation) -> list[str]:
    """What the names in the table mean, and which properties are not in it."""
    lines = [f"{t.property}: {t.about.lower()}" for t in e.terms if t.axes and t.about.startswith("Prior")]
    groups: dict[str, list[str]] = {}
    for t in e.terms:
        if any(t.contributions.values()):
            why = "" if t.axes else "Names"
        elif t.state == "not observed":
            why = "No contribution (not observed)"
        elif t.state == "no counterpart":
            why = "No contribution (no counterpart, which the flux ratios count)"
        else:
            is_missing = t.axes and t.state == "missing"
            why = "No contribution (one of the two is missing)" if is_missing else "Excluded (zero weight)"
        groups.setdefault(why, []).append(named(t.property))
    return lines + [f"{why}: {', '.join(names)}" for why, names in sorted(groups.items(), reverse=True) if why]


def _categories(e: Explanation, shown: list[str]) -> list[str]:
    largest = max([abs(c.nats) for c in e.categories] + [abs(e.prior_nats)])
    n = len(shown)
    rows = [["category", *_head(e, shown), "without"]]
    rows.append(["prior", *_scores(e.log_prior, shown, ".2f", e.prior_nats, largest), ""])
    for c in e.categories:
        sums = {k: sum(t.contributions[k] for t in e.terms if t.category == c.category) for k in shown}
        without = _class(c.class_without, c.posterior_without, e)
        rows.append([c.category, *_scores(sums, shown, "+.2f", c.nats, largest), without])
    whole = e.prior_nats + sum(c.nats for c in e.categories)
    rows.append(["P", *(probability(e.posterior_accepted[c]) for c in shown), "", f"{whole:+.2f}", odds(whole), ""])
    lines = aligned(rows, {*range(1, n + 1), n + 2, n + 3})
    if e.counterpart_matters:
        lines.append("P is that with the accepted counterpart; the mean over the counterpart hypotheses is")
        lines.append("  " + ", ".join(f"{c} {probability(e.posterior_by_model[c])}" for c in shown))
    elif e.is_summed:
        lines.append("P is that with the accepted counterpart; the mean over the hypotheses is within 0.005")
    return [
        *lines,
        "P = exp(score) / sum, score = prior + contributions; without: the class if the category is left out",
        e.weighting,
    ]


def _class(name: str, posterior: dict[str, float], e: Explanation) -> str:
    """A class and its probability, with a mark if it is another one than that of the source."""
    return f"{name} {probability(posterior[name])}{'' if name == e.best_by_model else ' (!)'}"


def _changes(e: Explanation) -> list[str]:
    """The nearest values that would change the class, one per line."""
    if not e.changes:
        return [f"No other value of a single property would make it anything but {e.best_by_model}"]
    units = {t.property: _unit(t) for t in e.terms}
    lines = [f"What would change the class, one property at a time (sigma: standard deviation of {e.best_by_model})"]
    for c in e.changes[:6]:
        threshold, present = _distinct_digits(c)
        change = f"{c.to} if {named(c.property)} were {threshold}{units[c.property]}"
        lines.append(f"  {change} (is {present}; {c.spreads:.2g} sigma away)")
    return lines


def _distinct_digits(c: ClassThreshold) -> tuple[str, str]:
    """Threshold and value, with as many digits as make them differ."""
    for digits in range(3, 7):
        threshold, present = (f"{x:.{digits}g}" if digits > 3 else number(_rounded(x)) for x in (c.threshold, c.value))
        if threshold != present:
            return f"{c.direction} {threshold}", present
    return f"not {present} exactly", present


def _rounded(x: float) -> float:
    return float(f"{x:.3g}")


def _without(e: Explanation) -> list[str]:
    """The class without each property, where that makes a difference."""
    best = e.best_by_model
    p = e.posterior_by_model[best]
    ordered = sorted(e.without, key=lambda w: (w.to == best, -abs(w.posterior[best] - p)))
    relevant = [w for w in ordered if w.to != best or abs(w.posterior[best] - p) >= 0.02][:6]
    if not relevant:
        return [f"Without any single property it would still be {best}, P within 0.02"]
    return ["Without " + ";  ".join(f"{named(w.property)}: {_class(w.to, w.posterior, e)}" for w in relevant)]


def _alike(e: Explanation) -> list[str]:
    if not e.alike:
        return []
    values = {t.property: t.value for t in e.terms}
    rows = [["source", "catalogue", "class", "P out of fold", "nats away", "differs in"]]
    for a in e.alike:
        most = a.differs_in[0] if a.differs_in else ""
        both = f" ({_short(values[most])}, {_short(a.values[most])})" if most in a.values else ""
        away = f"{a.distance_nats:.2f}"
        rows.append([a.name, a.catalogue, a.known_class, probability(a.out_of_fold), away, most + both])
    return [
        "",
        "Labelled sources with the most similar evidence, and what differs most (this source, that source)",
        *aligned(rows, {3, 4}),
    ]


def _short(x: float | None) -> str:
    return "-" if x is None else number(_rounded(x))


def _optional(x: float | None, form: str) -> str:
    return "-" if x is None else format(x, form)


def _magnitudes(row: Row) -> str:
    values = sorted((row["magnitudes"] or {}).items())
    return ", ".join(f"{name.removeprefix('mag_').removeprefix('gaia_')} {value:.2f}" for name, value in values)


def _is_searched(e: Explanation) -> bool:
    """Whether any catalogue has looked at this place; always where the catalogues' areas are not known."""
    return not e.counterparts or any(c["covered"] > 0 for c in e.counterparts)


def _counterparts(e: Explanation) -> list[str]:
    if not e.counterparts:
        return ["Counterparts: none searched"]
    if not _is_searched(e):
        outside = ", ".join(c["catalogue"] for c in e.counterparts)
        return [f"Counterparts: none searched; the source is outside the area of {outside}"]
    rows = [["catalogue", "object", "arcsec", "p_i", "p_any", "candidates", "used", "magnitudes"]]
    for c in e.counterparts:
        if c["covered"] == 0:
            rows.append([c["catalogue"], "not searched: off its area", "", "", "", "", "", ""])
            continue
        sep = c["sep_arcsec"]
        p_i = None if sep is None else c["p_i"]
        numbers = [_optional(sep, ".2f"), _optional(p_i, ".3f"), f"{c['p_any']:.3f}", str(c["n_candidates"])]
        used = "yes" if c["accepted"] and sep is not None else "no"
        rows.append([c["catalogue"], c["native_id"] or "-", *numbers, used, _magnitudes(c)])
    return [
        "Best candidate in each catalogue (p_any: probability of a counterpart; p_i: of this one)",
        *aligned(rows, {2, 3, 4, 5}),
    ]


def _hypotheses(e: Explanation) -> list[str]:
    """Combinations of objects, most probable first; "no counterpart" has its place among them."""
    if not e.hypotheses or not _is_searched(e):
        return []
    classes = [e.best, e.second] if e.is_summed else []
    rows = [["rank", "P", *(f"P({c})" for c in classes), "catalogue", "object", "arcsec", "magnitudes"]]
    for h in sorted(e.hypotheses, key=lambda h: -h["p_hypothesis"]):
        posterior = [probability(h["posterior"][c]) if h["posterior"] else "-" for c in classes]
        first = [str(h["rank"]), probability(h["p_hypothesis"]), *posterior]
        if not h["members"]:
            rows.append([*first, "no counterpart", "", "", ""])
        for i, m in enumerate(h["members"]):
            cells = first if i == 0 else [""] * len(first)
            rows.append([*cells, m["catalogue"], m["native_id"], _optional(m["sep_arcsec"], ".2f"), _magnitudes(m)])
    n = len(classes)
    about = "; P(class): if the hypothesis is true" if e.is_summed else ""
    lines = ["", f"Counterpart hypotheses in all catalogues together{about}", *aligned(rows, {*range(2 + n), 4 + n})]
    more = e.n_hypotheses - sum(h["rank"] > 0 for h in e.hypotheses)
    if more > 0:
        p = max(e.p_kept - sum(h["p_hypothesis"] for h in e.hypotheses), 0.0)
        p_class = f", P({e.best}) {probability(e.rest['posterior'][e.best])}" if e.rest else ""
        lines.append(f"and {more} more, together P = {probability(p)}{p_class}")
    if e.is_summed:
        included = sorted((h for h in e.hypotheses if h["posterior"] is not None), key=lambda h: -h["weight"])
        sum_of = [*included, *([e.rest] if e.rest else [])]
        parts = " + ".join(f"{h['weight']:.3f} x {h['posterior'][e.best]:.3f}" for h in sum_of)
        lines.append(f"P({e.best}) = {parts} = {probability(e.posterior_by_model[e.best])}")
        if len(included) < len(e.hypotheses):
            lines.append("A hypothesis below P = 0.01 is not included in the mean")
    return lines


def _master(e: Explanation) -> list[str]:
    """The source in the other missions."""
    m = e.master
    if m is None:
        return []
    counts = [_counted(m["n_missions"], "mission"), _counted(m["n_detections"], "detection")]
    counts += [_counted(m["n_upper_limits"], "upper limit")] if m["n_upper_limits"] else []
    lines = ["", f"Master source {m['master_id']}: {m['status']}; {', '.join(counts)}"]
    if m["flux_ratio"] is not None:
        ratio = f"flux ratio {number(m['flux_ratio'])}"
        if m["flux_ratio_low"] is not None:
            ratio += f", {number(m['flux_ratio_low'])} allowing for the errors"
        if m["flux_ratio_sigma"] is not None:
            ratio += f", {number(m['flux_ratio_sigma'])} sigma"
        span = f"{m['flux_std_min_cgs']:.2e} to {m['flux_std_max_cgs']:.2e} erg/(s cm2) in 0.2-12 keV"
        lines.append(f"{ratio}; {span}")
    if m["others"]:
        rows = [["mission", "source", "class", "P", "arcsec", "detections", "mean flux", ""]]
        rows += [_other(other, e.best) for other in m["others"]]
        lines += [_standing(m), *aligned(rows, {3, 4, 5, 6}), f'Why: xcat explain "{m["others"][0]["name"]}"']
    return lines


def _standing(master: Row) -> str:
    """Whether the source stands for the object in lists of candidates."""
    if master["is_ambiguous"]:
        return "It may be identical to one of these; which one is undecided, so that lists have them all"
    if master["mission_rank"] == 1:
        return "The best measured of its missions, by which lists of candidates have the object; the others say"
    return "Lists of candidates have the object as its best measured source, the first of these"


def _other(other: Row, best: str) -> list[str]:
    """Cells of a source of another mission."""
    numbers = [f"{other['sep_arcsec']:.2f}", str(other["n_detections"]), _optional(other["flux_std_cgs"], ".2e")]
    remarks = ["possibly the same"] if other["relation"] == "ambiguous" else []
    remarks += [f"known {other['known_class']}"] if other["known_class"] else []
    of_class = f"{other['class']}{'' if other['class'] == best else ' (!)'}"
    return [
        *(other["catalogue"], other["name"], of_class, probability(other["p_class"])),
        *(*numbers, "; ".join(remarks)),
    ]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"

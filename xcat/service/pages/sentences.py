"""Classes and probabilities in words, for a reader who is no astronomer."""

from __future__ import annotations

import math

from xcat.columns.properties import property_label
from xcat.output.words import capital
from xcat.report.explain.explanation import Explanation, Term
from xcat.report.explain.wording import value as value_of

_CLASSES = {
    "AGN": ("an active galaxy", "a giant black hole at the heart of a distant galaxy that swallows gas"),
    "Star": ("a star", "a star of our Galaxy whose hot outer layers shine in X-rays"),
    "XRB": ("an X-ray binary", "a neutron star or black hole that draws gas from a companion star"),
    "LMXB": ("a low-mass X-ray binary", "a neutron star or black hole that draws gas from a small companion star"),
    "HMXB": ("a high-mass X-ray binary", "a neutron star or black hole in the wind of a massive star"),
    "CV": ("a cataclysmic variable", "a white dwarf that draws gas from a companion star"),
    "ULX": (
        "an ultraluminous X-ray source",
        "a source in a nearby galaxy, brighter than a stellar black hole should be",
    ),
    "YSO": ("a young star", "a star that is still forming"),
    "GRB": ("a gamma-ray burst", "the glow after the collapse of a star"),
    "TDE": ("a tidal disruption", "a star torn apart by a giant black hole"),
}
_SURE = (
    (0.99, "almost certainly"),
    (0.9, "very probably"),
    (0.7, "probably"),
    (0.5, "more likely than not"),
    (0.0, "perhaps"),
)
_TOLD = 3
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def words_of(name: str) -> str:
    """A class as a noun with its article."""
    return _CLASSES[name][0] if name in _CLASSES else f"of class {name}"


def about_class(name: str) -> str:
    """What a class is, as a sentence; for one that we have no words for, that it is a class of the model."""
    return f"{capital(_CLASSES[name][1])}." if name in _CLASSES else "A class of this model."


def how_sure(p: float) -> str:
    """A probability in words."""
    return next(words for least, words in _SURE if p >= least)


def verdict(e: Explanation) -> str:
    """The class in one sentence."""
    name, p = e.best, e.posterior[e.best]
    noun, about = _CLASSES.get(name, (f"of class {name}", ""))
    tail = f": {about}" if about else ""
    return f"{capital(noun)}, {how_sure(p)}{tail}."


def doubts(e: Explanation) -> list[str]:
    """What a reader should know before believing it, one sentence each."""
    out = []
    if e.posterior[e.second] >= 0.05:
        p = round(100 * e.posterior[e.second])
        out.append(f"It could also be {words_of(e.second)}: that has a probability of {p} %.")
    if e.is_outlier:
        out.append(
            f"It is an outlier: fewer than 1 in 100 known members of the class {e.best} are as unusual, so that "
            "it may be something else altogether."
        )
    if e.stability is not None and e.stability < 0.9:
        out.append(
            f"The answer hangs on the choice of known sources: {100 * e.stability:.0f} % of the refits agree with it."
        )
    if e.source["flux_is_doubtful"]:
        out.append("Its X-ray flux is doubtful: every detection has flaws.")
    if e.counterpart_matters:
        out.append("It depends on which optical or infrared object belongs to it; the probabilities average over them.")
    if e.is_out_of_fold:
        out.append(
            f"It is a known source ({e.known_class}). What is said here comes from a model that had not seen its label."
        )
    return out


def reasons(e: Explanation) -> tuple[list[Term], list[Term]]:
    """The terms that argue most for the class against the runner-up, and those that argue most against it."""
    active = [t for t in e.terms if abs(t.nats) >= 0.1]
    return (
        sorted((t for t in active if t.nats > 0), key=lambda t: -t.nats)[:_TOLD],
        sorted((t for t in active if t.nats < 0), key=lambda t: t.nats)[:_TOLD],
    )


def odds_words(nats: float) -> str:
    """A factor on the odds: ×12 for the class, ÷3 against it."""
    if abs(nats) < 0.005:
        return "×1"
    factor = math.exp(min(abs(nats), 700))
    if f"{factor:.2g}" == "1":
        return "×1"
    power = str(round(abs(nats) / math.log(10))).translate(_SUPERSCRIPT)
    digits = f"{factor:.2g}" if factor < 10 else f"{factor:.0f}" if factor < 1e4 else f"10{power}"
    return f"{'×' if nats > 0 else '÷'}{digits}"


def term_name(term: Term) -> str:
    """Human name of a term."""
    return capital(property_label(term.property))


def term_value(term: Term) -> str:
    """Value of a term, with the signs of print."""
    return value_of(term).replace("+-", "±").replace("-", "−") if term.state == "value" else value_of(term)

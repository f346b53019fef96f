"""The columns of the answer for a classified table: their names, order and meaning, and how they are filled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from xcat.catalogues.definition import Definition
from xcat.classifier.model import Model
from xcat.classifier.posterior import LEAST_P_TAIL, Classification, by_class
from xcat.columns.registry import columns as meanings
from xcat.models import answers
from xcat.own.mission import Mission
from xcat.own.spooled import Meaning

Column: TypeAlias = np.ma.MaskedArray[Any, Any]

#: Columns about our own source at the position: of the query, and of the answer.
PUBLISHED = {
    "name": "published_name",
    "catalogue": "published_catalogue",
    "sep_arcsec": "published_sep_arcsec",
    "class": "published_class",
    "p_class": "published_p_class",
    "master_id": "published_master_id",
}
KNOWN = {"class": "literature_class", "origin": "literature_origin", "name": "literature_name"}
_TEXT = {"native_id", "name", "catalogue", "class", "origin"}
_ABOUT = {
    "reason": Meaning(
        about="Why this class and not the runner-up: what speaks most for it, with the factors on the odds",
        ucd="meta.note",
    ),
    "p_any": Meaning(about="Probability of a counterpart in any of the catalogues", ucd="stat.probability"),
    "published_name": Meaning(about="Published source at the position", ucd="meta.id"),
    "published_catalogue": Meaning(about="Its mission", ucd="meta.id;meta.dataset"),
    "published_sep_arcsec": Meaning("arcsec", "Its distance", "pos.angDistance"),
    "published_class": Meaning(about="Its published class", ucd="src.class"),
    "published_p_class": Meaning(about="Probability of its published class", ucd="stat.probability;src.class"),
    "published_master_id": Meaning(
        about="Its master source: one number for the same source in all missions", ucd="meta.id"
    ),
    "literature_class": Meaning(about="Class of the known object at the position", ucd="src.class"),
    "literature_origin": Meaning(about="Reference catalogue of the known object", ucd="meta.id;meta.dataset"),
    "literature_name": Meaning(about="Name of the known object", ucd="meta.id"),
}


def counterpart_columns(columns: Mapping[str, object]) -> list[str]:
    """Columns of the answer about the accepted counterpart in a catalogue, after the catalogue's name."""
    return ["id", "sep_arcsec", "p_any", *(c for c in columns if c == "mag" or c.startswith("mag_"))]


def placed(ids: np.ndarray, of_rows: np.ndarray, values: np.ndarray) -> Column:
    """Values of some sources in the order of all, the others masked."""
    if not len(of_rows):
        return np.ma.MaskedArray(np.zeros(len(ids), values.dtype), mask=np.ones(len(ids), bool))
    inside = np.minimum(np.searchsorted(of_rows, ids), len(of_rows) - 1)
    return np.ma.MaskedArray(values[inside], mask=of_rows[inside] != ids)


def from_rows(ids: np.ndarray, rows: Sequence[Mapping[str, Any]], key: str, name: str) -> Column:
    """A column of query results in the order of all sources, the others masked."""
    is_text = name in _TEXT
    integer = name == "master_id"
    values = [row[name] for row in rows]
    blank: Any = "" if is_text else 0 if integer else np.nan
    data = np.array([blank if v is None else v for v in values], np.str_ if is_text else np.int64 if integer else float)
    made = placed(ids, np.array([row[key] for row in rows], np.int64), data)
    missing = placed(ids, np.array([row[key] for row in rows], np.int64), np.array([v is None for v in values], bool))
    made.mask = np.ma.getmaskarray(made) | missing.filled(True)
    return made


def expanded(values: Column, usable: np.ndarray) -> Column:
    """Values of the usable rows as a column of all rows, the others masked."""
    if usable.all():
        return np.ma.asarray(values)
    whole, mask = np.zeros(len(usable), values.dtype), np.ones(len(usable), bool)
    whole[usable], mask[usable] = np.ma.getdata(values), np.ma.getmaskarray(values)
    return np.ma.MaskedArray(whole, mask=mask)


def columns(model: Model, result: Classification) -> dict[str, np.ndarray]:
    """The classification as columns."""
    names = np.array(model.answers)
    return {
        "class": names[result.class_index],
        **{f"p_{word(c)}": result.p[:, k] for k, c in enumerate(model.answers)},
        **_how_sure(model, result),
        "margin": result.margin,
        "outlier": result.outlier,
        "p_tail": result.p_tail,
        "is_outlier": result.p_tail < LEAST_P_TAIL,
        "familiarity": result.familiarity,
        "n_missing": result.n_missing.astype(np.int16),
        "alternative": np.char.decode(answers.alternatives(model, result)) if len(result.p) else np.zeros(0, "U1"),
        **_nats(model, result),
    }


def _how_sure(model: Model, result: Classification) -> dict[str, np.ndarray]:
    """Errors of the probabilities, and what follows from them."""
    return {
        **{f"p_{word(c)}_err": result.p_err[:, k] for k, c in enumerate(model.answers)},
        "confidence": result.confidence,
        "stability": result.stability,
    }


def _nats(model: Model, result: Classification) -> dict[str, np.ndarray]:
    """Natural log of the odds of the best class over the second, by prior and category."""
    order = np.argsort(result.p, axis=1)
    best, second = order[:, -1], order[:, -2] if len(model.answers) > 1 else order[:, -1]
    terms, start = by_class(model, result.evidence)
    rows = np.arange(len(best))
    advantage = terms[rows, :, best] - terms[rows, :, second]
    category = model.category_index
    return {
        "nats_prior": start[rows, best] - start[rows, second],
        **{f"nats_{t}": advantage[:, category == k].sum(axis=1) for k, t in enumerate(model.categories)},
    }


def word(name: str) -> str:
    """A class as part of a column's name."""
    return re.sub(r"\W+", "_", name).strip("_").lower()


def meaning(name: str, model: Model, catalogues: Sequence[str]) -> Meaning:
    """Unit, description and UCD of a column of the answer."""
    if name in _ABOUT:
        return _ABOUT[name]
    if name in meanings():
        column = meanings()[name]
        return Meaning(column.unit, column.about, column.ucd)
    if name.startswith("nats_"):
        about = f"Natural log of the odds of the best class over the second that come from: {name[5:]}"
        return Meaning(about=about, ucd="stat.likelihood;arith.ratio")
    for catalogue in sorted(catalogues, key=len, reverse=True):
        if name.startswith(f"{catalogue}_"):
            rest = name.removeprefix(f"{catalogue}_")
            if rest == "id":
                return Meaning(about=f"Accepted counterpart in {catalogue}", ucd="meta.id")
            column = meanings()[rest]
            return Meaning(column.unit, f"{catalogue}: {column.about}", column.ucd)
    klass = next(c for c in model.answers if name in (f"p_{word(c)}", f"p_{word(c)}_err"))
    if name == f"p_{word(klass)}_err":
        return Meaning(about=f"Error (one sigma) of p_{word(klass)}", ucd="stat.error;stat.probability")
    return Meaning(about=f"Probability of the class {klass}", ucd="stat.probability;src.class")


def meanings_of(model: Model, catalogues: Sequence[Definition], has_places: bool) -> dict[str, Meaning]:
    """The columns of the answer, in their order; with those about the places if these were searched around."""
    found = [
        "class",
        *(f"p_{word(c)}" for c in model.answers),
        *(f"p_{word(c)}_err" for c in model.answers),
        *("margin", "confidence", "stability", "p_tail", "is_outlier", "familiarity", "reason"),
    ]
    if has_places:
        found += ["p_any"] if catalogues else []
        found += [f"{each.name}_{c}" for each in catalogues for c in counterpart_columns(each.columns)]
        found += [*PUBLISHED.values(), *KNOWN.values()]
    found += ["alternative", "n_missing", "outlier", "nats_prior", *(f"nats_{t}" for t in model.categories)]
    labels = [each.name for each in catalogues]
    return {name: meaning(name, model, labels) for name in found}


def surroundings(mission: Mission, catalogues: Sequence[Definition], records: np.ndarray) -> dict[str, Column]:
    """What is at the positions: counterparts, our own sources, known objects.

    Of a piece without usable rows the same columns with the same types, empty; its mission has no tables.
    """
    ids, is_loaded = records["source_id"], len(records) > 0
    more: dict[str, Column] = {}
    if catalogues:
        chances = mission.chances() if is_loaded else np.zeros(0, [("source_id", "i8"), ("p_any", "f8")])
        more["p_any"] = placed(ids, chances["source_id"], chances["p_any"])
    for k, each in enumerate(catalogues):
        found = mission.counterparts(k) if is_loaded else []
        for column in counterpart_columns(each.columns):
            source = "native_id" if column == "id" else column
            more[f"{each.name}_{column}"] = from_rows(ids, found, "source_id", source)
    nearest: dict[int, dict[str, Any]] = {}
    published = mission.published_sources() if is_loaded else []
    for row in sorted(published, key=lambda r: (r["row_number"], r["sigmas"], r["source_id"])):
        nearest.setdefault(row["row_number"], row)
    for column, name in PUBLISHED.items():
        more[name] = from_rows(ids, list(nearest.values()), "row_number", column)
    known = mission.known_objects() if is_loaded else []
    for column, name in KNOWN.items():
        more[name] = from_rows(ids, known, "row_number", column)
    return more

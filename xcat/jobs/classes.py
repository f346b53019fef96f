"""The classes of a pipeline: each has a prior and a rule for the known objects that are its examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from xcat.catalogues.grammar import Strict, listed
from xcat.classifier.model import is_behind_galaxy

# Properties that give the place in a galaxy away: with classes of such places they would repeat the label.
_OF_PLACE = ("sep_to_radius", "log_lx_galaxy")


def _named(value: Any) -> Any:
    """Kinds by name, each with what fits it."""
    if isinstance(value, dict):
        return {name: listed(fits) for name, fits in value.items()}
    each = listed(value)
    return {name.rstrip("*"): (name,) for name in each} if all(isinstance(name, str) for name in each) else value


class ClassRule(Strict):
    """A class: its prior, and which known objects are its examples; an object must fit every given key.

    In YAML the prior alone is enough: ``AGN: 0.66``.
    """

    prior: float = Field(gt=0, lt=1)
    """Prior probability of the class."""
    of: str | None = Field(default=None, min_length=1)
    """Class that the definition of the reference catalogue gives to the object. Default: the name of this class; any
    class if 'native' is given."""
    native: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(listed)] = ()
    """Classes as the reference catalogue writes them, one or a list; LMXB* stands for all that begin with LMXB. Without
    'of', also those that the definition leaves out."""
    kinds: Annotated[dict[str, tuple[Annotated[str, Field(min_length=1)], ...]], BeforeValidator(_named)] = Field(
        default_factory=dict
    )
    """Kinds of the class: each has tables and weights of its own, and the probability of the class is their sum. A list
    of classes as the reference catalogue writes them (LMXB* stands for all that begin so), or for every kind a list of
    such classes and of reference catalogues all of whose objects are of the kind. The other members are one more kind.
    A kind with fewer than 15 labelled sources counts to the largest one. With 'weights: property'."""
    where: Literal["in_galaxy", "off_nuclear", "extended"] | None = None
    """Only sources in a galaxy ('in_galaxy'); only those in a galaxy and farther from every nucleus than nucleus_arcsec
    and 3 sigma of their position ('off_nuclear'); or only sources with an X-ray extent ('extended')."""
    nucleus_arcsec: float = Field(default=3.0, gt=0, le=600)
    """Radius of a nucleus, arcsec, with 'where: off_nuclear'."""

    behind_galaxy: bool | None = None
    """Whether the objects lie behind all gas and dust of the Galaxy, which hides them and hardens their spectra.
    Default: true for classes in other galaxies ('where') and those that are called AGN, QSO, quasar, blazar, galaxy,
    cluster, TDE or ULX, or end with _nearby."""

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"prior": value}
        if not isinstance(value, dict | ClassRule):
            raise ValueError("give the prior of the class, or a mapping with 'prior'")
        return value

    @model_validator(mode="after")
    def _nucleus_needs_galaxy(self) -> ClassRule:
        if "nucleus_arcsec" in self.model_fields_set and self.where != "off_nuclear":
            raise ValueError("'nucleus_arcsec' belongs to 'where: off_nuclear'")
        return self

    @model_serializer(mode="wrap")
    def _to_yaml(self, plain: SerializerFunctionWrapHandler) -> Any:
        given = {key: value for key, value in plain(self).items() if key in self.model_fields_set}
        return given["prior"] if set(given) == {"prior"} else given

    def is_behind(self, name: str) -> bool:
        """Whether the class of this name lies behind the whole Galaxy."""
        return self.is_of_place or is_behind_galaxy(name) if self.behind_galaxy is None else self.behind_galaxy

    @property
    def is_of_place(self) -> bool:
        """Whether the class depends on the place in a galaxy."""
        return self.where in ("in_galaxy", "off_nuclear")


Classes = Mapping[str, ClassRule]


def circular(classes: Classes, properties: tuple[str, ...]) -> dict[str, str]:
    """Classes whose label is repeated by one of the properties, each with a message what to do."""
    repeating = [name for name in properties if name in _OF_PLACE]
    return {
        name: f"the label depends on the place in a galaxy, so {' and '.join(repeating)} cannot be a property: "
        "it would repeat the label. Name the 'properties' of the pipeline, without it"
        for name, rule in classes.items()
        if repeating and rule.is_of_place
    }


def rules(classes: Classes) -> list[dict[str, Any]]:
    """Rules of the classes as rows for sql/jobs/label.sql, in the order of the classes; JSON-ready."""
    return [
        {
            "position": position,
            "class": name,
            "of_class": rule.of or (None if rule.native else name),
            "exact": [n for n in rule.native if not n.endswith("*")],
            "prefixes": [n[:-1] for n in rule.native if n.endswith("*")],
            "place": rule.where,
            "nucleus_arcsec": rule.nucleus_arcsec,
            "kinds": [name for name, fits in rule.kinds.items() for _ in fits],
            "fits": [fit for fits in rule.kinds.values() for fit in fits],
        }
        for position, (name, rule) in enumerate(classes.items())
    ]

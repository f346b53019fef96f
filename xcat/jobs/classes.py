"""The classes of a pipeline: data, not code. Each says its prior and which known objects are its examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from xcat.catalogues.grammar import Strict, listed

# What a place in a galaxy is told by: as properties these would repeat the label.
_OF_PLACE = ("sep_to_radius", "log_lx_galaxy")


class ClassRule(Strict):
    """What a class is made of; every key that is given must fit. In YAML its prior alone is enough: ``AGN: 0.66``.

    Parameters
    ----------
    prior : float
        Prior probability.
    of : str, optional
        Class that the definition of the reference catalogue gives; the name of the class, if `native` is not given.
    native : tuple of str
        Classes as the reference catalogue writes them, ``LMXB*`` standing for all that begin so. Without `of` they
        count whatever the definition makes of them, so one that it leaves out can be a class of its own.
    where : {"in_galaxy", "off_nuclear", "extended"}, optional
        Only sources in the field of a galaxy; only those that are farther from the centre of every galaxy than
        `nucleus_arcsec` and than 3 sigma of their position, too; or only sources with an X-ray extent.
    nucleus_arcsec : float
        Radius of a nucleus, with ``where: off_nuclear``.
    """

    prior: float = Field(gt=0, lt=1)
    of: str | None = Field(default=None, min_length=1)
    native: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(listed)] = ()
    where: Literal["in_galaxy", "off_nuclear", "extended"] | None = None
    nucleus_arcsec: float = Field(default=3.0, gt=0, le=600)

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
        said = {key: value for key, value in plain(self).items() if key in self.model_fields_set}
        return said["prior"] if set(said) == {"prior"} else said

    @property
    def is_of_place(self) -> bool:
        """Whether membership in a galaxy decides on the class."""
        return self.where in ("in_galaxy", "off_nuclear")


Classes = Mapping[str, ClassRule]


def circular(classes: Classes, properties: tuple[str, ...]) -> dict[str, str]:
    """Classes that one of the properties tells by itself, each with what to do about it."""
    told = [name for name in properties if name in _OF_PLACE]
    return {
        name: f"the place in a galaxy makes the label, so {' and '.join(told)} cannot be a property as well: "
        "it would repeat the label. Name the 'properties' of the pipeline, without it"
        for name, rule in classes.items()
        if told and rule.is_of_place
    }


def rules(classes: Classes) -> list[dict[str, Any]]:
    """What decides on the labels, as rows for sql/jobs/label.sql, in the order of the classes; JSON-ready."""
    return [
        {
            "position": position,
            "class": name,
            "of_class": rule.of or (None if rule.native else name),
            "exact": [n for n in rule.native if not n.endswith("*")],
            "prefixes": [n[:-1] for n in rule.native if n.endswith("*")],
            "place": rule.where,
            "nucleus_arcsec": rule.nucleus_arcsec,
        }
        for position, (name, rule) in enumerate(classes.items())
    ]

"""The pipeline file: which catalogues and files, which classes, properties, weights and priors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from xcat.catalogues import yamlfile
from xcat.catalogues.definition import Definition, load
from xcat.catalogues.grammar import Strict
from xcat.classifier.crossval import FitOptions
from xcat.classifier.model import CATEGORIES
from xcat.columns.properties import Property, select
from xcat.errors import ConfigError
from xcat.jobs.classes import ClassRule, circular
from xcat.models.samples import Layout


class CatalogueInput(Strict):
    """A catalogue of the pipeline.

    Parameters
    ----------
    catalogue : str
        Name of its definition, or path of one.
    files : tuple of str
        Its files, relative to the data folder. They are all of the catalogue. Without files, whatever is loaded.
    completeness : float or "estimate", optional
        Of a counterpart catalogue, instead of what the definition says.
    magnitudes : tuple of str, optional
        Of a counterpart catalogue: magnitudes and colours (``mag_w1 - mag_w2``) that tell counterparts from the
        field, instead of its R or W1; none with an empty list.
    """

    catalogue: str
    files: tuple[str, ...] = ()
    completeness: Annotated[float, Field(gt=0, lt=1)] | Literal["estimate"] | None = None
    magnitudes: tuple[str, ...] | None = None


class MatchOptions(Strict):
    """How counterparts are looked for and accepted."""

    radius_arcsec: float = Field(default=10.0, gt=0, le=600)
    false_rate: float = Field(default=0.05, gt=0, le=1)
    min_p_any: float = Field(default=0.5, ge=0, le=1)
    nway: bool = False
    field_offsets: bool = False


class Pipeline(Strict):
    """What ``xcat run`` does, from files to a published classification."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    definitions: tuple[str, ...] = ()
    xray: tuple[CatalogueInput, ...] = Field(min_length=1)
    counterparts: tuple[CatalogueInput, ...] = ()
    galaxies: tuple[CatalogueInput, ...] = ()
    references: tuple[CatalogueInput, ...] = ()
    match: MatchOptions = MatchOptions()
    classes: dict[str, ClassRule] = Field(default_factory=dict)
    properties: tuple[str, ...] | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    errors: bool = True
    limits: bool = True
    best_match: bool = False
    weights: dict[str, float] | Literal["property", "category", "equal"] = "property"
    objective: str = "log_loss"
    sharpness: Annotated[float, Field(gt=0)] | Literal["fit"] = "fit"
    priors: Literal["given", "estimate", "sky"] = "given"
    folds: int = Field(default=10, ge=3, le=100)
    seed: int = 1
    publish: bool = True

    @field_validator("classes")
    @classmethod
    def _priors(cls, value: dict[str, ClassRule]) -> dict[str, ClassRule]:
        if value and abs(sum(rule.prior for rule in value.values()) - 1) > 1e-6:
            raise ValueError("the priors of the classes must be between 0 and 1 and add up to 1")
        return value

    @field_validator("weights")
    @classmethod
    def _weights(cls, value: dict[str, float] | str) -> dict[str, float] | str:
        if isinstance(value, str):
            return value
        unknown = set(value) - set(CATEGORIES)
        if unknown:
            raise ValueError(f"unknown category {', '.join(sorted(unknown))}; there are {', '.join(CATEGORIES)}")
        if any(not 0 <= w < 1e6 for w in value.values()) or not any(value.values()):
            raise ValueError("weights are zero or positive, and not all zero")
        return {category: value.get(category, 0.0) for category in CATEGORIES}

    @model_validator(mode="after")
    def _once(self) -> Pipeline:
        names = [c.catalogue for group in self.groups.values() for c in group]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"named more than once: {', '.join(twice)}")
        if bool(self.references) != (len(self.classes) > 1):
            raise ValueError(
                "references and at least two classes belong together; leave both out to stop before labels"
            )
        kind, _, of_class = self.objective.partition(":")
        if kind not in ("log_loss", "macro_f1", "f1") or (kind == "f1") != (of_class in self.classes):
            raise ValueError("objective is log_loss, macro_f1 or f1:CLASS, with one of the classes")
        used = set(self.properties if self.properties is not None else (p.name for p in select(None)))
        unused = sorted({name for pair in self.pairs for name in pair} - used)
        if unused:
            raise ValueError(f"pairs name what is not among the properties: {', '.join(unused)}")
        if self.priors == "sky" and not set(_SKY) <= used:
            raise ValueError(f"priors: sky needs {' and '.join(_SKY)} among the properties")
        return self

    @property
    def sky_axes(self) -> tuple[str, ...]:
        """What the prior is a function of."""
        return _SKY if self.priors == "sky" else ()

    @property
    def layout(self) -> Layout:
        """Which columns of the database make its samples."""
        names = [p.name for p in self.property_list]
        return Layout(
            self.property_list, names if self.errors else (), names if self.limits else (), not self.best_match
        )

    @property
    def sample_options(self) -> dict[str, Any]:
        """What decides how its sources are read, for the key of a run."""
        return {"errors": self.errors, "limits": self.limits, "best_match": self.best_match}

    @property
    def fit_options(self) -> FitOptions:
        """How the classifier is to be fitted."""
        weights = self.weights if isinstance(self.weights, str) else tuple(self.weights[c] for c in CATEGORIES)
        return FitOptions(
            weights=weights, objective=self.objective, sharpness=self.sharpness, pairs=self.pairs,
            excluded_properties=self.sky_axes, seed=self.seed,
        )  # fmt: skip

    @property
    def groups(self) -> dict[str, tuple[CatalogueInput, ...]]:
        """Catalogues by what they are for."""
        return {
            "xray": self.xray,
            "counterparts": self.counterparts,
            "galaxies": self.galaxies,
            "references": self.references,
        }

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the file."""
        return list(self.classes)

    @property
    def class_priors(self) -> dict[str, float]:
        """Class to prior, in the order of the file."""
        return {name: rule.prior for name, rule in self.classes.items()}

    @property
    def property_list(self) -> tuple[Property, ...]:
        """The properties to use; all but the optional ones if the file names none."""
        return select(list(self.properties) if self.properties is not None else None)


_SKY = ("abs_b", "log_fx")  # what the prior may be a function of

_KINDS: Mapping[str, tuple[str, ...]] = {
    "xray": ("xray_detections", "xray_sources"),
    "counterparts": ("optical", "infrared"),
    "galaxies": ("galaxy",),
    "references": ("reference",),
}


class Plan:
    """A pipeline with its definitions loaded and its files found.

    Parameters
    ----------
    pipeline : Pipeline
    data : Path
        Folder that the files and definition folders are relative to.

    Raises
    ------
    ConfigError
        A definition is wrong, of the wrong kind, or a file is missing.
    """

    def __init__(self, pipeline: Pipeline, data: Path) -> None:
        self.pipeline = pipeline
        folders = [data / folder for folder in pipeline.definitions]
        self.definitions: dict[str, Definition] = {}
        self.files: dict[str, list[Path]] = {}
        self.members: dict[str, list[Definition]] = {}
        for group, inputs in pipeline.groups.items():
            for item in inputs:
                definition = load(item.catalogue, folders)
                if definition.kind not in _KINDS[group]:
                    raise ConfigError(
                        f"{item.catalogue} is a catalogue of kind {definition.kind}; "
                        f"under '{group}' belong: {', '.join(_KINDS[group])}"
                    )
                paths = [data / name for name in item.files]
                missing = [str(p) for p in paths if not p.is_file()]
                if missing:
                    raise ConfigError(
                        f"{item.catalogue}: no such file: {', '.join(missing)}. "
                        "Files are looked for in the folder that --data names."
                    )
                if definition.name in self.definitions:
                    raise ConfigError(f"{definition.name} is named more than once")
                self.definitions[definition.name] = definition
                self.files[definition.name] = paths
                self.members.setdefault(group, []).append(definition)
        pipeline.property_list  # noqa: B018  an unknown property is refused now, not after the match

    def of(self, group: str) -> list[Definition]:
        """Definitions of a group, in the order of the file."""
        return self.members.get(group, [])


def read(path: Path) -> Pipeline:
    """Read a pipeline file.

    Raises
    ------
    ConfigError
        Names file and line of every mistake.
    """
    data, places = _resolved(path, ())
    try:
        pipeline = Pipeline.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(yamlfile.messages(error, places, path))) from None
    wrong = circular(pipeline.classes, tuple(p.name for p in pipeline.property_list))
    if wrong:
        raise ConfigError("\n".join(yamlfile.line(("classes", k, "where"), m, places, path) for k, m in wrong.items()))
    return pipeline


def _resolved(path: Path, children: tuple[Path, ...]) -> tuple[dict[str, Any], dict[yamlfile.KeyPath, yamlfile.Place]]:
    """Read a pipeline file and the one that it extends; a key of the child replaces the parent's, whole."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    data, places = yamlfile.read(path)
    parent = data.pop("extends", None)
    if parent is None:
        return data, places
    file, line = places.pop(("extends",))
    if path.resolve() in children:
        raise ConfigError(f"{file}:{line}: 'extends' goes round in a circle")
    try:
        base, base_places = _resolved(path.parent / str(parent), (*children, path.resolve()))
    except ConfigError as error:
        raise ConfigError(f"{file}:{line}: extends: {error}") from None
    return base | data, {k: v for k, v in base_places.items() if k[0] not in data} | places


def frozen(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline as it goes into the run's configuration."""
    return pipeline.model_dump(mode="json")

"""The pipeline file: the one place that defines its keys, with their meaning, defaults and limits.

The configuration of every run is made of these models, so that a new key decides at once whether a finished run can be
used again. docs/reference is generated from the descriptions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from xcat.catalogues import number_counts, yamlfile
from xcat.catalogues.definition import Definition, load
from xcat.catalogues.grammar import Strict
from xcat.classifier.crossval import FitOptions
from xcat.classifier.model import CATEGORIES
from xcat.classifier.priors import COUNTS_SHARE, STRENGTH
from xcat.columns.properties import Property, select
from xcat.errors import ConfigError
from xcat.jobs.classes import ClassRule, circular
from xcat.match.stage import MatchStageOptions
from xcat.models.samples import Layout

# kinds of catalogue that each group may have
_KINDS: Mapping[str, tuple[str, ...]] = {
    "xray": ("xray_detections", "xray_sources"),
    "counterparts": ("optical", "infrared"),
    "galaxies": ("galaxy",),
    "references": ("reference",),
}
_SKY = ("abs_b", "log_fx")  # the prior may be a function of these properties
# keys that affect the fit only through the runs that it reads: any other key is part of the fit's configuration
_BEFORE_FIT = {"name", "definitions", *_KINDS, "match", "model", "publish"}


class CatalogueInput(Strict):
    """A catalogue of the pipeline."""

    catalogue: str
    """Name of the catalogue's definition, or path of a definition file."""
    files: tuple[str, ...] = ()
    """All files of the catalogue, relative to the data folder. Default: the version that is loaded."""
    completeness: Annotated[float, Field(gt=0, lt=1)] | Literal["estimate"] | None = None
    """Of a counterpart catalogue: prior probability that a source has a counterpart in it, or 'estimate' to learn it.
    Default: as the catalogue's definition."""
    magnitudes: tuple[str, ...] | None = None
    """Of a counterpart catalogue: magnitudes and colours (mag_w1 - mag_w2) that separate counterparts from field
    objects; an empty list for none. Default: R or W1, or its first magnitude."""


class Pipeline(Strict):
    """What ``xcat run`` does, from files to a published classification."""

    extends: str | None = Field(default=None, exclude=True)
    """Another pipeline file, relative to this one, whose keys are used unless this file has them."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the pipeline: lower-case letters, digits and underscores."""
    definitions: tuple[str, ...] = ()
    """Folders with additional catalogue definitions, relative to the data folder."""
    xray: tuple[CatalogueInput, ...] = Field(min_length=1)
    """X-ray catalogues, of detections or of sources; each is a mission."""
    counterparts: tuple[CatalogueInput, ...] = ()
    """Optical and infrared catalogues to match; a magnitude or proper motion is taken from the first that has it."""
    galaxies: tuple[CatalogueInput, ...] = ()
    """Catalogues of galaxies with diameters, to find the sources inside galaxies."""
    references: tuple[CatalogueInput, ...] = ()
    """Catalogues of objects of known class, by which sources are labelled."""
    match: MatchStageOptions = MatchStageOptions()
    """Options of the match: how counterparts are searched for and accepted."""
    classes: dict[str, ClassRule] = Field(default_factory=dict)
    """Classes, each with its prior probability or with a rule; a labelled source takes the first class whose rule fits.
    The priors add up to 1."""
    model: int | str | None = None
    """A release, the number of a classify run, 'published' or 'previous': its model (tables, weights, priors, outlier
    levels) is used and nothing is fitted; the keys that decide on a fit are not used."""
    properties: tuple[str, ...] | None = None
    """Properties that the classifier uses. Default: all but the optional ones."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of properties whose joint distribution is used in addition to their own."""
    errors: bool = True
    """Use the measurement errors of the properties."""
    limits: bool = True
    """Use limits on flux ratios of sources without a counterpart in a catalogue."""
    best_match: bool = False
    """Use only the accepted counterpart. By default the classification is the mean over all counterpart hypotheses,
    weighted with their probability."""
    weights: dict[str, float] | Literal["property", "category", "equal"] = "property"
    """Weights of the properties: 'property' (fitted, one per property and pair of classes), 'category' (fitted, one per
    category), 'equal', or given ones by category (location, spectrum, multiwavelength, variability)."""
    objective: str = "log_loss"
    """Score that fitted category weights optimise: log_loss, macro_f1, or f1:CLASS for one class."""
    sharpness: Annotated[float, Field(gt=0)] | Literal["fit"] = "fit"
    """Factor on the log-likelihoods with equal or given weights; 'fit' to learn it."""
    priors: Literal["given", "estimate", "sky", "counts"] = "given"
    """Prior probabilities of the classes: 'given' under classes, 'estimate' from all sources, 'sky' (estimated as a
    function of galactic latitude and X-ray flux), or 'counts' (the same, pulled towards published number counts)."""
    folds: int = Field(default=10, ge=3, le=100)
    """Number of folds of the cross-validation."""
    replicates: int = Field(default=20, ge=0, le=1000)
    """Refits to the labelled sources with random weights, whose spread is the error of the probabilities; 0: none."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of the random numbers that deal sources to folds."""
    publish: bool = True
    """Publish the classification, so that the views of pub show it."""

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
            raise ValueError(f"unknown category {', '.join(sorted(unknown))}; categories are {', '.join(CATEGORIES)}")
        if any(not 0 <= w < 1e6 for w in value.values()) or not any(value.values()):
            raise ValueError("weights must be zero or positive, and not all zero")
        return {category: value.get(category, 0.0) for category in CATEGORIES}

    @model_validator(mode="after")
    def _once(self) -> Pipeline:
        names = [c.catalogue for group in _KINDS for c in self.group(group)]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"named more than once: {', '.join(twice)}")
        if bool(self.references) != (len(self.classes) > 1):
            raise ValueError("references need at least two classes, and classes need references; give both or neither")
        kinds = self.kind_names
        if kinds and self.weights != "property":
            named = ", ".join(name for name, rule in self.classes.items() if rule.kinds)
            raise ValueError(f"kinds of classes need 'weights: property'; with others, give {named} without kinds")
        others = {c for c, rule in self.classes.items() if not rule.kinds}
        twice = sorted({n for n in kinds if kinds.count(n) > 1 or n in others})
        if twice:
            raise ValueError(f"a kind belongs to one class, and is called unlike the others: {', '.join(twice)}")
        kind, _, of_class = self.objective.partition(":")
        if kind not in ("log_loss", "macro_f1", "f1") or (kind == "f1") != (of_class in self.classes):
            raise ValueError("objective is log_loss, macro_f1 or f1:CLASS, with one of the classes")
        used = {p.name for p in select(None)} if self.properties is None else set(self.properties)
        unused = sorted({name for pair in self.pairs for name in pair} - used)
        if unused:
            raise ValueError(f"pairs name properties that are not used: {', '.join(unused)}")
        if self.sky_axes and not set(_SKY) <= used:
            raise ValueError(f"priors: {self.priors} needs {' and '.join(_SKY)} among the properties")
        if self.priors == "counts" and self.classes and sum(number_counts.counted(self.class_names)) < 2:
            known = ", ".join(dict.fromkeys(c for each in number_counts.populations() for c in each.classes))
            raise ValueError(f"priors: counts needs two classes with published number counts, which have: {known}")
        return self

    @property
    def sky_axes(self) -> tuple[str, ...]:
        """Properties that the prior is a function of."""
        return _SKY if self.priors in ("sky", "counts") else ()

    @property
    def layout(self) -> Layout:
        """Columns of the database that make its samples."""
        names = [p.name for p in self.property_list]
        with_errors, with_limits = names if self.errors else (), names if self.limits else ()
        return Layout(self.property_list, with_errors, with_limits, not self.best_match, bool(self.behind_galaxy), True)

    @property
    def fit_options(self) -> FitOptions:
        """Options of the classifier."""
        weights = self.weights if isinstance(self.weights, str) else tuple(self.weights[c] for c in CATEGORIES)
        given = {name: getattr(self, name) for name in ("objective", "sharpness", "pairs", "seed", "replicates")}
        return FitOptions(weights=weights, excluded_properties=self.sky_axes, behind=self.behind_galaxy, **given)

    @property
    def fit_config(self) -> dict[str, Any]:
        """Everything that decides on a fit besides the runs that it reads, for the key of its run; JSON-ready."""
        return self.model_dump(mode="json", exclude=_BEFORE_FIT) | {
            # pairs, since the order of the classes matters and JSON objects are compared sorted
            "classes": [list(item) for item in self.class_priors.items()],
            "properties": [p.name for p in self.property_list],
            "behind_galaxy": list(self.behind_galaxy),
            "fitted": "without each category, and behind gas",  # fits of before are not taken for one of now
            **({} if self.priors == "given" else {"estimated": [STRENGTH, COUNTS_SHARE]}),
        }

    def group(self, name: str) -> tuple[CatalogueInput, ...]:
        """Catalogues under ``xray``, ``counterparts``, ``galaxies`` or ``references``."""
        catalogues: tuple[CatalogueInput, ...] = getattr(self, name)
        return catalogues

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the file."""
        return list(self.classes)

    @property
    def kind_names(self) -> list[str]:
        """The kinds of all classes."""
        return [kind for rule in self.classes.values() for kind in rule.kinds]

    @property
    def class_priors(self) -> dict[str, float]:
        """Class to prior, in the order of the file."""
        return {name: rule.prior for name, rule in self.classes.items()}

    @property
    def behind_galaxy(self) -> tuple[str, ...]:
        """Classes whose objects lie behind the gas and dust of the whole Galaxy."""
        return tuple(name for name, rule in self.classes.items() if rule.is_behind(name))

    @property
    def property_list(self) -> tuple[Property, ...]:
        """The properties to use; all but the optional ones if the file names none."""
        return select(list(self.properties) if self.properties is not None else None)


class Plan:
    """A pipeline with its definitions and files.

    Parameters
    ----------
    data : Path
        Folder that the files and definition folders are relative to.

    Raises
    ------
    ConfigError
        A definition is wrong, of the wrong kind, or a file is missing.
    """

    def __init__(self, pipeline: Pipeline, data: Path) -> None:
        self.pipeline = pipeline
        self.definitions: dict[str, Definition] = {}
        self.files: dict[str, list[Path]] = {}
        self.members: dict[str, list[Definition]] = {group: [] for group in _KINDS}
        for group, kinds in _KINDS.items():
            for item in pipeline.group(group):
                folders = [_inside(data, folder, "definitions") for folder in pipeline.definitions]
                definition = load(item.catalogue, folders)
                if definition.kind not in kinds:
                    raise ConfigError(
                        f"{item.catalogue} is a catalogue of kind {definition.kind}; "
                        f"'{group}' takes catalogues of kind {' or '.join(kinds)}"
                    )
                paths = [_inside(data, name, "files") for name in item.files]
                missing = [str(p)[:200] for p in paths if not yamlfile.is_file(p)]
                if missing:
                    raise ConfigError(
                        f"{item.catalogue}: no such file: {', '.join(missing[:3])}{' ...' if missing[3:] else ''}. "
                        "Files are relative to the folder given with --data."
                    )
                if definition.name in self.definitions:
                    raise ConfigError(f"{definition.name} is named more than once")
                self.definitions[definition.name] = definition
                self.files[definition.name] = paths
                self.members[group].append(definition)
        pipeline.property_list  # noqa: B018  refuse an unknown property now, not after the match

    def of(self, group: str) -> list[Definition]:
        """Definitions of a group, in the order of the file."""
        return self.members[group]


def _inside(data: Path, name: str, key: str) -> Path:
    """A path that a pipeline names, in the data folder; which folder that is, the person at the command line says.

    Who runs a pipeline need not have written it, and may read more than who wrote it. Links in the folder may lead out.
    """
    path = Path(os.path.normpath(data / name))  # not as the system does: "link/.." is this folder
    if not Path(os.path.normpath(path.absolute())).is_relative_to(os.path.normpath(data.absolute())):
        raise ConfigError(
            f"{key}: {name[:200]!r} is outside the data folder {data}. A pipeline names files in the folder given with "
            "--data: give a folder that holds them all, or put a link to the file into it"
        )
    return path


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
        raise ConfigError(yamlfile.together(yamlfile.messages(error, places, path))) from None
    wrong = circular(pipeline.classes, tuple(p.name for p in pipeline.property_list))
    if wrong:
        lines = (yamlfile.line(("classes", k, "where"), m, places, path) for k, m in wrong.items())
        raise ConfigError(yamlfile.together(lines))
    return pipeline


def _resolved(path: Path, children: tuple[Path, ...]) -> tuple[dict[str, Any], dict[yamlfile.KeyPath, yamlfile.Place]]:
    """Read a pipeline file and the one that it extends; a key of the child replaces the parent's, whole."""
    if not yamlfile.is_file(path):
        raise ConfigError(f"{str(path)[:300]}: no such file")
    data, places = yamlfile.read(path, Pipeline.model_fields)
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

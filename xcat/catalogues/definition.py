"""Read and check catalogue definitions, the YAML files that say what the columns of a catalogue mean.

The keys are those of ARCHITECTURE.md, "Catalogue definitions". Entries of ``columns`` and of
``position_error.columns`` follow :mod:`xcat.catalogues.grammar`; ``read`` says how to read text tables and
which rows to take, see :class:`ReadOptions`.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from xcat.catalogues import yamlfile
from xcat.catalogues.grammar import ColumnSpec, Strict, colour_term, listed, parsed_unit, problems
from xcat.columns.units import conversion
from xcat.errors import ConfigError

_HERE = Path(__file__).resolve().parent

Kind = Literal["xray_detections", "xray_sources", "optical", "infrared", "galaxy", "reference"]
Convention = Literal[
    "axis_1sigma", "radial_1sigma", "radius_68", "radius_90", "radius_95", "ellipse_1sigma", "ellipse_95"
]
Format = Literal["auto", "fits", "votable", "ecsv", "csv", "mrt", "parquet"]

_NOT_OF_TABLES = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7")

_TABLE_KIND = {
    "xray_detections": "detection",
    "xray_sources": "detection",
    "optical": "counterpart",
    "infrared": "counterpart",
    "galaxy": "galaxy",
    "reference": "reference_object",
}


class PositionError(Strict):
    """How the catalogue states its positional errors; exactly one convention."""

    convention: Convention
    columns: Annotated[tuple[ColumnSpec, ...], BeforeValidator(listed)] = ()
    constant: float | None = Field(default=None, gt=0)
    pa: str | None = None
    unit: str = "arcsec"
    systematic_arcsec: float = Field(default=0.0, ge=0)
    floor_arcsec: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> PositionError:
        if bool(self.columns) == (self.constant is not None):
            raise ValueError("give either 'columns' or a 'constant'")
        parsed_unit(self.unit)
        if conversion(self.unit, "arcsec") is None:
            raise ValueError(f"unit '{self.unit}' is not an angle")
        if any(c.unit is not None for c in self.columns):
            raise ValueError("the unit of a positional error belongs beside 'columns', not inside")
        ellipse = self.is_ellipse
        if ellipse and len(self.columns) != 2:
            raise ValueError(f"{self.convention} needs two columns: the major and the minor semi-axis")
        if not ellipse and len(self.columns) > 2:
            raise ValueError("at most two columns: the errors of the two axes")
        if not ellipse and self.pa is not None:
            raise ValueError("'pa' belongs to the ellipse conventions only")
        return self

    @property
    def is_ellipse(self) -> bool:
        """Whether the two columns are the semi-axes of an ellipse."""
        return self.convention.startswith("ellipse")


class ProperMotion(Strict):
    """What the proper motion in right ascension means."""

    ra_includes_cosdec: bool = True


class Sky(Strict):
    """How dense the catalogue is on the sky; exactly one form."""

    density_per_deg2: float | None = Field(default=None, gt=0)
    area_deg2: float | None = Field(default=None, gt=0, le=41252.97)
    local: Literal[True] | None = None  # measured in the rows loaded, which must be complete wherever there are any
    # the rows loaded are cut-outs of this radius around X-ray sources; measured in each, beyond the search radius
    around_sources_arcsec: float | None = Field(default=None, gt=0, le=3600)

    @model_validator(mode="after")
    def _check(self) -> Sky:
        given = [k for k in type(self).model_fields if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(type(self).model_fields)} is needed")
        return self

    @property
    def is_measured(self) -> bool:
        """Whether all objects are loaded wherever there are any: the rows tell where the catalogue has looked."""
        return bool(self.local) or self.area_deg2 is not None


class Flaw(Strict):
    """How a catalogue says that a detection has a flaw: ``flaw: column``, or a mapping with one condition at most.

    Parameters
    ----------
    column : str
        Column of the file. Without a condition the flaw is there where it is true, or not 0.
    bits : tuple of int
        The flaw is there where the column has one of these bits: 1, 2, 4, 8 ...
    values : tuple of float or str
        It is there where the column has one of these values.
    above : float, optional
        It is there where the column is larger.
    spoils : str
        "all": fluxes, hardness ratios and variability. "fluxes": hardness ratios and the mission's own values of the
        source may be used if there is no better detection.
    """

    column: str = Field(min_length=1)
    bits: Annotated[tuple[Annotated[int, Field(gt=0, lt=2**31)], ...], BeforeValidator(listed)] = ()
    values: Annotated[tuple[float | str, ...], BeforeValidator(listed)] = ()
    above: float | None = None
    spoils: Literal["all", "fluxes"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Flaw:
        if bool(self.bits) + bool(self.values) + (self.above is not None) > 1:
            raise ValueError("give one of 'bits', 'values' and 'above', or none")
        return self


class ReadOptions(Strict):
    """How to read a file of this catalogue, where its content does not say.

    Parameters
    ----------
    separator : str, optional
        Of text tables; by default the character of ``, ; | tab`` that splits the header most.
    skip : int
        Lines before the header.
    skip_after_header : int
        Lines between the header and the data (units, dashes).
    comment : str, optional
        Lines before the header that begin so are skipped.
    header : tuple of str, optional
        Column names, for a text table that has none.
    encoding : str
        Of text tables.
    decimal : str, optional
        Decimal mark of text tables. By default the point; the comma where it can be nothing else (``0,8``).
    hdu : int or str, optional
        Extension of a FITS file, or TABLE of a VOTable, by number (from 1) or name; by default the first table.
    only : dict
        Rows to take, as allowed values of file columns; other rows are counted as skipped.
    check_units : bool
        Refuse a file whose own unit of a column contradicts the definition.
    """

    separator: str | None = Field(default=None, min_length=1, max_length=1)
    skip: int = Field(default=0, ge=0)
    skip_after_header: int = Field(default=0, ge=0)
    comment: str | None = Field(default=None, min_length=1)
    header: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] | None = None
    hdu: int | str | None = None
    only: dict[str, Annotated[tuple[float | str, ...], BeforeValidator(listed)]] = Field(default_factory=dict)
    check_units: bool = True

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            is_text = codecs.lookup(value).name not in _NOT_OF_TABLES and "a,1".encode(value).decode(value) == "a,1"
        except (LookupError, ValueError):
            is_text = False
        if not is_text:
            raise ValueError("no such encoding of text; usual ones are utf-8, latin-1, cp1252 and utf-16")
        return value

    @field_validator("separator")
    @classmethod
    def _separator(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or value.isalnum() or value in "\r\n\"'+-."):
            raise ValueError("cannot separate values; usual are a comma, a semicolon, | and a tab")
        return value


Share = Annotated[float, Field(ge=0, le=1)]


class Checks(Strict):
    """What a load may lack or lose before it is refused. Shares are between 0 and 1."""

    max_rejected: Share = 0.05
    """Largest share of the rows of a file that may be unusable."""
    max_rows_lost: Share = 0.1
    """Largest share of the rows that a replacement may lose."""
    max_sources_lost: Share = 0.1
    """Largest share of the sources that a replacement may lose, in a catalogue of detections that names its sources."""
    max_area_lost: Share = 0.1
    """Largest share of the sky area with objects that a replacement may lose."""
    any_value: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    """Standard columns whose values are not judged: they may be empty, constant, or of another size than before."""


class Bands(Strict):
    """Energy ranges, in keV, of the bands that the hardness ratios and band fluxes use."""

    soft: tuple[float, float]
    medium: tuple[float, float]
    hard: tuple[float, float]


class Colours(Strict):
    """Standard bands of the method, each as a list of 'column + offset': the first that is present wins."""

    r: tuple[str, ...] = ()
    b: tuple[str, ...] = ()
    w1: tuple[str, ...] = ()
    w2: tuple[str, ...] = ()
    j: tuple[str, ...] = ()


def _probability(value: Any) -> Any:
    if value is None or value == "estimate":
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("give a probability, or 'estimate'") from None


class Definition(Strict):
    """What the columns of a catalogue mean. Plain data; made by :func:`load`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)
    title: str = Field(min_length=1)
    kind: Kind
    citation: str = Field(min_length=1)
    vizier: str | None = None
    format: Format = "auto"
    nulls: tuple[float | str, ...] = ()
    epoch_yr: float | None = Field(default=None, gt=1800, lt=2200)
    position_error: PositionError | None = None
    position_of: Literal["detection", "source"] = "detection"  # whose position each detection row carries
    proper_motion: ProperMotion = ProperMotion()
    flux_band_kev: tuple[float, float] | None = None
    bands_kev: Bands | None = None
    sky: Sky | None = None
    # where all objects of the catalogue are loaded, a MOC; elsewhere it counts as not searched
    area: str | None = Field(default=None, min_length=1)
    completeness: Annotated[float | Literal["estimate"], BeforeValidator(_probability)] = "estimate"
    colours: Colours = Colours()
    # magnitude to which the catalogue is complete over most of its sky; counts in the bands that have colours
    depth: dict[Literal["r", "b", "w1", "w2", "j"], Annotated[float, Field(gt=0, lt=40)]] = Field(default_factory=dict)
    classes: dict[str, str] = Field(default_factory=dict)
    klass: str | None = Field(default=None, alias="class", min_length=1)
    label_tolerance_arcsec: float = Field(default=1.0, ge=0)
    columns: dict[str, ColumnSpec]
    # the mission's own values of the source, which each of its detections repeats
    of_source: dict[str, ColumnSpec] = Field(default_factory=dict)
    # flaws of detections, which are left out where a source has better ones
    quality: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=30)], Flaw] = Field(
        default_factory=dict
    )
    read: ReadOptions = ReadOptions()
    checks: Checks = Checks()

    @field_validator("nulls", mode="before")
    @classmethod
    def _keep_text(cls, value: Any) -> Any:
        # "-99" in quotes is a text, -99 a number; both are wanted as they were written
        return listed(value)

    @property
    def table_kind(self) -> str:
        """Table that the rows go to: detection, counterpart, galaxy or reference_object."""
        return _TABLE_KIND[self.kind]

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Columns of the file that the definition uses, each once, in order of first use."""
        names = [c for spec in self.columns.values() for c in spec.from_]
        if self.position_error:
            names += [c for spec in self.position_error.columns for c in spec.from_]
            names += [self.position_error.pa] if self.position_error.pa else []
        return tuple(dict.fromkeys([*names, *self.read.only, *self.optional_file_columns]))

    @property
    def optional_file_columns(self) -> tuple[str, ...]:
        """Those that a file may lack, as many copies of a catalogue do: of `of_source` and `quality` alone."""
        needed = {c for spec in self.columns.values() for c in spec.from_} | set(self.read.only)
        names = [c for spec in self.of_source.values() for c in spec.from_]
        names += [flaw.column for flaw in self.quality.values()]
        return tuple(dict.fromkeys(n for n in names if n not in needed))

    @property
    def needed_file_columns(self) -> set[str]:
        """Those without which a row cannot be used: identifiers, position, its error, and what `read.only` asks."""
        needed = {"native_id", "source_native_id", "ra", "dec"} | (
            {"class_native"} if self.kind == "reference" else set()
        )
        names = {c for name, spec in self.columns.items() if name in needed for c in spec.from_}
        if self.position_error:
            names |= {c for spec in self.position_error.columns for c in spec.from_}
        return names | set(self.read.only)

    def as_dict(self) -> dict[str, Any]:
        """The definition as JSON-ready data, without the defaults; :meth:`from_dict` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Definition:
        """Make a definition from data, such as a definition that the database kept."""
        return _checked(data, {}, Path(f"<{data.get('name', 'definition')}>"))

    @cached_property
    def sha256(self) -> str:
        """Checksum of what decides on the rows; comments, order of keys, defaults and ``checks`` do not count."""
        content = {key: value for key, value in self.as_dict().items() if key != "checks"}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def colour_terms(self, band: str) -> list[tuple[str, float]]:
        """Columns that stand for a band of the method (r, b, w1, w2, j), best first, with the offset to add to each."""
        return [colour_term(term) for term in getattr(self.colours, band)]

    def classify_native(self, values: Iterable[str | bytes]) -> npt.NDArray[np.str_]:
        """Map classes as the catalogue writes them to classes of xcat.

        An exact entry of ``classes`` wins, then the longest entry of the form ``prefix*``; what nothing
        maps, or what is mapped to an empty text, is ``''``: known, but not usable as a label.
        """
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in values]
        classes = {text: self._class_of(text.strip()) for text in set(texts)}
        return np.array([classes[text] for text in texts], dtype=np.str_)

    def _class_of(self, native: str) -> str:
        if self.klass is not None:
            return self.klass
        if native in self.classes:
            return self.classes[native]
        prefixes = (k[:-1] for k in self.classes if k.endswith("*") and native.startswith(k[:-1]))
        best = max(prefixes, key=len, default=None)
        return "" if best is None or not native else self.classes[f"{best}*"]

    def standard_flux_factor(self) -> float:
        r"""Factor from the flux in ``flux_band_kev`` to the flux in 0.2-12 keV; NaN if the definition has no flux band.

        Notes
        -----
        An unabsorbed power law of photon index :math:`\Gamma = 1.7` has
        :math:`F(a, b) \propto \int_a^b E^{1-\Gamma} dE \propto b^{2-\Gamma} - a^{2-\Gamma}`, so the factor is
        :math:`(12^{0.3} - 0.2^{0.3}) / (b^{0.3} - a^{0.3})` for a band from a to b.
        """
        if self.flux_band_kev is None:
            return float("nan")
        low, high = self.flux_band_kev
        return float((12.0**0.3 - 0.2**0.3) / (high**0.3 - low**0.3))


# --- finding and loading -----------------------------------------------------------------------------------


def available(extra_dirs: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Definitions by name: those of ``extra_dirs``, earlier folders first, then the shipped ones."""
    paths: dict[str, Path] = {}
    for folder in [*map(Path, extra_dirs), _HERE]:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder of catalogue definitions")
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            paths.setdefault(path.stem, path)
    return dict(sorted(paths.items()))


def load(name_or_path: str | Path, extra_dirs: Sequence[str | Path] = ()) -> Definition:
    """Load a definition and check it.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped definition or of one in ``extra_dirs``, or the path of a YAML file.
    extra_dirs : sequence of path
        Folders with the user's own definitions; they come before the shipped ones.

    Raises
    ------
    ConfigError
        If there is no such definition, or it is wrong: one line per mistake, each with file and line.
    """
    path = _find(name_or_path, extra_dirs)
    data, places = _resolved(path, extra_dirs, ())
    if isinstance(data.get("area"), str | list):
        data["area"] = _area(data["area"], places, path)
    return _checked(data, places, path)


def _area(value: str | list[Any], places: dict[yamlfile.KeyPath, yamlfile.Place], path: Path) -> str:
    """The MOC as text, so that the definition is whole without its file; paths begin at the definition's folder."""
    from xcat.catalogues.area import area_text  # here: its library takes long to load, and few definitions need it

    folder = Path(places[("area",)][0]).parent if ("area",) in places else path.parent
    try:
        return area_text(" ".join(map(str, value)) if isinstance(value, list) else value, folder)
    except ValueError as error:
        raise ConfigError(yamlfile.line(("area",), str(error), places, path)) from None


def _find(name_or_path: str | Path, extra_dirs: Sequence[str | Path]) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(name_or_path)
        if not yamlfile.is_file(path):
            raise ConfigError(f"{text[:300]}: no such file")
        return path
    paths = available(extra_dirs)
    if text not in paths:
        raise ConfigError(
            f"no catalogue definition '{text[:80]}'; known: {', '.join(paths)}. "
            "A definition of your own is named by its path, as in ./mine.yaml"
        )
    return paths[text]


def _resolved(
    path: Path, extra_dirs: Sequence[str | Path], children: tuple[Path, ...]
) -> tuple[dict[str, Any], dict[yamlfile.KeyPath, yamlfile.Place]]:
    """Read a file and the one that it extends; its keys replace the parent's, its ``columns`` are merged with them."""
    data, places = yamlfile.read(path, {*Definition.model_fields, "extends"})
    parent_name = data.pop("extends", None)
    if parent_name is None:
        return data, places
    file, line = places[("extends",)]
    if path in children:
        raise ConfigError(f"{file}:{line}: 'extends' goes round in a circle")
    try:
        # a user's file that extends its own name means the shipped definition
        beside = path.parent / str(parent_name)
        parent = beside if yamlfile.is_file(beside) else _find(str(parent_name), extra_dirs)
        if parent == path:
            parent = _find(str(parent_name), ())
    except ConfigError as error:
        raise ConfigError(f"{file}:{line}: extends: {error}") from None
    base, base_places = _resolved(parent, extra_dirs, (*children, path))
    merged = base | data
    base_columns, columns = base.get("columns"), data.get("columns")
    if isinstance(base_columns, dict) and isinstance(columns, dict):
        both = base_columns | columns
        merged["columns"] = {k: v for k, v in both.items() if v is not None}  # null drops a column
    kept = {
        where: place
        for where, place in base_places.items()
        if where[0] not in data or (where[0] == "columns" and len(where) > 1 and where[1] not in (columns or {}))
    }
    return merged, kept | places


def _checked(data: dict[str, Any], places: dict[yamlfile.KeyPath, yamlfile.Place], path: Path) -> Definition:
    try:
        definition = Definition.model_validate(data)
    except ValidationError as error:
        raise ConfigError(yamlfile.together(yamlfile.messages(error, places, path))) from None
    wrong = [yamlfile.line(where, message, places, path) for where, message in problems(definition)]
    if wrong:
        raise ConfigError(yamlfile.together(wrong))
    return definition

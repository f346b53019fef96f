"""A catalogue definition in words, for ``xcat catalogues show``."""

from __future__ import annotations

from collections.abc import Iterator

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import ColumnSpec, listed
from xcat.columns.registry import columns

_ERRORS = {
    "axis_1sigma": "1 sigma per axis",
    "radial_1sigma": "1 sigma radial, sqrt(2) times the error per axis",
    "radius_68": "radius that holds 68 %",
    "radius_90": "radius that holds 90 %",
    "radius_95": "radius that holds 95 %",
    "ellipse_1sigma": "semi-axes of the 1 sigma ellipse",
    "ellipse_95": "semi-axes of the ellipse that holds 95 %",
}
_SKY = {
    "density_per_deg2": "{:,.0f} objects per square degree",
    "area_deg2": "{:g} square degrees; density from the rows loaded",
    "local": "density measured around each source, from the rows loaded",
    "around_sources_arcsec": "cut-outs of {:g} arcsec around X-ray sources",
}


def describe(definition: Definition) -> str:
    """Explain a definition in several lines: where each standard column comes from, in which unit it is stored."""
    lines = [f"{key:<12} {value}" for key, value in _facts(definition) if value]
    rows = [("column", "from", "stored in", "what it is")]
    meanings = columns()
    for name, spec in definition.columns.items():
        meaning = meanings[name]
        rows.append((name, _origin(spec), meaning.unit or "-", meaning.about))
    for name, spec in definition.of_source.items():
        rows.append(
            (
                f"source: {name}",
                _origin(spec),
                meanings[name].unit or "-",
                "the same, as the mission gives it of the source",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines.append("")
    lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows]
    return "\n".join(lines)


def _origin(spec: ColumnSpec) -> str:
    """The file's columns of a standard column, with unit and transform."""
    names = ", ".join(spec.from_)
    unit = f" [{spec.unit}]" if spec.unit else ""
    steps = spec.model_dump(mode="json", exclude_defaults=True).get("transform")
    if not steps:
        return names + unit
    named = [step if isinstance(step, str) else " ".join(f"{k} {v}" for k, v in step.items()) for step in listed(steps)]
    return f"{names}{unit}: {', '.join(named)}"


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _facts(d: Definition) -> Iterator[tuple[str, object]]:
    """Everything else in the definition, besides its columns; what is empty is not shown."""
    yield from (("name", d.name), ("title", d.title), ("kind", d.kind.replace("_", " ")))
    yield from (("citation", d.citation), ("rows go to", f"xcat.{d.table_kind}"))
    if error := d.position_error:
        given = ", ".join(_origin(c) for c in error.columns) + f" [{error.unit}]"
        if error.constant is not None:
            given = f"{error.constant} {error.unit}"
        systematic = f"; {error.systematic_arcsec} arcsec added in quadrature" if error.systematic_arcsec else ""
        floor = f"; at least {error.floor_arcsec} arcsec" if error.floor_arcsec else ""
        yield "error", f"{given}: {_ERRORS[error.convention]}{systematic}{floor}"
        yield "position", "of the source, repeated on each detection" if d.position_of == "source" else ""
    yield "nulls", ", ".join(["blank", "NaN", *map(str, d.nulls)])
    yield "epoch", d.epoch_yr
    if "pmra_mas_yr" in d.columns:
        includes = "with" if d.proper_motion.ra_includes_cosdec else "without"
        yield "pm in RA", f"{includes} cos(dec) in the file, with cos(dec) as stored"
    if d.flux_band_kev is not None:
        low, high = d.flux_band_kev
        yield "flux band", f"{low:g}-{high:g} keV; times {d.standard_flux_factor():.3f} for 0.2-12 keV"
    bands = d.bands_kev.model_dump() if d.bands_kev else {}
    yield "bands", ", ".join(f"{band} {low:g}-{high:g} keV" for band, (low, high) in bands.items())
    for name, flaw in d.quality.items():
        where = f"has {' or '.join(map(str, flaw.bits))}" if flaw.bits else "is true or not 0"
        where = f"is {', '.join(map(_plain, flaw.values))}" if flaw.values else where
        where = f"> {flaw.above:g}" if flaw.above is not None else where
        yield "flaw", f"{name}: {flaw.column} {where}{'; spoils fluxes only' if flaw.spoils == 'fluxes' else ''}"
    for name, value in d.sky or ():
        yield "sky", "" if value is None else _SKY[name].format(value)
    if d.kind in ("optical", "infrared"):
        yield "completeness", d.completeness
        for band in ("b", "r", "w1", "w2", "j"):
            choices = (f"{column} {offset:+g}" if offset else column for column, offset in d.colour_terms(band))
            yield f"band {band}", ", else ".join(choices)
        depth = ", ".join(f"{band} {magnitude:g}" for band, magnitude in d.depth.items())
        yield "depth", f"{depth}: complete over most of its sky" if depth else ""
    changed = d.checks.model_dump(exclude_defaults=True)
    yield "checks", ", ".join(f"{key} {', '.join(v) if isinstance(v, tuple) else v}" for key, v in changed.items())
    if d.kind == "reference":
        yield "label", f"within 3 sigma + {d.label_tolerance_arcsec} arcsec"
        yield "class", d.klass
        yield "classes", ", ".join(f"{k} -> {v or 'not used'}" for k, v in d.classes.items())

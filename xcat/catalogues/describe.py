"""A catalogue definition in words, for ``xcat catalogues show``."""

from __future__ import annotations

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


def describe(definition: Definition) -> str:
    """Explain a definition: where each standard column comes from, in which unit it is stored.

    Parameters
    ----------
    definition : Definition

    Returns
    -------
    str
        Several lines.
    """
    facts = [("name", definition.name), ("title", definition.title), ("kind", definition.kind.replace("_", " "))]
    facts += [("citation", definition.citation), ("rows go to", f"xcat.{definition.table_kind}")]
    facts += _facts(definition)
    lines = [f"{key:<12} {value}" for key, value in facts if value]
    rows = [("column", "from", "stored in", "what it is")]
    meanings = columns()
    for name, spec in definition.columns.items():
        meaning = meanings[name]
        rows.append((name, _origin(spec), meaning.unit or "-", meaning.about))
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


def _facts(definition: Definition) -> list[tuple[str, str]]:
    """Everything else in the definition, besides its columns."""
    facts = []
    error = definition.position_error
    if error is not None:
        given = (
            f"{error.constant} {error.unit}"
            if error.constant is not None
            else ", ".join(_origin(c) for c in error.columns) + f" [{error.unit}]"
        )
        floor = f"; at least {error.floor_arcsec} arcsec" if error.floor_arcsec else ""
        systematic = f"; {error.systematic_arcsec} arcsec added in quadrature" if error.systematic_arcsec else ""
        facts.append(("error", f"{given}: {_ERRORS[error.convention]}{systematic}{floor}"))
        if definition.position_of == "source":
            facts.append(("position", "of the source, repeated on each detection"))
    facts.append(("nulls", ", ".join(["blank", "NaN", *map(str, definition.nulls)])))
    if definition.epoch_yr is not None:
        facts.append(("epoch", f"{definition.epoch_yr}"))
    if "pmra_mas_yr" in definition.columns:
        includes = "with" if definition.proper_motion.ra_includes_cosdec else "without"
        facts.append(("pm in RA", f"{includes} cos(dec) in the file, with cos(dec) as stored"))
    if definition.flux_band_kev is not None:
        low, high = definition.flux_band_kev
        factor = definition.standard_flux_factor()
        facts.append(("flux band", f"{low:g}-{high:g} keV; times {factor:.3f} for 0.2-12 keV"))
    if definition.bands_kev is not None:
        bands = definition.bands_kev.model_dump()
        facts.append(("bands", ", ".join(f"{k} {lo:g}-{hi:g} keV" for k, (lo, hi) in bands.items())))
    sky = definition.sky
    if sky is not None:
        if sky.density_per_deg2 is not None:
            facts.append(("sky", f"{sky.density_per_deg2:,.0f} objects per square degree"))
        elif sky.area_deg2 is not None:
            facts.append(("sky", f"{sky.area_deg2:g} square degrees; density from the rows loaded"))
        elif sky.local:
            facts.append(("sky", "density measured around each source, from the rows loaded"))
        elif sky.around_sources_arcsec is not None:
            facts.append(("sky", f"cut-outs of {sky.around_sources_arcsec:g} arcsec around X-ray sources"))
    if definition.kind in ("optical", "infrared"):
        facts.append(("completeness", str(definition.completeness)))
        for band in ("b", "r", "w1", "w2", "j"):
            terms = definition.colour_terms(band)
            if terms:
                choices = (f"{column} {offset:+g}" if offset else column for column, offset in terms)
                facts.append((f"band {band}", ", else ".join(choices)))
        depth = ", ".join(f"{band} {magnitude:g}" for band, magnitude in definition.depth.items())
        facts.append(("depth", f"{depth}: complete over most of its sky" if depth else ""))
    if definition.kind == "reference":
        facts.append(("label", f"within 3 sigma + {definition.label_tolerance_arcsec} arcsec"))
        if definition.klass is not None:
            facts.append(("class", definition.klass))
        if definition.classes:
            mapped = ", ".join(f"{k} -> {v or 'not used'}" for k, v in definition.classes.items())
            facts.append(("classes", mapped))
    return facts

"""The command for what time and energy resolve of sources: ``xcat ingest-products``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcat.cli import common
from xcat.config import settings

commands = typer.Typer()


@commands.command(
    "ingest-products",
    epilog=common.examples(
        "xcat ingest-products products/2CXOJ010337.5-720133/",
        'xcat ingest-products HLX-1_curve_nosys_join.csv --source "2SXPS J011028.1-460421"',
        "xcat ingest-products spectra/*.pi light_curves/ --json",
    ),
)
def ingest_products(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Chandra *_lc3.fits, Swift-XRT curves as CSV, OGIP spectra (with RMF, ARF and background beside them);"
            " packed or not; or folders of these.",
        ),
    ],
    source: Annotated[
        str, common.option("--source", "SOURCE", "Name or number of the published source that all of them are of.")
    ] = "",
    replace: Annotated[bool, common.option("--replace", None, "These files become all products.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Load light curves and spectra of published sources, all files or none."""
    from xcat.ingest import products

    loaded = products.ingest(settings(), files, source=source, replace=replace)
    lines = []
    for each in loaded.files:
        kind = each["product_kind"].replace("_", " ")
        blocks = "" if each["n_blocks"] is None else f", {each['n_blocks']} blocks"
        left = f", {each['n_left_out']} rows left out" if each["n_left_out"] else ""
        told = f"{each['file_name']}: {kind} of {each['name']} (by {each['assigned_by']})"
        lines.append(f"{told}, {each['n_bins']:,} bins{blocks}{left}")
    lines += [f"{each['file_name']}: left out: {each['reason']}" for each in loaded.unassigned]
    if loaded.already:
        changed = "" if loaded.files or loaded.removed else ", nothing changed"
        lines.append(f"already loaded{changed}: {', '.join(loaded.already)}")
    if loaded.removed:
        lines.append(f"other files, no longer among the products: {loaded.removed:,}")
    facts = {name: getattr(loaded, name) for name in ("files", "unassigned", "already", "parts", "removed")}
    common.done(as_json, facts, "\n".join(lines))

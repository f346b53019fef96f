"""The rows of a light curve or a spectrum, with the variability that is found in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import insert, job
from xcat.ingest import variability
from xcat.ingest.product_files import Curve, Product, Spectrum
from xcat.ingest.product_source import Assigned

_DAY_S = 86_400.0


def write(conn: Connection, file_id: int, product: Product, assigned: Assigned) -> dict[str, Any]:
    """Write a product and its points; give its row."""
    data = product.data
    facts: dict[str, Any] = {
        "file_id": file_id,
        "source_id": assigned.source_id,
        "name": assigned.name,
        "assigned_by": assigned.by,
        "mission": product.mission,
        "instrument": product.instrument,
        "obs_id": product.obs_id,
        "energy_low_kev": product.band_kev[0] if product.band_kev else None,
        "energy_high_kev": product.band_kev[1] if product.band_kev else None,
        "exposure_s": product.exposure_s,
    }
    blocks = variability.blocks(data) if isinstance(data, Curve) else []
    facts |= _of_curve(data, blocks) if isinstance(data, Curve) else _of_spectrum(data, product)
    row = conn.execute(job("products.add").compose(), facts).fetchone()
    assert row is not None
    product_id = int(row[0])
    if isinstance(data, Spectrum):
        columns = dict(vars(data).items()) | {"bin": np.arange(1, facts["n_bins"] + 1)}
        _copy(conn, "xcat.spectrum_bin", product_id, columns)
        return facts
    columns = {name: values for name, values in vars(data).items() if name not in ("rows", "obs_ids", "n_counts")}
    columns["row_number"] = data.rows
    if data.obs_ids is not None:
        columns["obs_id"] = np.array(data.obs_ids).astype(np.bytes_)
    _copy(conn, "xcat.light_curve_bin", product_id, columns)
    numbered = [{"product_id": product_id, "block": i, **vars(block)} for i, block in enumerate(blocks, 1)]
    insert(conn, "xcat.light_curve_block", numbered)
    return facts


def _copy(conn: Connection, table: str, product_id: int, columns: dict[str, Any]) -> None:
    types = copy.column_types(conn, table)
    n = len(next(iter(columns.values())))
    sent = {"product_id": np.full(n, product_id, np.int32)}
    kinds = {"bigint": np.int64, "integer": np.int32, "real": np.float32, "double precision": np.float64}
    for name, values in columns.items():
        kind = kinds.get(types[name])
        sent[name] = values if kind is None else np.asarray(values).astype(kind)
    copy.copy_in(conn, table, [sent], types=types)


def _of_curve(curve: Curve, blocks: list[variability.Block]) -> dict[str, Any]:
    variance = variability.variance(curve)
    half = curve.width_s / 2 / _DAY_S
    rates = [block.rate_cps for block in blocks]
    return {
        "product_kind": "light_curve",
        "mjd_first": float((curve.time_mjd - half).min()) if len(half) else None,
        "mjd_last": float((curve.time_mjd + half).max()) if len(half) else None,
        "n_bins": len(curve.rows),
        "n_counts": curve.n_counts,
        "n_blocks": len(blocks) or None,
        "rate_low_cps": min(rates, default=None),
        "rate_high_cps": max(rates, default=None),
        "excess_variance": variance and variance.value,
        "excess_variance_err": variance and variance.error,
        "bin_s": variance and variance.bin_s,
    }


def _of_spectrum(spectrum: Spectrum, product: Product) -> dict[str, Any]:
    nothing = (
        "mjd_last",
        "n_blocks",
        "rate_low_cps",
        "rate_high_cps",
        "excess_variance",
        "excess_variance_err",
        "bin_s",
    )
    return dict.fromkeys(nothing) | {
        "product_kind": "spectrum",
        "mjd_first": product.header.get("mjd"),
        "n_bins": len(spectrum.n_counts),
        "n_counts": float(spectrum.n_counts.sum()),
    }

"""A small classified sky, written straight into the run tables: what the reports are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import small_galaxies
import small_matches
from astropy.coordinates import SkyCoord
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database import partitions, runs
from xcat.database.address import conninfo
from xcat.database.connection import ready
from xcat.jobs import stages
from xcat.jobs.pipeline import Pipeline
from xcat.jobs.publishing import publish

CLASSES = ("AGN", "Star", "XRB", "CV")
SHARES = (0.62, 0.26, 0.07, 0.05)
# mean and scatter of every property by class; probability that it is there
_SHAPES: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "hr1": ((0.15, -0.5, 0.4, 0.3), (0.25, 0.3, 0.35, 0.3), (0.95, 0.95, 0.97, 0.97)),
    "hr2": ((-0.2, -0.7, 0.1, 0.0), (0.25, 0.2, 0.35, 0.25), (0.9, 0.8, 0.97, 0.97)),
    "gamma": ((1.9, 3.8, 1.6, 1.5), (0.4, 1.0, 0.6, 0.4), (0.2, 0.2, 0.5, 0.4)),
    "log_fx_fb": ((0.4, -2.8, 1.3, -0.1), (0.6, 0.8, 1.2, 0.6), (0.7, 0.95, 0.4, 0.85)),
    "log_fx_fr": ((0.1, -3.3, 1.0, -0.3), (0.6, 0.8, 1.2, 0.6), (0.7, 0.95, 0.4, 0.85)),
    "log_fx_fw1": ((0.0, -2.6, 1.1, 0.4), (0.5, 0.7, 1.0, 0.6), (0.8, 0.95, 0.4, 0.7)),
    "log_fx_fw2": ((-0.3, -2.6, 0.9, 0.4), (0.5, 0.7, 1.0, 0.6), (0.8, 0.95, 0.4, 0.7)),
    "log_flux_ratio_low": ((-0.1, 0.0, 0.5, 0.1), (0.15, 0.25, 0.6, 0.25), (0.3, 0.3, 0.6, 0.4)),
}


def _properties(rng: np.random.Generator, truth: np.ndarray, glat: np.ndarray) -> dict[str, np.ndarray]:
    n = len(truth)
    values: dict[str, np.ndarray] = {"abs_b": np.abs(glat)}
    for name, (mean, scatter, share) in _SHAPES.items():
        x = np.array(mean)[truth] + np.array(scatter)[truth] * rng.standard_normal(n)
        if name.startswith("hr"):
            x = np.clip(x, -1, 1)
        values[name] = np.where(rng.random(n) < np.array(share)[truth], x, np.nan)
    values["log_fx_fr"][np.isnan(values["log_fx_fb"])] = np.nan
    values["log_fx_fw2"][np.isnan(values["log_fx_fw1"])] = np.nan
    pm = 10 ** (np.array([-0.2, 1.2, 0.6, 0.9])[truth] + 0.4 * rng.standard_normal(n))
    values["pm_mas_yr"] = np.where(np.isnan(values["log_fx_fr"]) | (rng.random(n) < 0.3), np.nan, pm)
    inside = rng.random(n) < np.array([0.02, 0.01, 0.3, 0.01])[truth]
    values["sep_to_radius"] = np.where(inside, 1.2 * rng.random(n) ** 0.5, np.nan)
    values["log_flux_ratio"] = np.abs(values["log_flux_ratio_low"]) + 0.3 * rng.random(n)
    values["flux_ratio_sigma"] = np.where(
        np.isnan(values["log_flux_ratio"]), np.nan, 10 ** (values["log_flux_ratio"] + 0.3 * rng.standard_normal(n))
    )
    values["p_variable"] = np.where(rng.random(n) < 0.5, rng.random(n) ** np.array([1.5, 0.8, 0.3, 0.4])[truth], np.nan)
    return values


def _catalogue(run: runs.Run, name: str, kind: str, title: str, n_rows: int, n_rejected: int = 0) -> tuple[int, int]:
    row = run.conn.execute(
        "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
        " VALUES (%s, 1, true, %s, %s, %s)"
        " RETURNING catalogue_id",
        [name, kind, Jsonb({"name": name, "title": title}), "0" * 64],
    ).fetchone()
    assert row is not None
    file = run.conn.execute(
        "INSERT INTO xcat.catalogue_file (run_id, file_name, sha256, n_bytes, n_rows, n_rejected)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING file_id",
        [run.run_id, f"{name}.fits", f"{row[0]:064d}", 1_000_000, n_rows, n_rejected],
    ).fetchone()
    assert file is not None
    run.conn.execute("INSERT INTO xcat.catalogue_content VALUES (%s, %s)", [row[0], file[0]])
    for number in range(n_rejected):
        run.conn.execute(
            "INSERT INTO xcat.reject (file_id, row_number, column_name, value, reason) VALUES (%s, %s, %s, %s, %s)",
            [file[0], number + 1, "dec" if number % 3 else "ra", "100", "not between -90 and 90"],
        )
    return int(row[0]), int(file[0])


def _full(n: int, value: int, dtype: Any = np.int32) -> np.ndarray:
    return np.full(n, value, dtype)


def _pipeline(**weights: float) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "small_sky",
            "xray": [{"catalogue": "xmm"}, {"catalogue": "swift"}],
            "counterparts": [{"catalogue": "gaia"}, {"catalogue": "allwise"}],
            "references": [{"catalogue": "milliquas"}],
            "classes": {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02},
            "folds": 5,
            **({"weights": weights} if weights else {}),
        }
    )


_KEPT: dict[tuple[str, int, int, int], tuple[str, dict[str, int]]] = {}


def make(settings: Settings, n: int = 600, n_labelled: int = 400, seed: int = 3) -> dict[str, int]:
    """Write runs of every kind for ``n`` sources, and publish.

    A module's fresh database becomes a copy of the first one that was made so, unless its gates are on.

    Returns
    -------
    dict
        Run number by kind.
    """
    with ready(settings) as conn:
        row = conn.execute("SELECT count(*) = 0 FROM xcat.gate WHERE is_on").fetchone()
    if row != (True,):
        return _written(settings, n, n_labelled, seed)
    parts = conninfo_to_dict(conninfo(str(settings.database_url)))
    host, name = str(parts["host"]), str(parts["dbname"])
    key = (host, n, n_labelled, seed)
    known = key in _KEPT
    kept, made = (
        _KEPT[key] if known else (f"{__name__}_{n}_{n_labelled}_{seed}", _written(settings, n, n_labelled, seed))
    )
    _KEPT[key] = kept, made
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(host=host, user="xcat", dbname="postgres", autocommit=True) as admin:
        if known:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            admin.execute(copy.format(sql.Identifier(name), sql.Identifier(kept)))
        else:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            admin.execute(copy.format(sql.Identifier(kept), sql.Identifier(name)))
    return dict(made)


def _written(settings: Settings, n: int, n_labelled: int, seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, n, p=SHARES)
    second, first = small_matches.twins(n)
    truth[second] = truth[first]
    glon = np.where(truth == 0, 360 * rng.random(n), (40 * rng.standard_normal(n)) % 360)
    wide = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    glat = np.where(truth == 0, wide, np.clip(np.array([0, 25, 4, 15])[truth] * rng.standard_normal(n), -89, 89))
    glon[second], glat[second] = glon[first], glat[first]
    place = SkyCoord(glon, glat, unit="deg", frame="galactic").icrs
    ra, dec = np.asarray(place.ra.deg) % 360.0, np.asarray(place.dec.deg)
    values = _properties(rng, truth, glat)
    # three AGN that the second mission sees as stars
    odd = second[20:50][truth[first[20:50]] == 0][:3]
    for name, (mean, *_) in _SHAPES.items():
        values[name][odd] += mean[1] - mean[0]
        if name.startswith("hr"):
            values[name][odd] = np.clip(values[name][odd], -1, 1)
    optical, infrared = ~np.isnan(values["log_fx_fr"]), ~np.isnan(values["log_fx_fw1"])
    source_id = np.arange(1, n + 1, dtype=np.int64)
    flux = 10 ** rng.normal(-13.3, 0.5, n)
    mission = np.where(np.arange(n) < second[0], "4XMM", "2SXPS")
    names = np.array(
        [f"{m} J{r / 15:010.6f}{d:+010.5f}".replace(".", "") for m, r, d in zip(mission, ra, dec, strict=True)]
    ).astype(np.bytes_)
    n_det = 1 + ~np.isnan(values["log_flux_ratio"]) * rng.integers(1, 5, n)
    spectrum = ~np.isnan(values["gamma"])
    made: dict[str, int] = {}
    pipeline = _pipeline()
    with runs.stage(settings, "pipeline", "small_sky", pipeline.model_dump(mode="json")) as whole:
        parent = whole.run_id
        with runs.stage(settings, "ingest", "xmm", {"n": n}, pipeline_run_id=parent) as run:
            xmm, _ = _catalogue(run, "xmm", "xray_sources", "XMM serendipitous sources", n, 7)
            swift, _ = _catalogue(run, "swift", "xray_sources", "Swift point sources", len(second))
            gaia, gaia_file = _catalogue(run, "gaia", "optical", "Gaia DR3", int(optical.sum()) * 2)
            wise, wise_file = _catalogue(run, "allwise", "infrared", "AllWISE", int(infrared.sum()))
            quasars, quasar_file = _catalogue(run, "milliquas", "reference", "Million Quasars", n_labelled, 2)
            for catalogue_id, file_id, there, bands in (
                (gaia, gaia_file, optical, ("mag_gaia_g", "mag_gaia_bp", "mag_gaia_rp")),
                (wise, wise_file, infrared, ("mag_w1", "mag_w2")),
            ):
                m = int(there.sum())
                partitions.write(
                    run.conn,
                    "counterpart",
                    catalogue_id,
                    [
                        {
                            "catalogue_id": _full(m, catalogue_id, np.int16),
                            "object_id": source_id[there],
                            "file_id": _full(m, file_id),
                            "ra": ra[there],
                            "dec": dec[there],
                            "native_id": np.array([f"obj {i}" for i in source_id[there]]).astype(np.bytes_),
                            "err_arcsec": np.full(m, 0.1, np.float32),
                            **{b: rng.normal(17, 1.5, m).astype(np.float32) for b in bands},
                        }
                    ],
                )
            partitions.write(
                run.conn,
                "reference_object",
                quasars,
                [
                    {
                        "catalogue_id": _full(n_labelled, quasars, np.int16),
                        "object_id": source_id[:n_labelled],
                        "file_id": _full(n_labelled, quasar_file),
                        "ra": ra[:n_labelled],
                        "dec": dec[:n_labelled],
                        "native_id": np.array([f"ref {i}" for i in source_id[:n_labelled]]).astype(np.bytes_),
                        "name": np.array([f"NGC {i}" for i in source_id[:n_labelled]]).astype(np.bytes_),
                        "err_arcsec": np.full(n_labelled, 0.5, np.float32),
                        "class": np.array(CLASSES)[truth[:n_labelled]].astype(np.bytes_),
                    }
                ],
            )
        made["ingest"] = run.run_id
        with runs.stage(
            settings, "merge", "small_sky", {"n": n}, catalogues=[xmm, swift], pipeline_run_id=parent
        ) as run:
            err_arcsec = rng.uniform(0.5, 2, n).astype(np.float32)
            partitions.write(
                run.conn, "source", run.run_id,
                [{
                    "run_id": _full(n, run.run_id), "source_id": source_id,
                    "catalogue_id": np.where(mission == "4XMM", xmm, swift).astype(np.int16), "name": names,
                    "ra": ra, "dec": dec, "err_arcsec": err_arcsec,
                    "glon": glon, "glat": glat, "n_detections": n_det.astype(np.int32),
                    "flux_cgs": flux.astype(np.float32), "flux_err_cgs": (0.1 * flux).astype(np.float32),
                    "flux_std_cgs": flux.astype(np.float32), "snr": rng.uniform(3, 30, n).astype(np.float32),
                    "flux_ratio": (10 ** values["log_flux_ratio"]).astype(np.float32),
                    "flux_ratio_low": (10 ** values["log_flux_ratio_low"]).astype(np.float32),
                    "quality_flag": np.zeros(n, np.int32), "extent_arcsec": np.zeros(n, np.float32),
                    "n_flawed": np.zeros(n, np.int32), "flux_is_doubtful": np.zeros(n, bool),
                }],
            )  # fmt: skip
            run.summary["missions"] = {"xmm": {"sources": n, "detections": int(n_det.sum())}}
        made["merge"] = run.run_id
        lineage = {"source_run_id": made["merge"]}
        sky = {
            "source_id": source_id, "ra": ra, "dec": dec, "err_arcsec": err_arcsec, "n_detections": n_det, "flux": flux,
            "flux_ratio": 10 ** values["log_flux_ratio"], "flux_ratio_low": 10 ** values["log_flux_ratio_low"],
            "flux_ratio_sigma": values["flux_ratio_sigma"],
        }  # fmt: skip
        with runs.stage(settings, "link", "small_sky", {"first": True}, pipeline_run_id=parent, **lineage) as run:
            small_matches.changes(run, source_id, None, source_id, "new")
        first_link = run.run_id
        with runs.stage(settings, "link", "small_sky", {"first": False}, pipeline_run_id=parent, **lineage) as run:
            small_matches.links(run, sky)
            small_matches.changes(run, source_id[second], source_id[second], source_id[first], "moved")
        made["link"] = lineage["link_run_id"] = run.run_id
        for name, lost in (("earlier_match", 10), ("match", 0)):
            config = {"radius_arcsec": 10.0, "false_rate": small_matches.FALSE_RATE, "min_p_any": 0.5, "lost": lost}
            with runs.stage(
                settings, "match", "small_sky", config, catalogues=[gaia, wise], pipeline_run_id=parent, **lineage
            ) as run:
                there = {gaia: optical & (source_id > lost), wise: infrared}
                small_matches.counterparts(run, source_id, there, rng)
                small_matches.learned(run, {gaia: "mag_gaia_g", wise: "mag_w1 - mag_w2"}, n)
                run.summary["notes"] = ["allwise: too few to learn from mag_w2"]
            made[name] = run.run_id
        lineage["match_run_id"] = made["match"]
        with runs.stage(settings, "properties", "small_sky", {"n": n}, pipeline_run_id=parent, **lineage) as run:
            refused = small_matches.refused(source_id)
            optical, infrared = optical & ~refused, infrared & ~refused
            votes = optical.astype(int) + infrared + spectrum + (n_det > 1)
            partitions.write(
                run.conn,
                "property",
                run.run_id,
                [
                    {
                        "run_id": _full(n, run.run_id),
                        "source_id": source_id,
                        **{name: x.astype(np.float32) for name, x in values.items()},
                        "observed_optical": np.ones(n, bool),
                        "observed_infrared": np.ones(n, bool),
                        "has_optical": optical,
                        "has_infrared": infrared,
                        "has_spectrum": spectrum,
                        "n_detections": n_det.astype(np.int32),
                        "is_classifiable": votes >= 2,
                    }
                ],
            )
            small_matches.hypothesis_properties(run, made["match"])
        made["properties"] = lineage["property_run_id"] = run.run_id
        small_galaxies.add(settings, made["properties"])
        with runs.stage(
            settings,
            "label",
            "small_sky",
            {"classes": CLASSES},
            catalogues=[quasars],
            pipeline_run_id=parent,
            source_run_id=made["merge"],
        ) as run:
            m = n_labelled
            status = np.where(np.arange(m) % 40 == 39, "conflict", "used").astype(np.bytes_)
            label = {
                "run_id": _full(m, run.run_id), "source_id": source_id[:m],
                "catalogue_id": _full(m, quasars, np.int16), "object_id": source_id[:m],
                "class": np.array(CLASSES)[truth[:m]].astype(np.bytes_), "sep_arcsec": rng.rayleigh(0.5, m),
                "class_native": np.array(["Q", "*", "LM", "DN"])[truth[:m]].astype(np.bytes_),
                "origin": np.full(m, b"milliquas"), "status": status,
            }  # fmt: skip
            disputed = status == b"conflict"
            other = {key: x[disputed] for key, x in label.items()} | {
                "object_id": source_id[:m][disputed] + 10**6,
                "class": np.array(CLASSES)[(truth[:m][disputed] + 1) % 4].astype(np.bytes_),
            }
            partitions.write(run.conn, "label", run.run_id, [label, other])
        made["label"] = lineage["label_run_id"] = run.run_id
        reads = (made["properties"], made["label"])
        with runs.stage(settings, "fit", "small_sky", {"folds": 5}, pipeline_run_id=parent, **lineage) as run:
            stages.fit_stage(run, pipeline, made)
        made["fit"] = lineage["model_run_id"] = run.run_id
        # published before, on the links and the matches before: what the examples compare with
        before = lineage | {"link_run_id": first_link, "match_run_id": made["earlier_match"]}
        for name, stands_on in (("earlier_classify", before), ("classify", lineage)):
            with runs.stage(
                settings, "classify", "small_sky", {"n": n, "name": name}, pipeline_run_id=parent, **stands_on
            ) as run:
                stages.classify_stage(run, *reads, made["fit"])
            made[name] = run.run_id
        publish(settings, made["earlier_classify"], parent, hold=True)
        made["publish"] = publish(settings, made["classify"], parent)
        whole.summary["runs"] = dict(made)
    made["pipeline"] = parent
    return made


def classify_again(settings: Settings, made: dict[str, int]) -> int:
    """Fit and classify with other weights, and publish that.

    Returns
    -------
    int
        The classify run.
    """
    lineage = {
        "source_run_id": made["merge"],
        "link_run_id": made["link"],
        "match_run_id": made["match"],
        "property_run_id": made["properties"],
        "label_run_id": made["label"],
    }
    pipeline = _pipeline(location=1, spectrum=0.2, multiwavelength=0, variability=0)
    with runs.stage(settings, "fit", "small_sky", {"weights": pipeline.weights}, **lineage) as run:
        stages.fit_stage(run, pipeline, made)
    model = run.run_id
    with runs.stage(settings, "classify", "small_sky", {"model": model}, model_run_id=model, **lineage) as run:
        stages.classify_stage(run, made["properties"], made["label"], model)
    classified = run.run_id
    publish(settings, classified)
    return classified

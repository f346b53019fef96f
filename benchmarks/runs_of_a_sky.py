"""Finished runs of a made-up sky of any size, written with SQL alone: what benchmarks of published tables publish.

The numbers mean nothing; that there are as many rows, as wide, and as often NULL as those of a real pipeline does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import sql
from psycopg.types.json import Jsonb

from xcat.columns.registry import property_columns, property_entries
from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import Connection, ready

CLASSES = ("AGN", "Star", "XRB", "CV")
PRIORS = (0.66, 0.25, 0.07, 0.02)
METHOD = [entry for entry in property_entries() if not entry.get("optional")]
COUNTERPART = [entry["name"] for entry in METHOD if entry.get("counterpart")]
CATEGORIES = list(dict.fromkeys(entry["category"] for entry in METHOD))
N_EVIDENCE = len(METHOD) * len(CLASSES)
LABELLED = 0.03

# one row a source; the last tenth are those of the first tenth, seen by another mission 1 arcsec away
SKY = """
CREATE TABLE xcat.bench_sky AS
SELECT i AS source_id, j AS master_id, i > j AS is_second, 360 * (j * 0.6180339887498949 %% 1)::double precision AS ra,
       degrees(asin(2 * (j * 0.7548776662466927 %% 1) - 1)) + CASE WHEN i > j THEN 1 / 3600.0 ELSE 0 END AS dec,
       CASE WHEN u < 0.62 THEN 1 WHEN u < 0.88 THEN 2 WHEN u < 0.95 THEN 3 ELSE 4 END AS class_id,
       (0.4 + 0.6 * v ^ 0.3)::real AS p_class, (10 ^ (-14.5 + 3 * w))::real AS flux,
       v < 0.7 AS has_optical, w < 0.7 AS has_infrared, u, v, w, i %% 500 = 0 AS in_galaxy
FROM (SELECT i, CASE WHEN i > %(n)s * 0.9 THEN i - (%(n)s * 0.9)::bigint ELSE i END AS j,
             random() AS u, random() AS v, random() AS w
      FROM generate_series(1, %(n)s) AS i) AS drawn
"""
EVIDENCE = f"""
CREATE TABLE xcat.bench_some_evidence AS
SELECT k, ARRAY(SELECT (-3 * random() + 0 * k)::real FROM generate_series(1, {N_EVIDENCE})) AS evidence
FROM generate_series(0, 999) AS k
"""
_CLASS = "(ARRAY['AGN', 'Star', 'XRB', 'CV'])[class_id]"
_ANSWER = {
    "source_id": "source_id", "class": _CLASS, "margin": "p_class", "outlier": "10 * w", "p_tail": "1 - w",
    "p": f"ARRAY[{', '.join(f'CASE class_id WHEN {k} THEN p_class ELSE (1 - p_class) / 3 END' for k in (1, 2, 3, 4))}]",
    "is_outlier": "w > 0.97", "n_missing": "(10 * v)::int",
    "alternative": "CASE WHEN u > 0.9 THEN 'variability:AGN' ELSE '' END",
    "is_classifiable": "has_optical OR has_infrared", "evidence": "evidence",
}  # fmt: skip
_ANSWERED = "xcat.bench_sky JOIN xcat.bench_some_evidence ON k = source_id % 1000"
_VALUE = {
    "abs_b": "abs(dec)", "hr1": "2 * u - 1", "hr2": "2 * v - 1", "log_fx": "log(flux)",
    "sep_to_radius": "CASE WHEN in_galaxy THEN 0.33 END", "gamma": "CASE WHEN w < 0.3 THEN 1.5 + u END",
    "log_flux_ratio": "CASE WHEN u < 0.4 THEN 2 * v END",
    "log_flux_ratio_low": "CASE WHEN u < 0.4 THEN 1.5 * v - 0.2 END",
    "flux_ratio_sigma": "CASE WHEN u < 0.4 THEN 5 * v END", "p_variable": "CASE WHEN v < 0.5 THEN w END",
    "log_lx_galaxy": "CASE WHEN in_galaxy THEN 38.8 + u END",
    "pm_mas_yr": "CASE WHEN has_optical THEN 20 * w END", "bp_rp": "CASE WHEN has_optical THEN 3 * u END",
    "log_fx_fb": "CASE WHEN has_optical THEN 4 * u - 2 END", "log_fx_fr": "CASE WHEN has_optical THEN 4 * w - 2 END",
    "log_fx_fw1": "CASE WHEN has_infrared THEN 4 * v - 2 END",
    "log_fx_fw2": "CASE WHEN has_infrared THEN 4 * u - 2 END",
}  # fmt: skip

_P_HYPOTHESIS = "CASE WHEN NOT (has_optical OR has_infrared) THEN 1 WHEN rank = 0 THEN 0.5 * u ELSE 1 - 0.5 * u END"
_RANKS = "xcat.bench_sky CROSS JOIN generate_series(0, 1) AS rank WHERE rank = 0 OR has_optical OR has_infrared"
CATALOGUES = {
    "syn_xmm": "xray_sources",
    "syn_swift": "xray_sources",
    "syn_optical": "optical",
    "syn_infrared": "infrared",
    "syn_galaxies": "galaxy",
    "syn_reference": "reference",
}

LIKELIHOOD = """
INSERT INTO xcat.likelihood_table (run_id, property, axes, scales, category, class, grid, log_density, tail_slope,
                                   mixing, log_present, log_missing, n_present)
SELECT %(fit)s::int, %(name)s, ARRAY[%(name)s::text], ARRAY[%(scale)s::text], %(category)s, class, x.grid,
       ARRAY(SELECT -2 * (g - k) ^ 2 / (1 + abs(g)) - 1 FROM unnest(x.grid) AS g), 1,
       ARRAY(SELECT (i = k)::int::float8 FROM generate_series(1, 4) AS i), -0.3, -1.5, 100
FROM unnest(%(classes)s::text[]) WITH ORDINALITY AS c (class, k),
     (SELECT array_agg(%(low)s::float8 + (%(high)s - %(low)s)::float8 * i / 100 ORDER BY i)
      FROM generate_series(0, 100) AS i) AS x (grid)
"""


@dataclass
class Runs:
    """Runs that were made: by kind those that the next one reads.

    Attributes
    ----------
    n : int
        Sources.
    lineage : dict
        Column of the table ``run`` to run number.
    catalogues : dict
        Catalogue to its number.
    """

    n: int
    lineage: dict[str, int] = field(default_factory=dict)
    catalogues: dict[str, int] = field(default_factory=dict)


def make_sky(settings: Settings, n: int) -> Runs:
    """Make a sky and the catalogues that its runs read; no run yet but that of the load."""
    made = Runs(n)
    with ready(settings) as conn:
        # its answers are random: the gates measure, and let everything through
        conn.execute("UPDATE xcat.gate SET threshold = CASE gate WHEN 'recall' THEN 0 ELSE 1e9 END")
        conn.execute("SELECT setseed(0.5)")
        conn.execute(SKY, {"n": n})
        conn.execute(EVIDENCE)
        conn.execute("ANALYZE xcat.bench_sky")
        conn.execute("ANALYZE xcat.bench_some_evidence")
        load = _run(conn, made, "ingest", "syn", {})
        for name, kind in CATALOGUES.items():
            made.catalogues[name] = _number(
                conn,
                "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
                " VALUES (%s, 1, true, %s, %s, '0') RETURNING catalogue_id",
                name,
                kind,
                Jsonb({"name": name, "title": name}),
            )
            file_id = _number(
                conn,
                "INSERT INTO xcat.catalogue_file (run_id, file_name, sha256, n_bytes, n_rows, n_rejected)"
                " VALUES (%s, %s, %s, 1, 1, 0) RETURNING file_id",
                load,
                name,
                name,
            )
            conn.execute("INSERT INTO xcat.catalogue_content VALUES (%s, %s)", [made.catalogues[name], file_id])
            common = {"object_id": "source_id", "file_id": str(file_id), "native_id": f"'{name} ' || source_id"}
            if kind in ("optical", "infrared"):
                bands = ("mag_gaia_g", "mag_gaia_bp", "mag_gaia_rp") if kind == "optical" else ("mag_w1", "mag_w2")
                place = {"ra": "ra", "dec": "greatest(dec - 0.5 / 3600, -90)", "err_arcsec": "0.1"}
                magnitudes = {band: f"12 + 8 * {x}" for band, x in zip(bands, "uvw", strict=False)}
                _fill(
                    conn,
                    "counterpart",
                    made.catalogues[name],
                    common | place | magnitudes,
                    f"xcat.bench_sky WHERE has_{kind}",
                )
            elif kind == "galaxy":
                place = {
                    "ra": "ra",
                    "dec": "least(dec + 20 / 3600.0, 90)",
                    "distance_mpc": "5 + 10 * u",
                    "d25_arcmin": "2",
                    "axis_ratio": "1",
                    "pa_deg": "0",
                }
                _fill(conn, "galaxy", made.catalogues[name], common | place, "xcat.bench_sky WHERE in_galaxy")
    return made


def make_chain(conn: Connection, made: Runs) -> int:
    """Make a run of every kind, from merge to classify, of the whole sky.

    Returns
    -------
    int
        The classify run; ``made.lineage`` holds the others.
    """
    made.lineage = {}
    _merge(conn, made)
    _link(conn, made)
    _match(conn, made)
    _properties(conn, made)
    label = made.lineage["label_run_id"] = _run(conn, made, "label", "syn", {})
    about = {
        "source_id": "source_id",
        "catalogue_id": str(made.catalogues["syn_reference"]),
        "object_id": "source_id",
        "class": _CLASS,
        "class_native": _CLASS,
        "origin": "'syn_reference'",
        "sep_arcsec": "u",
        "status": "'used'",
    }
    _fill(conn, "label", label, about, f"xcat.bench_sky WHERE source_id <= {LABELLED * made.n}")
    return classify_again(conn, made)


def classify_again(conn: Connection, made: Runs) -> int:
    """Another fit, and the classes by it; the runs before are read again.

    Returns
    -------
    int
        The classify run.
    """
    made.lineage.pop("model_run_id", None)
    fit = _run(conn, made, "fit", "syn", {})
    conn.execute("INSERT INTO xcat.model VALUES (%s, 'equal', 1, 1, NULL, '{0.5,0.1,0.01}')", [fit])
    for k, (name, prior) in enumerate(zip(CLASSES, PRIORS, strict=True)):
        conn.execute(
            "INSERT INTO xcat.model_class VALUES (%s, %s, %s, %s, 0, 100, '{1,2,3}', NULL, false)",
            [fit, k + 1, name, prior],
        )
    for k, name in enumerate(CATEGORIES):
        conn.execute("INSERT INTO xcat.model_category VALUES (%s, %s, %s, 1)", [fit, k + 1, name])
    for t, entry in enumerate(METHOD):
        term = [fit, t + 1, entry["name"], entry["category"]]
        conn.execute("INSERT INTO xcat.model_term VALUES (%s, %s, %s, %s, false)", term)
        low, high = entry["range"]
        values = {key: entry[key] for key in ("name", "scale", "category")}
        conn.execute(LIKELIHOOD, values | {"fit": fit, "low": low, "high": high, "classes": list(CLASSES)})
    of_fold = _ANSWER | {"known_class": _CLASS, "fold": "source_id % 5"}
    _fill(conn, "out_of_fold", fit, of_fold, f"{_ANSWERED} WHERE source_id <= {LABELLED * made.n}")
    made.lineage["model_run_id"] = fit
    classify = _run(conn, made, "classify", "syn", {})
    _fill(conn, "classification", classify, _ANSWER, _ANSWERED)
    return classify


def _merge(conn: Connection, made: Runs) -> None:
    run_id = _run(conn, made, "merge", "syn", {}, "syn_xmm", "syn_swift")
    made.lineage["source_run_id"] = run_id
    xmm, swift = made.catalogues["syn_xmm"], made.catalogues["syn_swift"]
    values = {
        "source_id": "source_id", "catalogue_id": f"CASE WHEN is_second THEN {swift} ELSE {xmm} END",
        "name": "CASE WHEN is_second THEN '2SXPS ' ELSE '4XMM ' END || xcat.iau_name(ra, dec)", "ra": "ra",
        "dec": "dec", "err_arcsec": "0.5 + u", "glon": "ra", "glat": "dec",
        "mjd_first": "52000 + 1000 * u", "mjd_last": "57000 + 1000 * u",
        "n_detections": "1 + (3 * v)::int", "flux_cgs": "flux", "flux_err_cgs": "0.1 * flux", "flux_low_kev": "0.2",
        "flux_high_kev": "12", "flux_std_cgs": "flux", "snr": "3 + 30 * w", "det_likelihood": "10 + 100 * w",
        "flux_ratio": "CASE WHEN u < 0.4 THEN 10 ^ (2 * v) END",
        "flux_ratio_low": "CASE WHEN u < 0.4 THEN 10 ^ (1.5 * v - 0.2) END",
        "hr1": "2 * u - 1", "hr2": "2 * v - 1", "extent_arcsec": "0", "quality_flag": "0",
        "n_flawed": "0", "flux_is_doubtful": "false",
    }  # fmt: skip
    _fill(conn, "source", run_id, values, "xcat.bench_sky")


def _link(conn: Connection, made: Runs) -> None:
    run_id = _run(conn, made, "link", "syn", {})
    made.lineage["link_run_id"] = run_id
    second = f"(NOT is_second AND source_id <= {made.n // 10})"
    missions = f"CASE WHEN {second} THEN 2 ELSE 1 END"
    status = f"CASE WHEN is_second OR {second} THEN 'linked' ELSE 'single' END"
    _fill(
        conn,
        "master_source",
        run_id,
        {"source_id": "source_id", "master_id": "master_id", "mission_rank": "1 + is_second::int", "status": status},
        "xcat.bench_sky",
    )
    values = {
        "master_id": "master_id", "ra": "ra", "dec": "dec", "err_arcsec": "0.5", "n_missions": missions,
        "n_sources": missions,
        "n_detections": "2", "n_upper_limits": "0", "is_ambiguous": "false", "mjd_first": "52000 + 1000 * u",
        "mjd_last": "57000 + 1000 * u", "flux_std_min_cgs": "flux", "flux_std_max_cgs": "2 * flux", "flux_ratio": "2",
        "flux_ratio_low": "1.5", "flux_ratio_sigma": "5 * v",
    }  # fmt: skip
    _fill(conn, "master", run_id, values, "xcat.bench_sky WHERE NOT is_second")
    # later link runs find the same, which is no change
    conn.execute(
        "INSERT INTO xcat.master_change (run_id, source_id, new_master_id, change)"
        " SELECT %s, source_id, master_id, 'new'"
        " FROM xcat.bench_sky WHERE source_id <= 100 AND NOT EXISTS (SELECT FROM xcat.master_change)",
        [run_id],
    )


def _match(conn: Connection, made: Runs) -> None:
    run_id = _run(conn, made, "match", "syn", {}, "syn_optical", "syn_infrared")
    made.lineage["match_run_id"] = run_id
    o, i = made.catalogues["syn_optical"], made.catalogues["syn_infrared"]
    both = f"xcat.bench_sky CROSS JOIN LATERAL (VALUES ({o}, has_optical), ({i}, has_infrared)) AS c (number, there)"
    values = {
        "source_id": "source_id",
        "catalogue_id": "number",
        "n_candidates": "there::int",
        "density_per_deg2": "10000",
        "completeness": "0.7",
        "p_any": "CASE WHEN there THEN 0.7 + 0.3 * u ELSE 0 END",
        "accepted": "there",
    }
    _fill(conn, "match", run_id, values, both)
    values = {
        "source_id": "source_id",
        "catalogue_id": "number",
        "object_id": "source_id",
        "sep_arcsec": "0.5",
        "log_bayes_factor": "9",
        "p_i": "1",
        "is_best": "true",
    }
    _fill(conn, "match_candidate", run_id, values, f"{both} WHERE there")
    lists = (("catalogues", o, i, "smallint"), ("objects", "source_id", "source_id", "bigint"))
    members = {
        name: f"CASE WHEN rank = 0 THEN '{{}}' ELSE array_remove(ARRAY[CASE WHEN has_optical THEN {a} END,"
        f" CASE WHEN has_infrared THEN {b} END]::{of_type}[], NULL) END"
        for name, a, b, of_type in lists
    }
    values = {
        "source_id": "source_id", "rank": "rank", **members, "log_bayes_factor": "9 * rank",
        "p_hypothesis": _P_HYPOTHESIS,
        "p_i": "CASE WHEN rank = 1 THEN 1 END", "match_flag": "rank",
    }  # fmt: skip
    _fill(conn, "hypothesis", run_id, values, _RANKS)
    conn.execute(
        "INSERT INTO xcat.calibration"
        " SELECT %s, k, 0, c / 100.0, c = 50, 1000, 1000 - c, 1000, 100 - c, 0.001 * c, NULL, 1, 1e6"
        " FROM unnest(%s::smallint[]) AS k, generate_series(0, 99) AS c",
        [run_id, [o, i]],
    )


def _properties(conn: Connection, made: Runs) -> None:
    config = {"counterparts": [{"catalogue": "syn_optical"}, {"catalogue": "syn_infrared"}]}
    run_id = _run(conn, made, "properties", "syn", config, "syn_galaxies")
    made.lineage["property_run_id"] = run_id
    values = {
        "source_id": "source_id", **_VALUE, **dict.fromkeys(property_columns("observed"), "true"),
        "has_optical": "has_optical", "has_infrared": "has_infrared", "has_spectrum": "w < 0.3",
        "n_detections": "1 + (3 * v)::int",
        "is_classifiable": "has_optical OR has_infrared",
    }  # fmt: skip
    _fill(conn, "property", run_id, values, "xcat.bench_sky")
    values = {name: f"CASE WHEN rank = 1 THEN {_VALUE[name]} END" for name in COUNTERPART} | {
        "source_id": "source_id",
        "rank": "rank",
        "p_hypothesis": _P_HYPOTHESIS,
    }
    _fill(conn, "hypothesis_property", run_id, values, _RANKS)


def _run(conn: Connection, made: Runs, kind: str, name: str, config: Mapping[str, object], *catalogues: str) -> int:
    """A finished run that has read what was made before."""
    columns = sql.SQL(", ").join(map(sql.Identifier, ["kind", "name", "config", *made.lineage]))
    values = [kind, name, Jsonb(config), *made.lineage.values()]
    query = sql.SQL(
        "INSERT INTO xcat.run (status, ended_at, config_key, versions, {})"
        " VALUES ('done', now(), random()::text, '{{}}', {}) RETURNING run_id"
    ).format(columns, sql.SQL(", ").join([sql.Placeholder()] * len(values)))
    row = conn.execute(query, values).fetchone()
    assert row is not None
    for catalogue in catalogues:
        conn.execute("INSERT INTO xcat.run_catalogue VALUES (%s, %s)", [row[0], made.catalogues[catalogue]])
    return int(row[0])


def _fill(conn: Connection, table: str, key: int, values: Mapping[str, str], of: str) -> None:
    """Write the partition of a run or catalogue, from the expressions of its columns."""
    target = partitions.create(conn, table, key)
    column = "catalogue_id" if target.rsplit("_", 1)[1].startswith("c") else "run_id"
    columns = sql.SQL(", ").join(map(sql.Identifier, [column, *values]))
    query = sql.SQL("INSERT INTO {} ({}) SELECT {}, {} FROM {}").format(
        sql.Identifier(*target.split(".")),
        columns,
        sql.Literal(key),
        sql.SQL(", ").join(map(sql.SQL, values.values())),
        sql.SQL(of),
    )
    conn.execute(query)
    partitions.attach(conn, table, key)


def _number(conn: Connection, query: str, *values: object) -> int:
    row = conn.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])

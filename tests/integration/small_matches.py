"""Links, counterparts, hypotheses and calibration of the small sky, written straight into the run tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xcat.database import copy, partitions
from xcat.database.runs import Run

N_TWICE = 60  # sources of the second mission, at the places of as many of the first
N_AMBIGUOUS = 5  # of these, the last ones, whose links are ambiguous
FALSE_RATE, CUTOFF = 0.05, 0.6


def _full(n: int, value: int, dtype: Any = np.int32) -> np.ndarray:
    return np.full(n, value, dtype)


def twins(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the sources of the second mission, and of the same ones in the first; half of these are unlabelled."""
    first = np.arange(N_TWICE)
    first[20:50] = 7 * n // 10 + np.arange(30)
    return np.arange(n - N_TWICE, n), first


def links(run: Run, sky: Mapping[str, np.ndarray]) -> None:
    """Master sources: twins are one, but for some that are ambiguous.

    Parameters
    ----------
    run : Run
    sky : mapping
        source_id, ra, dec, err_arcsec, n_detections, flux, flux_ratio, flux_ratio_low and flux_ratio_sigma.
    """
    n = len(sky["source_id"])
    second, first = twins(n)
    sure = np.arange(N_TWICE) < N_TWICE - N_AMBIGUOUS
    master = sky["source_id"].copy()
    master[second[sure]] = sky["source_id"][first[sure]]
    status = np.full(n, b"single", "S9")
    status[np.concatenate([first[sure], second[sure]])] = b"linked"
    status[np.concatenate([first[~sure], second[~sure]])] = b"ambiguous"
    run_id = _full(n, run.run_id)
    rank = np.ones(n, np.int16)
    second_is_better = sky["err_arcsec"][second] < sky["err_arcsec"][first]
    rank[np.where(second_is_better, first, second)[sure]] = 2
    members = {
        "run_id": run_id, "source_id": sky["source_id"], "master_id": master, "mission_rank": rank, "status": status
    }  # fmt: skip
    partitions.write(run.conn, "master_source", run.run_id, [members])
    heads = master == sky["source_id"]
    missions = np.where(status == b"linked", 2, 1)
    flux = sky["flux"]
    partitions.write(
        run.conn,
        "master",
        run.run_id,
        [
            {
                name: values[heads]
                for name, values in {
                    "run_id": run_id,
                    "master_id": master,
                    "ra": sky["ra"],
                    "dec": sky["dec"],
                    "err_arcsec": np.full(n, 0.5, np.float32),
                    "n_missions": missions.astype(np.int16),
                    "n_sources": missions.astype(np.int16),
                    "n_detections": sky["n_detections"].astype(np.int32),
                    "n_upper_limits": (np.arange(n) % 3 == 0).astype(np.int32),
                    "is_ambiguous": status == b"ambiguous",
                    "flux_std_min_cgs": flux.astype(np.float32),
                    "flux_std_max_cgs": (flux * np.nan_to_num(sky["flux_ratio"], nan=1)).astype(np.float32),
                    **{c: sky[c].astype(np.float32) for c in ("flux_ratio", "flux_ratio_low", "flux_ratio_sigma")},
                }.items()
            }
        ],
    )
    partitions.write(run.conn, "source_link", run.run_id, [{
        "run_id": _full(N_TWICE, run.run_id), "source_id": sky["source_id"][first],
        "other_source_id": sky["source_id"][second], "sep_arcsec": np.full(N_TWICE, 1.0),
        "log_bayes_factor": np.full(N_TWICE, 12.0), "status": np.where(sure, b"accepted", b"ambiguous"),
        "reason": np.where(sure, b"the only one", b"another is as near"),
    }])  # fmt: skip
    n_sure = int(sure.sum())
    run.summary |= {
        "previous_link_run_id": None,
        "pairs": [{"mission": "swift", "other": "xmm", "linked": n_sure, "ambiguous": N_AMBIGUOUS, "rejected": 0}],
        "reasons": [],
        "missions": [
            {"mission": mission, "sources": m, "single": m - N_TWICE, "linked": n_sure, "ambiguous": N_AMBIGUOUS}
            for mission, m in (("swift", N_TWICE), ("xmm", n - N_TWICE))
        ],
        "masters": {
            "masters": int(heads.sum()),
            "of_one_mission": n - 2 * N_TWICE,
            "of_two_missions": n_sure,
            "of_more_missions": 0,
            "ambiguous": 2 * N_AMBIGUOUS,
            "with_flux_ratio": 1,
            "with_flux_ratio_low": 1,
            "ratio_low_above_5": 0,
        },
        "changes": {"new": 0, "moved": n_sure, "marked": 0, "gone": 0},
    }


def refused(source_id: np.ndarray) -> np.ndarray:
    """Sources whose candidates are not accepted."""
    return np.asarray(source_id % 5 == 2)


def changes(run: Run, source_id: np.ndarray, old: np.ndarray | None, new: np.ndarray, change: str) -> None:
    """Write down a change of membership."""
    n = len(source_id)
    before = np.ma.masked_all(n, np.int64) if old is None else old
    copy.copy_in(
        run.conn,
        "xcat.master_change",
        [
            {
                "run_id": _full(n, run.run_id),
                "source_id": source_id,
                "old_master_id": before,
                "new_master_id": new,
                "change": np.full(n, change.encode()),
            }
        ],
    )


def counterparts(run: Run, source_id: np.ndarray, there: Mapping[int, np.ndarray], rng: np.random.Generator) -> None:
    """Candidates of each catalogue where it has an object, of the number of the source; accepted where p_any allows."""
    n = len(source_id)
    matches, candidates = [], []
    for catalogue_id, has in there.items():
        # a second candidate that is as good as the first makes a few of them ambiguous
        twice = has & (rng.random(n) < 0.1)
        chance = np.where(has, np.maximum(rng.beta(5, 1, n), CUTOFF), rng.beta(1, 8, n) * (rng.random(n) < 0.5))
        matches.append({
            "run_id": _full(n, run.run_id), "source_id": source_id,
            "catalogue_id": _full(n, catalogue_id, np.int16),
            "n_candidates": (has.astype(np.int32) + twice), "p_any": chance.astype(np.float32),
            "accepted": has & ~refused(source_id),
            "density_per_deg2": rng.lognormal(9.5, 0.7, n), "completeness": np.full(n, 0.62, np.float32),
        })  # fmt: skip
        m = int(has.sum())
        candidates.append({
            "run_id": _full(m, run.run_id), "source_id": source_id[has],
            "catalogue_id": _full(m, catalogue_id, np.int16), "object_id": source_id[has],
            "sep_arcsec": rng.rayleigh(0.9, m), "log_bayes_factor": rng.normal(9, 1, m),
            "p_i": np.where(twice[has], 0.55, 1.0).astype(np.float32), "is_best": np.ones(m, bool),
        })  # fmt: skip
        m = int(twice.sum())
        candidates.append({
            "run_id": _full(m, run.run_id), "source_id": source_id[twice],
            "catalogue_id": _full(m, catalogue_id, np.int16), "object_id": source_id[twice] + 10**6,
            "sep_arcsec": rng.rayleigh(1.2, m), "log_bayes_factor": rng.normal(8, 1, m),
            "p_i": np.full(m, 0.45, np.float32), "is_best": np.zeros(m, bool),
        })  # fmt: skip
    partitions.write(run.conn, "match", run.run_id, matches)
    partitions.write(run.conn, "match_candidate", run.run_id, candidates)
    target = partitions.create(run.conn, "hypothesis", run.run_id)
    run.conn.execute(_HYPOTHESES.format(target=target), {"run_id": run.run_id})
    partitions.attach(run.conn, "hypothesis", run.run_id)


# None; all best candidates together; the first of them alone; and many improbable ones for every tenth source.
_HYPOTHESES = """
INSERT INTO {target} (run_id, source_id, rank, catalogues, objects, log_bayes_factor, p_hypothesis, p_i, match_flag)
SELECT %(run_id)s, source_id, r.rank, ks[1:r.n], os[1:r.n], 9, CASE r.rank WHEN 0 THEN 1 - p ELSE p * r.share END,
       nullif(r.share, 0), (r.rank = 1)::int
FROM (SELECT m.source_id, max(m.p_any) FILTER (WHERE c.object_id IS NOT NULL) AS p,
             array_agg(c.catalogue_id ORDER BY c.catalogue_id) AS ks,
             array_agg(c.object_id ORDER BY c.catalogue_id) AS os
      FROM xcat.match AS m
      JOIN xcat.match_candidate AS c USING (run_id, source_id, catalogue_id)
      WHERE m.run_id = %(run_id)s AND c.is_best
      GROUP BY 1) AS b
CROSS JOIN (VALUES (0, 0, 0.0), (1, 2, 0.5), (2, 1, 0.4), (3, 1, 0.03), (4, 1, 0.02), (5, 1, 0.01), (6, 1, 0.002),
                   (7, 1, 0.001)) AS r (rank, n, share)
WHERE r.rank < 3 OR source_id %% 10 = 0
"""

_HYPOTHESIS_PROPERTIES = """
INSERT INTO {target} (run_id, source_id, rank, p_hypothesis, pm_mas_yr, log_fx_fb, log_fx_fr, log_fx_fw1, log_fx_fw2)
SELECT %(run_id)s, h.source_id, h.rank, h.p_hypothesis, p.pm_mas_yr, p.log_fx_fb, p.log_fx_fr, p.log_fx_fw1,
       p.log_fx_fw2
FROM xcat.hypothesis AS h
JOIN xcat.property AS p ON p.run_id = %(run_id)s AND p.source_id = h.source_id
WHERE h.run_id = %(match_run_id)s AND h.rank > 0
"""


def hypothesis_properties(run: Run, match_run_id: int) -> None:
    """The properties of the hypotheses: those of the source."""
    target = partitions.create(run.conn, "hypothesis_property", run.run_id)
    values = {"run_id": run.run_id, "match_run_id": match_run_id}
    run.conn.execute(_HYPOTHESIS_PROPERTIES.format(target=target), values)
    partitions.attach(run.conn, "hypothesis_property", run.run_id)


def learned(run: Run, terms: Mapping[int, str], n_sources: int) -> None:
    """A calibration of every catalogue and all together, in two parts, and a magnitude prior of each catalogue."""
    for catalogue_id in (0, *terms):
        for part in (0, 1, 2):
            cutoff = np.append(np.linspace(0, 1, 101), CUTOFF)
            n = len(cutoff)
            rate = 0.03 * (1 + part) * (1.001 - cutoff)
            total, moved = n_sources if part == 0 else n_sources // 2, 2000 if part == 0 else 1000
            copy.copy_in(run.conn, "xcat.calibration", [{
                "run_id": _full(n, run.run_id), "catalogue_id": np.ma.masked_equal(_full(n, catalogue_id, np.int16), 0),
                "part": _full(n, part, np.int16), "cutoff": cutoff, "is_chosen": np.arange(n) == n - 1,
                "n_sources": _full(n, total), "n_sources_above": (total * (1 - 0.5 * cutoff)).astype(np.int32),
                "n_shifted": _full(n, moved), "n_shifted_above": (moved * rate).astype(np.int32), "false_rate": rate,
                "contamination": np.where(cutoff < 1, 0.1 * (1 - cutoff), np.nan),
                "density_low_per_deg2": np.full(n, 1e3), "density_high_per_deg2": np.full(n, 1e4),
            }])  # fmt: skip
    for catalogue_id, term in terms.items():
        for part in (1, 2):
            low = np.arange(10, 20, 0.5)
            n = len(low)
            field, mine = np.exp((low - 20) / 2), np.exp(-((low - 17) ** 2) / 4)
            edges = np.concatenate([[-1e4], low[1:], [1e4]])
            copy.copy_in(run.conn, "xcat.magnitude_prior", [{
                "run_id": _full(n, run.run_id), "catalogue_id": _full(n, catalogue_id, np.int16),
                "term": np.full(n, term.encode()), "part": _full(n, part, np.int16),
                "source_kind": _full(n, part, np.int16), "n_sources": _full(n, 10), "bin_low": edges[:-1],
                "bin_high": edges[1:], "density_counterparts": 2 * mine / mine.sum(),
                "density_field": 2 * field / field.sum(), "log_ratio": np.log(mine / field) / part,
                "pattern": _full(n, 1, np.int16), "term_no": _full(n, 1, np.int16),
            }])  # fmt: skip

-- name: ambiguous_counterparts
-- For which sources is it unclear which object is the counterpart? They have one (accepted), but two candidates are
-- each probable enough (p_i) to be it.
SELECT s.name, k.name AS catalogue, m.p_any, m.n_candidates, max(c.p_i) AS best_p_i, count(*) AS possible,
       min(c.sep_arcsec) AS sep_arcsec
FROM xcat.match AS m
JOIN xcat.match_candidate AS c ON c.run_id = m.run_id AND c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id
JOIN xcat.source AS s ON s.run_id = (SELECT source_run_id FROM xcat.published) AND s.source_id = m.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = m.catalogue_id
WHERE m.run_id = (SELECT match_run_id FROM xcat.published)
  AND m.accepted
  AND c.p_i > 0.2
GROUP BY s.source_id, s.name, k.name, m.p_any, m.n_candidates
HAVING count(*) > 1
ORDER BY best_p_i, s.name;

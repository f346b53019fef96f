-- name: changed_counterparts
-- Which sources have another counterpart than in the run that was published before? Lost and found ones are NULL on one
-- side. Put run numbers of your own (pub.runs) in place of the two subqueries.
WITH chosen AS MATERIALIZED (
    SELECT (SELECT run_id FROM pub.runs WHERE is_published) AS new_run,
           (SELECT max(run_id) FROM pub.runs WHERE NOT is_published) AS old_run
), best AS MATERIALIZED (
    SELECT run_id, source_id, name, catalogue, native_id, p_any
    FROM pub.counterparts_runs
    WHERE run_id IN (SELECT new_run FROM chosen UNION ALL SELECT old_run FROM chosen)
)
SELECT coalesce(n.name, o.name) AS name, coalesce(n.catalogue, o.catalogue) AS catalogue, o.native_id AS old_native_id,
       o.p_any AS old_p_any, n.native_id, n.p_any
FROM (SELECT best.* FROM best JOIN chosen ON best.run_id = new_run) AS n
FULL JOIN (SELECT best.* FROM best JOIN chosen ON best.run_id = old_run) AS o USING (source_id, catalogue)
WHERE o.native_id IS DISTINCT FROM n.native_id
  AND (SELECT old_run FROM chosen) IS NOT NULL
ORDER BY n.p_any DESC NULLS LAST, 1;

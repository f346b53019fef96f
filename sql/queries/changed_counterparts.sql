-- name: changed_counterparts
-- Which sources have another counterpart than in the run that was published before? Lost and found ones are NULL on one
-- side. Put run numbers of your own (pub.runs) in place of the functions.
SELECT coalesce(n.name, o.name) AS name, coalesce(n.catalogue, o.catalogue) AS catalogue, o.native_id AS old_native_id,
       o.p_any AS old_p_any, n.native_id, n.p_any
FROM (SELECT * FROM pub.counterparts_runs WHERE run_id = pub.published_run()) AS n
FULL JOIN (SELECT * FROM pub.counterparts_runs WHERE run_id = pub.run_before()) AS o USING (source_id, catalogue)
WHERE o.native_id IS DISTINCT FROM n.native_id
  AND pub.run_before() IS NOT NULL
ORDER BY n.p_any DESC NULLS LAST, 1;

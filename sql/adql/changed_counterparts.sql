-- name: changed_counterparts
-- Which sources have another counterpart than in an earlier run? Lost and found ones are NULL on one side. Put a run
-- number of your own (pub.runs) in place of the subquery.
SELECT COALESCE(n.name, o.name) AS name, COALESCE(n.catalogue, o.catalogue) AS catalogue,
       o.native_id AS old_native_id, o.p_any AS old_p_any, n.native_id, n.p_any
FROM pub.counterparts AS n
FULL JOIN (SELECT *
           FROM pub.counterparts_runs
           WHERE run_id = (SELECT MAX(run_id) FROM pub.runs WHERE is_published = FALSE)) AS o
    ON o.source_id = n.source_id AND o.catalogue = n.catalogue
WHERE o.native_id <> n.native_id OR o.native_id IS NULL OR n.native_id IS NULL
ORDER BY p_any DESC, name

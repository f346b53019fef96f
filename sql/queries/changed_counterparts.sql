-- name: changed_counterparts
-- Which sources have another counterpart than in the match run before? Lost and found ones are NULL on one side. Put run
-- numbers of your own (xcat runs) in place of the two subqueries.
WITH chosen AS (
    SELECT (SELECT match_run_id FROM xcat.published) AS new_run,
           (SELECT max(run_id) FROM xcat.run
            WHERE kind = 'match' AND status = 'done' AND run_id < (SELECT match_run_id FROM xcat.published)) AS old_run
), best AS (
    SELECT m.run_id, m.source_id, m.catalogue_id, m.p_any, c.object_id
    FROM xcat.match AS m
    LEFT JOIN xcat.match_candidate AS c
           ON m.accepted AND c.is_best
          AND c.run_id = m.run_id AND c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id
    WHERE m.run_id IN (SELECT new_run FROM chosen UNION ALL SELECT old_run FROM chosen)
)
SELECT s.name, k.name AS catalogue, oc.native_id AS old_native_id, o.p_any AS old_p_any, nc.native_id, n.p_any
FROM chosen
JOIN best AS n ON n.run_id = chosen.new_run
JOIN best AS o ON o.run_id = chosen.old_run AND o.source_id = n.source_id AND o.catalogue_id = n.catalogue_id
JOIN xcat.source AS s ON s.run_id = (SELECT source_run_id FROM xcat.published) AND s.source_id = n.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = n.catalogue_id
LEFT JOIN xcat.counterpart AS oc ON oc.catalogue_id = o.catalogue_id AND oc.object_id = o.object_id
LEFT JOIN xcat.counterpart AS nc ON nc.catalogue_id = n.catalogue_id AND nc.object_id = n.object_id
WHERE o.object_id IS DISTINCT FROM n.object_id
ORDER BY n.p_any DESC, s.name;

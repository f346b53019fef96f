-- name: label_conflicts
-- Which sources have no label since their references disagree, and what does each say? Newest run of a pipeline.
SELECT l.source_id, s.ra, s.dec,
       string_agg(l.origin || ': ' || l.class || coalesce(' (' || btrim(l.class_native) || ')', ''), ', '
                  ORDER BY l.sep_arcsec, l.origin) AS message
FROM xcat.label AS l
JOIN xcat.run AS r USING (run_id)
JOIN xcat.source AS s ON s.run_id = r.source_run_id AND s.source_id = l.source_id
WHERE l.status = 'conflict'
  AND l.run_id = (SELECT max(run_id) FROM xcat.run WHERE kind = 'label' AND status = 'done')
GROUP BY l.source_id, s.ra, s.dec
ORDER BY s.ra;

-- name: label_conflicts
-- Which sources have no label since their references disagree, and what does each say? Newest run of a pipeline.
SELECT l.source_id, l.ra, l.dec,
       string_agg(l.origin || ': ' || l.class || coalesce(' (' || btrim(l.class_native) || ')', ''), ', '
                  ORDER BY l.sep_arcsec, l.origin) AS message
FROM pub.labels AS l
WHERE l.status = 'conflict' AND l.run_id = (SELECT max(run_id) FROM pub.labels)
GROUP BY l.source_id, l.ra, l.dec
ORDER BY l.ra;

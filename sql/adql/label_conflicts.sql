-- name: label_conflicts
-- Which sources have no label since their references disagree, and what does each say? One row per reference, in the
-- newest run of a pipeline.
SELECT source_id, ra, dec, origin, class, class_native, sep_arcsec
FROM pub.labels
WHERE status = 'conflict' AND run_id = (SELECT MAX(run_id) FROM pub.labels)
ORDER BY ra, source_id, sep_arcsec, origin

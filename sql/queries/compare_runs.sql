-- name: compare_runs
-- Which sources have another class in the published run than in the classify run before it? Put run numbers of your own
-- (xcat runs) in place of the two subqueries.
WITH chosen AS (
    SELECT (SELECT run_id FROM xcat.published) AS new_run,
           (SELECT max(run_id) FROM xcat.run
            WHERE kind = 'classify' AND status = 'done' AND run_id < (SELECT run_id FROM xcat.published)) AS old_run
)
SELECT s.name, o.class AS old_class, o.p[ok.class_id] AS old_probability, n.class, n.p[nk.class_id] AS p_class, n.margin,
       s.ra, s.dec
FROM chosen
JOIN xcat.run AS orun ON orun.run_id = chosen.old_run
JOIN xcat.run AS nrun ON nrun.run_id = chosen.new_run
JOIN xcat.classification AS n ON n.run_id = chosen.new_run
JOIN xcat.classification AS o ON o.run_id = chosen.old_run AND o.source_id = n.source_id
JOIN xcat.model_class AS ok ON ok.run_id = orun.model_run_id AND ok.class = o.class
JOIN xcat.model_class AS nk ON nk.run_id = nrun.model_run_id AND nk.class = n.class
JOIN xcat.source AS s ON s.run_id = nrun.source_run_id AND s.source_id = n.source_id
WHERE o.class <> n.class
ORDER BY n.margin DESC;

-- name: compare_runs
-- Which sources have another class in the published run than in the run that was published before? Put run numbers of your
-- own (pub.runs) in place of the two subqueries; a number in the table's name is shorter: pub.classified_r12.
WITH chosen AS MATERIALIZED (
    SELECT (SELECT run_id FROM pub.runs WHERE is_published) AS new_run,
           (SELECT max(run_id) FROM pub.runs WHERE NOT is_published) AS old_run
), answer AS MATERIALIZED (
    SELECT run_id, source_id, name, class, p_class, margin, ra, dec
    FROM pub.classified_runs
    WHERE run_id IN (SELECT new_run FROM chosen UNION ALL SELECT old_run FROM chosen)
)
SELECT n.name, o.class AS old_class, o.p_class AS old_probability, n.class, n.p_class, n.margin, n.ra, n.dec
FROM chosen
JOIN answer AS n ON n.run_id = chosen.new_run
JOIN answer AS o ON o.run_id = chosen.old_run AND o.source_id = n.source_id
WHERE o.class <> n.class
ORDER BY n.margin DESC;

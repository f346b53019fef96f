-- name: compare_runs
-- Which sources have another class in the published run than in an earlier one? Put a run number of your own (pub.runs)
-- in place of the subquery.
SELECT n.name, o.class AS old_class, o.p_class AS old_probability, n.class, n.p_class, n.margin, n.ra, n.dec
FROM pub.classified AS n
JOIN pub.classified_runs AS o ON o.source_id = n.source_id
WHERE o.run_id = (SELECT MAX(run_id) FROM pub.runs WHERE is_published = FALSE)
  AND o.class <> n.class
ORDER BY n.margin DESC

-- name: compare_runs
-- Which sources have another class in the published run than in the run that was published before? Put run numbers of
-- your own (pub.runs) in place of the two functions; a number in the table's name is shorter: pub.classified_r12.
SELECT n.name, o.class AS old_class, o.p_class AS old_probability, n.class, n.p_class, n.margin, n.ra, n.dec
FROM pub.classified_runs AS n
JOIN pub.classified_runs AS o ON o.source_id = n.source_id
WHERE n.run_id = pub.published_run()
  AND o.run_id = pub.run_before()
  AND o.class <> n.class
ORDER BY n.margin DESC;

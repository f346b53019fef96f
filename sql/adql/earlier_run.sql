-- name: earlier_run
-- What were the classes in a run that was published? pub.classified_runs holds all that are kept, by run_id. Here the
-- oldest; put a number in place of the subquery.
SELECT run_id, class, COUNT(*) AS sources, AVG(p_class) AS mean_probability
FROM pub.classified_runs
WHERE run_id = (SELECT MIN(run_id) FROM pub.runs)
GROUP BY run_id, class
ORDER BY 3 DESC

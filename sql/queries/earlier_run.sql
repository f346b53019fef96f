-- name: earlier_run
-- What were the classes in earlier published runs? pub.classified_runs holds all that are kept, by run_id; one of them
-- by its number is a table of its own, as in SELECT * FROM pub.classified_r12. Here the one before, or the published
-- one if it is the only one; put a number in place of the function.
SELECT run_id, class, count(*) AS sources, avg(p_class) AS mean_probability
FROM pub.classified_runs
WHERE run_id = coalesce(pub.run_before(), pub.published_run())
GROUP BY 1, 2
ORDER BY 3 DESC;

-- name: without_variability
-- How would the classes change if nothing were known of variability? One row a change, and how many sources make it.
SELECT m.classes[c.class_id] AS class, m.classes[c.class_without[v.i]] AS class_without_variability, count(*) AS sources,
       count(*) FILTER (WHERE c.is_outlier) AS outliers
FROM xcat.classification AS c
CROSS JOIN xcat.published AS r
JOIN xcat.model AS m ON m.run_id = r.model_run_id
CROSS JOIN LATERAL (SELECT array_position(m.categories, 'variability') AS i) AS v
WHERE c.run_id = (SELECT run_id FROM xcat.published)
GROUP BY 1, 2
ORDER BY 1, 3 DESC;

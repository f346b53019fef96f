-- name: without_variability
-- How would the classes change if nothing were known of variability? One row per change, and how many sources make it.
SELECT class,
       coalesce(substring(alternative FROM 'variability:(\S.*?)(?: \w+:|$)'), class) AS class_without_variability,
       count(*) AS sources, count(*) FILTER (WHERE is_outlier) AS outliers
FROM pub.classified
GROUP BY 1, 2
ORDER BY 1, 3 DESC;

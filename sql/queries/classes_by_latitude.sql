-- name: classes_by_latitude
-- How many sources of each class are there in bands of galactic latitude, 10 degrees wide, and how many objects, if one
-- that several missions have seen counts once?
SELECT 10 * least(floor(abs_b / 10), 8) AS from_abs_b, class, count(*) AS sources,
       count(*) FILTER (WHERE is_best_of_master) AS objects,
       count(*) FILTER (WHERE is_outlier) AS outliers, avg(p_class) AS mean_probability
FROM pub.classified
GROUP BY 1, 2
ORDER BY 1, 3 DESC;

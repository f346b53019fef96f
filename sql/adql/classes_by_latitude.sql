-- name: classes_by_latitude
-- How many sources of each class are there in bands of galactic latitude, 10 degrees wide, and how many objects, if one
-- that several missions have seen counts once?
SELECT CASE WHEN abs_b < 80 THEN 10 * FLOOR(abs_b / 10) ELSE 80 END AS from_abs_b, class, COUNT(*) AS sources,
       SUM(CASE WHEN is_best_of_master = TRUE THEN 1 ELSE 0 END) AS objects,
       SUM(CASE WHEN is_outlier = TRUE THEN 1 ELSE 0 END) AS outliers, AVG(p_class) AS mean_probability
FROM pub.classified
GROUP BY CASE WHEN abs_b < 80 THEN 10 * FLOOR(abs_b / 10) ELSE 80 END, class
ORDER BY 1, 3 DESC

-- name: region
-- How many sources of each class are there in a region, here a triangle?
SELECT class, COUNT(*) AS sources, AVG(p_class) AS mean_probability, MAX(IN_UNIT(flux_cgs, 'W m-2')) AS brightest_w_m2
FROM pub.classified
WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(200, -40, 330, -40, 266, 30))
GROUP BY class
ORDER BY sources DESC

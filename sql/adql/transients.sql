-- name: transients
-- Which sources varied by more than a factor of 5 even if the errors are taken off, and what are they?
SELECT name, ra, dec, flux_ratio_low, flux_ratio, n_detections, flux_cgs, class, p_class, is_outlier, known_class
FROM pub.classified
WHERE flux_ratio_low > 5
ORDER BY flux_ratio_low DESC

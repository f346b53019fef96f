-- name: transients
-- Which sources varied by more than a factor of 5 even if the errors are taken off, and what are they?
SELECT c.name, c.ra, c.dec, s.flux_ratio_low, s.flux_ratio, s.n_detections, s.flux_cgs, c.class, c.p_class, c.is_outlier,
       c.known_class
FROM xcat.classified AS c
JOIN xcat.source AS s ON s.run_id = (SELECT source_run_id FROM xcat.published) AND s.source_id = c.source_id
WHERE s.flux_ratio_low > 5
ORDER BY s.flux_ratio_low DESC;

-- name: cv_main_sequence
-- Which objects lie above the line that parts accreting from active stars in the X-ray main sequence,
-- log Fx/Fopt = (BP - RP) - 3.5 (Rodriguez 2024, PASP 136, 054201), and what are they classified as? Only counterparts
-- with a good parallax, if the catalogue has one, so that quasars stay out.
SELECT TOP 100 c.name, c.ra, c.dec, c.class, c.p_cv, c.log_fx_fr, o.mag_gaia_bp - o.mag_gaia_rp AS bp_rp,
       c.log_fx_fr - (o.mag_gaia_bp - o.mag_gaia_rp - 3.5) AS above_line, o.parallax_mas, o.sep_arcsec
FROM pub.classified AS c
JOIN pub.counterparts AS o ON o.source_id = c.source_id AND o.kind = 'optical'
WHERE c.is_best_of_master = TRUE
  AND c.log_fx_fr > o.mag_gaia_bp - o.mag_gaia_rp - 3.5
  AND (o.parallax_mas IS NULL OR o.parallax_mas > 5 * o.parallax_err_mas)
ORDER BY c.p_cv DESC, above_line DESC, c.name

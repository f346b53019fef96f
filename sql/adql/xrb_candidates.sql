-- name: xrb_candidates
-- Which objects are X-ray binaries that the literature does not know? Probable, not outlying, point-like, of good
-- quality, and the same class whichever category of evidence is left out; those first whose class hardly depends on
-- which labelled sources the model has seen. An object that several missions have seen is one row, as its best measured
-- source; other_missions is what the others say.
SELECT name, ra, dec, p_xrb, p_xrb_err, stability, margin, other_missions, outlier, flux_cgs, n_detections, log_fx_fr,
       sep_to_radius
FROM pub.xrb_candidates
WHERE p_xrb > 0.9
  AND is_outlier = FALSE
  AND alternative = ''
  AND COALESCE(extent_arcsec, 0) = 0
  AND COALESCE(quality_flag, 0) <= 1
ORDER BY p_xrb * COALESCE(stability, 1) DESC, outlier

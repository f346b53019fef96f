-- name: xmm_names
-- The classification under the column names of the published XMM classifications (prediction: 0 AGN, 1 Star, 2 XRB,
-- 3 CV): queries written for those run here as they are.
SELECT iauname, ra, dec, prediction, alt, clmargin, outlier, n_missing, pbac0, pbac1, pbac2, pbac3, pbac2_location,
       pbac2_spectrum, pbac2_multiwavelength, pbac2_variability
FROM pub.claxboi
WHERE prediction = 2 AND clmargin > 0.8 AND outlier < 10
ORDER BY clmargin DESC

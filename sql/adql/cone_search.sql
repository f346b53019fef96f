-- name: cone_search
-- What is classified within 5 degrees of the centre of the Galaxy, the nearest first?
SELECT name, ra, dec, DISTANCE(ra, dec, 266.417, -29.008) * 3600 AS sep_arcsec, class, p_class, flux_cgs
FROM pub.classified
WHERE DISTANCE(ra, dec, 266.417, -29.008) < 5
ORDER BY sep_arcsec

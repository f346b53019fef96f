-- name: cone_search
-- What is classified within 5 degrees of the centre of the Galaxy, the nearest first? The radius is in degrees.
SELECT name, ra, dec, public.q3c_dist(ra, dec, 266.417, -29.008) * 3600 AS sep_arcsec, class, p_class, flux_cgs
FROM pub.classified
WHERE pub.in_cone(ra, dec, 266.417, -29.008, 5.0)
ORDER BY sep_arcsec;

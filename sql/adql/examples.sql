-- name: cone
-- What is classified within 5 degrees of the centre of the Galaxy, the nearest first?
SELECT TOP 100 name, ra, dec, DISTANCE(POINT('ICRS', ra, dec), POINT('ICRS', 266.417, -29.008)) AS sep_deg,
       class, p_class, flux_cgs
FROM pub.classified
WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 266.417, -29.008, 5.0))
ORDER BY sep_deg

-- name: xrb_candidates
-- Which objects are X-ray binaries that the literature does not know, whichever category of evidence is left out?
SELECT TOP 100 name, ra, dec, p_xrb, p_xrb_err, stability, outlier, flux_cgs, other_missions
FROM pub.xrb_candidates
WHERE p_xrb > 0.9 AND alternative = ''
  AND (extent_arcsec IS NULL OR extent_arcsec = 0)
ORDER BY p_xrb DESC

-- name: classes
-- How many sources of each class does every catalogue have, and how sure are their classes?
SELECT catalogue, class, COUNT(*) AS n_sources, AVG(p_class) AS mean_p_class
FROM pub.classified
GROUP BY catalogue, class
ORDER BY catalogue, class

-- name: counterparts
-- The optical and infrared counterparts of bright sources, each with its separation and probability.
SELECT TOP 100 s.name AS source, c.catalogue AS counterparts_of, c.native_id, c.sep_arcsec, c.p_any, s.class
FROM pub.classified AS s JOIN pub.counterparts AS c ON c.source_id = s.source_id
WHERE s.flux_cgs > 1e-13
ORDER BY source, counterparts_of

-- name: close_pairs
-- Sources of one mission that lie within 10 arcsec of a source of another one.
SELECT TOP 100 a.name AS name, b.name AS other_name,
       3600 * DISTANCE(POINT('ICRS', a.ra, a.dec), POINT('ICRS', b.ra, b.dec)) AS sep_arcsec
FROM pub.classified AS a
JOIN pub.classified AS b ON 1 = CONTAINS(POINT('ICRS', b.ra, b.dec), CIRCLE('ICRS', a.ra, a.dec, 10.0 / 3600))
WHERE a.catalogue < b.catalogue

-- name: columns
-- What do the columns of the classification mean, and which of them are quick to search by?
SELECT column_name, datatype, unit, ucd, description, indexed
FROM tap_schema.columns
WHERE table_name = 'pub.classified'
ORDER BY column_index

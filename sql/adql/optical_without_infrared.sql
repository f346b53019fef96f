-- name: optical_without_infrared
-- Which sources have an optical but no infrared counterpart? With how likely an infrared one was: an X-ray bright and
-- blue object that W1 does not see is no ordinary star or galaxy.
SELECT c.name, c.ra, c.dec, o.catalogue, o.native_id, o.sep_arcsec, o.p_any, c.log_fx_fr, c.class, c.p_class
FROM pub.classified AS c
JOIN pub.counterparts AS o ON o.source_id = c.source_id AND o.kind = 'optical'
WHERE c.has_optical = TRUE AND c.has_infrared = FALSE
ORDER BY o.p_any DESC, c.name

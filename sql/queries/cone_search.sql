-- name: cone_search
-- What is classified within 5 degrees of the centre of the Galaxy? The cone stands alone in a MATERIALIZED part, so that
-- the index on the sky is used; radius in degrees, at most 20.
WITH near AS MATERIALIZED (
    SELECT run_id, source_id, public.q3c_dist(ra, dec, 266.417, -29.008) * 3600 AS sep_arcsec
    FROM xcat.source
    WHERE public.q3c_radial_query(ra, dec, 266.417, -29.008, 5.0)
)
SELECT c.name, c.ra, c.dec, n.sep_arcsec, c.class, c.p_class, c.flux_cgs
FROM near AS n
JOIN xcat.classified AS c ON c.source_id = n.source_id
WHERE n.run_id = (SELECT source_run_id FROM xcat.published)
ORDER BY n.sep_arcsec;

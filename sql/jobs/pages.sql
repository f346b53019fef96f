-- name: published
-- What is published, since when, and the newest release that is kept, with the run that it froze.
SELECT r.run_id, r.model_run_id, r.published_at, r.classes, x.label AS release, x.created_at AS released_at,
       x.run_id AS release_run_id
FROM pub.runs AS r
LEFT JOIN LATERAL (SELECT label, created_at, run_id FROM pub.releases WHERE removed_at IS NULL
                   ORDER BY created_at DESC LIMIT 1) AS x ON true
WHERE r.is_published;

-- name: number
-- Sources and objects that are published, and of how many missions.
SELECT count(*) AS sources, count(*) FILTER (WHERE is_best_of_master) AS objects,
       count(DISTINCT catalogue) AS missions, count(*) FILTER (WHERE is_outlier) AS outliers,
       count(known_class) AS known
FROM pub.classified;

-- name: sky
-- Sources in every HEALPix cell of order 4 that has any.
SELECT (hpx29 >> 50)::integer AS cell, count(*)::integer AS n FROM pub.classified GROUP BY 1 ORDER BY 1;

-- name: named
-- The published source with a name or a number.
SELECT source_id, name FROM pub.classified
WHERE lower(regexp_replace(name, '\s', '', 'g')) = %(key)s
UNION
SELECT source_id, name FROM pub.classified WHERE source_id = %(number)s
LIMIT 2;

-- name: names_like
-- Published sources whose name contains a text.
SELECT source_id, name, catalogue, ra, dec, class, p_class, NULL::double precision AS sep_arcsec
FROM pub.classified
WHERE strpos(lower(regexp_replace(name, '\s', '', 'g')), %(key)s) > 0
ORDER BY name COLLATE "C", source_id
LIMIT %(most)s;

-- name: around
-- Published sources around a position, the nearest first.
WITH near AS MATERIALIZED (
    SELECT s.source_id, s.name, s.catalogue, s.ra, s.dec, s.class, s.p_class FROM pub.classified AS s
    WHERE pub.in_cone(s.ra, s.dec, %(ra)s, %(dec)s, %(radius_deg)s)
)
SELECT source_id, name, catalogue, ra, dec, class, p_class,
       public.q3c_dist(ra, dec, %(ra)s::double precision, %(dec)s::double precision) * 3600 AS sep_arcsec
FROM near
WHERE source_id <> %(but)s
ORDER BY sep_arcsec, source_id
LIMIT %(most)s;

-- name: summary
-- What pub has of one source, beyond its evidence.
SELECT * FROM pub.classified WHERE source_id = %(source_id)s;

-- name: history
-- What the runs that are kept in pub said of one source, the newest first, with the releases that they are.
SELECT c.run_id, r.published_at, r.is_published, c.class, c.p_class, c.is_outlier, c.flux_cgs,
       (SELECT string_agg(x.label, ', ' ORDER BY x.created_at)
        FROM pub.releases AS x WHERE x.run_id = c.run_id) AS releases
FROM pub.classified_runs AS c
JOIN pub.runs AS r USING (run_id)
WHERE c.source_id = %(source_id)s
ORDER BY r.published_at DESC, c.run_id DESC
LIMIT 30;

-- name: detections
-- Every observation of a source and of the others of its master source, with fluxes and upper limits as catalogued.
SELECT k.name AS catalogue, d.mjd, d.obs_id, d.exposure_s, d.flux_cgs::double precision AS flux_cgs,
       d.flux_err_cgs::double precision AS flux_err_cgs, d.flux_upper_cgs::double precision AS flux_upper_cgs, d.flaws,
       b.source_id, k.definition
FROM unnest(%(source_ids)s::bigint[]) AS b (source_id)
JOIN xcat.source_detection AS sd ON sd.run_id = %(source_run_id)s AND sd.source_id = b.source_id
JOIN xcat.detection AS d ON d.catalogue_id = sd.catalogue_id AND d.object_id = sd.object_id
JOIN xcat.catalogue AS k ON k.catalogue_id = sd.catalogue_id
ORDER BY d.mjd NULLS LAST, k.name, d.object_id
LIMIT 2000;

-- name: xray
-- The X-ray side of a source: the ellipse of its position, its fluxes by band, its hardness.
SELECT s.*, k.name AS catalogue, k.definition FROM xcat.source AS s
JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE s.run_id = %(source_run_id)s AND s.source_id = %(source_id)s;

-- name: candidates_around
-- Every catalogued object near enough to a source to be its counterpart, with its place and the error of it.
SELECT k.name AS catalogue, k.kind, o.object_id, o.native_id, o.ra, o.dec, o.err_arcsec, o.err_maj_arcsec,
       o.err_min_arcsec, o.err_pa_deg, c.sep_arcsec, c.p_i, c.is_best, m.accepted AND c.is_best AS is_accepted
FROM xcat.match_candidate AS c
JOIN xcat.match AS m ON m.run_id = c.run_id AND m.source_id = c.source_id AND m.catalogue_id = c.catalogue_id
JOIN xcat.catalogue AS k ON k.catalogue_id = c.catalogue_id
JOIN xcat.counterpart AS o ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id
WHERE c.run_id = %(match_run_id)s AND c.source_id = %(source_id)s
ORDER BY c.p_i DESC, c.sep_arcsec
LIMIT 60;

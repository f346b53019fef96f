-- name: needles
-- Sources, with a search radius from their error and the largest one of the reference catalogue.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec,
       least(%(max_radius_arcsec)s,
             3 * sqrt(err_arcsec ^ 2 + (SELECT coalesce(max(err_arcsec), 0) FROM {haystack}) ^ 2)
             + %(tolerance_arcsec)s)
FROM xcat.source
WHERE run_id = %(source_run_id)s;

-- name: fewer_objects
-- Whether a reference catalogue has fewer objects than there are sources.
SELECT (SELECT count(*) FROM {haystack}) < (SELECT count(*) FROM {source});

-- name: object_needles
-- The objects of a reference catalogue, with a search radius from their error and the largest one of the sources.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT object_id, ra, dec,
       least(%(max_radius_arcsec)s,
             3 * sqrt(coalesce(err_arcsec, 0) ^ 2 + (SELECT coalesce(max(err_arcsec), 0) FROM {source}) ^ 2)
             + %(tolerance_arcsec)s)
FROM {haystack};

-- name: make_work
-- Reference objects at sources, before conflicts are resolved; the rules of the classes; and what the rules need to
-- know about a source.
CREATE TEMP TABLE hit (
    source_id bigint NOT NULL, catalogue_id smallint NOT NULL, object_id bigint NOT NULL, class text, class_native text,
    origin text NOT NULL, sep_arcsec double precision NOT NULL, place integer NOT NULL,
    native_id text COLLATE "C" NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE class_rule (
    position integer PRIMARY KEY, class text NOT NULL, of_class text, exact text[] NOT NULL, prefixes text[] NOT NULL,
    place text, nucleus_arcsec double precision NOT NULL, kinds text[] NOT NULL, fits text[] NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE nucleus (source_id bigint NOT NULL, sep_arcsec double precision NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE place (
    source_id bigint PRIMARY KEY, in_galaxy boolean NOT NULL, err_arcsec double precision NOT NULL,
    sep_arcsec double precision, is_extended boolean NOT NULL
) ON COMMIT DROP;

-- name: hits
-- Reference objects within three sigma of both errors plus the catalogue's tolerance. An object labels only the nearest
-- source of each mission, of equally near ones the first by the mission's own id.
INSERT INTO pg_temp.hit
SELECT DISTINCT ON (s.catalogue_id, r.object_id)
       s.source_id, %(catalogue_id)s, r.object_id, r.class, r.class_native, %(origin)s, p.sep_arcsec, %(place)s,
       r.native_id
FROM pg_temp.pair AS p
JOIN {haystack} AS r ON r.object_id = p.{of_object}
JOIN {source} AS s ON s.source_id = p.{of_source}
LEFT JOIN xcat.source_identity AS i ON i.source_id = s.source_id
WHERE p.sep_arcsec < 3 * sqrt(s.err_arcsec ^ 2 + r.err_arcsec ^ 2) + %(tolerance_arcsec)s
ORDER BY s.catalogue_id, r.object_id, p.sep_arcsec, i.mission_source, s.source_id;

-- name: nucleus_needles
-- Sources with a hit, to search for centres of galaxies.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec, greatest(3 * err_arcsec, %(nucleus_arcsec)s)
FROM xcat.source
WHERE run_id = %(source_run_id)s AND source_id IN (SELECT source_id FROM pg_temp.hit);

-- name: nuclei
-- Centres of galaxies at these sources; no source is in a galaxy without a diameter.
INSERT INTO pg_temp.nucleus (source_id, sep_arcsec)
SELECT p.id, p.sep_arcsec
FROM pg_temp.pair AS p
JOIN {galaxy} AS g ON g.object_id = p.object_id
WHERE g.d25_arcmin > 0;

-- name: places
-- Whether sources with a hit are in a galaxy, near a nucleus, or extended.
INSERT INTO pg_temp.place (source_id, in_galaxy, err_arcsec, sep_arcsec, is_extended)
SELECT s.source_id, p.sep_to_radius IS NOT NULL, s.err_arcsec, n.sep_arcsec, coalesce(s.extent_arcsec > 0, false)
FROM xcat.source AS s
LEFT JOIN xcat.property AS p ON p.run_id = %(property_run_id)s::integer AND p.source_id = s.source_id
LEFT JOIN (SELECT source_id, min(sep_arcsec) AS sep_arcsec FROM pg_temp.nucleus GROUP BY source_id) AS n
  ON n.source_id = s.source_id
WHERE s.run_id = %(source_run_id)s AND s.source_id IN (SELECT source_id FROM pg_temp.hit);

-- name: store
-- A hit has the first class whose rule it fits. A source with hits of one class keeps its nearest reference object as
-- the label, of equally near ones that of the catalogue named first, then the first by its id. With hits of two classes
-- it has no label, and all its rows are conflicts. Reference objects that fit no class neither label nor conflict;
-- their rows keep the catalogue's class. The kind is the first of the class's that the
-- catalogue, or its own class, fits.
SELECT %(run_id)s AS run_id, source_id, catalogue_id, object_id, coalesce(ours, class) AS class, class_native, origin,
       sep_arcsec,
       CASE WHEN ours IS NULL THEN 'unmapped'
            WHEN min(ours) OVER same_source <> max(ours) OVER same_source THEN 'conflict'
            WHEN row_number() OVER (PARTITION BY source_id, ours IS NULL ORDER BY sep_arcsec, place, native_id) = 1
                 THEN 'used'
            ELSE 'duplicate' END AS status,
       (SELECT u.kind
        FROM pg_temp.class_rule AS r, unnest(r.kinds, r.fits) WITH ORDINALITY AS u (kind, fit, i)
        WHERE r.class = h.ours
          AND (u.fit IN (h.origin, btrim(h.class_native))
               OR u.fit LIKE '%%*' AND starts_with(btrim(h.class_native), rtrim(u.fit, '*')))
        ORDER BY u.i
        LIMIT 1) AS class_kind
FROM (SELECT h.*,
             (SELECT r.class
              FROM pg_temp.class_rule AS r
              WHERE (r.of_class IS NULL OR r.of_class = h.class)
                AND (cardinality(r.exact) + cardinality(r.prefixes) = 0 OR btrim(h.class_native) = ANY (r.exact)
                     OR EXISTS (SELECT FROM unnest(r.prefixes) AS u (prefix)
                                WHERE starts_with(btrim(h.class_native), u.prefix)))
                AND CASE r.place
                    WHEN 'in_galaxy' THEN w.in_galaxy
                    WHEN 'off_nuclear' THEN w.in_galaxy AND coalesce(
                         w.sep_arcsec > greatest(3 * w.err_arcsec, r.nucleus_arcsec), true)
                    WHEN 'extended' THEN w.is_extended
                    ELSE true END
              ORDER BY r.position
              LIMIT 1) AS ours
      FROM pg_temp.hit AS h
      JOIN pg_temp.place AS w USING (source_id)) AS h
WINDOW same_source AS (PARTITION BY source_id);

-- name: count
-- Labels by class, origin and status.
SELECT coalesce(class, class_native, '') AS class, origin, status, count(*) AS sources
FROM {label} GROUP BY 1, 2, 3 ORDER BY 3 DESC, 1, 2;

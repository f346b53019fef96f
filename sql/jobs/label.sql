-- name: needles
-- Sources, searched around as far as their own error and the worst one of the reference catalogue allow.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec,
       least(%(max_radius_arcsec)s,
             3 * sqrt(err_arcsec ^ 2 + (SELECT coalesce(max(err_arcsec), 0) FROM {haystack}) ^ 2)
             + %(tolerance_arcsec)s)
FROM xcat.source
WHERE run_id = %(source_run_id)s;

-- name: make_hits
-- Reference objects found at sources, before conflicts are looked for.
CREATE TEMP TABLE hit (
    source_id bigint NOT NULL, catalogue_id smallint NOT NULL, object_id bigint NOT NULL, class text, class_native text,
    origin text NOT NULL, sep_arcsec double precision NOT NULL
) ON COMMIT DROP;

-- name: hits
-- Three sigma of both errors plus the catalogue's tolerance. An object labels the nearest source of each mission only.
INSERT INTO pg_temp.hit
SELECT DISTINCT ON (s.catalogue_id, r.object_id)
       p.id, %(catalogue_id)s, r.object_id, r.class, r.class_native, %(origin)s, p.sep_arcsec
FROM pg_temp.pair AS p
JOIN {haystack} AS r ON r.object_id = p.object_id
JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = p.id
WHERE p.sep_arcsec < 3 * sqrt(s.err_arcsec ^ 2 + r.err_arcsec ^ 2) + %(tolerance_arcsec)s
ORDER BY s.catalogue_id, r.object_id, p.sep_arcsec, p.id;

-- name: store
-- A source with one class keeps its nearest reference object as the label; with two classes it has none, and all its
-- rows say conflict. A reference object of a class that is not ours neither labels nor conflicts.
INSERT INTO {label} (
    run_id, source_id, catalogue_id, object_id, class, class_native, origin, sep_arcsec, status)
SELECT %(run_id)s, source_id, catalogue_id, object_id, class, class_native, origin, sep_arcsec,
       CASE WHEN NOT usable THEN 'unmapped'
            WHEN min(class) FILTER (WHERE usable) OVER same_source
                 <> max(class) FILTER (WHERE usable) OVER same_source THEN 'conflict'
            WHEN row_number() OVER (PARTITION BY source_id, usable ORDER BY sep_arcsec, catalogue_id, object_id) = 1
                 THEN 'used'
            ELSE 'duplicate' END
FROM (SELECT h.*, coalesce(class = ANY (%(classes)s), false) AS usable FROM pg_temp.hit AS h) AS h
WINDOW same_source AS (PARTITION BY source_id);

-- name: count
-- Labels by class, origin and status.
SELECT coalesce(class, class_native, '') AS class, origin, status, count(*) AS sources
FROM {label} GROUP BY 1, 2, 3 ORDER BY 3 DESC, 1, 2;

-- name: positions
-- Position of every source of a run.
SELECT source_id, ra, dec FROM {source};

-- name: make_tables
-- Work tables of every positional join: the positions to search around, the pairs, and counts of objects in rings.
CREATE TEMP TABLE IF NOT EXISTS needle (
    id bigint PRIMARY KEY,
    ra double precision NOT NULL CHECK (ra >= 0 AND ra < 360),
    dec double precision NOT NULL CHECK (dec BETWEEN -90 AND 90),
    -- q3c takes radius -1 for 1, NaN for nothing, and cones beyond 20 degrees were wrong before 2.0.5
    radius_arcsec double precision NOT NULL CHECK (radius_arcsec > 0 AND radius_arcsec < 72000)
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS pair (
    id bigint NOT NULL, object_id bigint NOT NULL, sep_arcsec double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS ring (id bigint PRIMARY KEY, n_objects bigint NOT NULL) ON COMMIT DROP;

-- name: clear
-- Empty a work table before the next search.
TRUNCATE {table};

-- name: join
-- The one place that knows how a q3c join is written: the indexed table last, no other filter in the same WHERE.
INSERT INTO pg_temp.pair (id, object_id, sep_arcsec)
SELECT n.id, h.{haystack_id}, public.q3c_dist(n.ra, n.dec, h.ra, h.dec) * 3600
FROM pg_temp.needle AS n
JOIN {haystack} AS h ON public.q3c_join(n.ra, n.dec, h.ra, h.dec, n.radius_arcsec / 3600)
WHERE n.id > %(after)s AND n.id <= %(upto)s;

-- name: count_ring
-- Objects in a ring around each needle, the radius being the outer one; no pair is written.
INSERT INTO pg_temp.ring (id, n_objects)
SELECT n.id, count(h.ra) FILTER (
    WHERE public.q3c_dist(n.ra, n.dec, h.ra, h.dec) * 3600 > %(inner_arcsec)s)
FROM pg_temp.needle AS n
LEFT JOIN {haystack} AS h ON public.q3c_join(n.ra, n.dec, h.ra, h.dec, n.radius_arcsec / 3600)
WHERE n.id > %(after)s AND n.id <= %(upto)s
GROUP BY n.id;

-- name: rings
-- Counts per needle.
SELECT id, n_objects FROM pg_temp.ring;

-- name: slices
-- Ids that cut the needles into slices of about equal size, for a progress bar and bounded memory.
SELECT id
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, count(*) OVER () AS total FROM pg_temp.needle) AS numbered
WHERE mod(n, %(slice_rows)s) = 0 OR n = total
ORDER BY id;

-- name: positions_near
-- Positions of the objects within reach of any needle, each once. A join of pairs with the haystack by number would
-- read all of it.
SELECT DISTINCT ON (h.object_id) h.ra, h.dec
FROM pg_temp.needle AS n
JOIN {haystack} AS h ON public.q3c_join(n.ra, n.dec, h.ra, h.dec, n.radius_arcsec / 3600)
ORDER BY h.object_id;

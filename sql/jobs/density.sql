-- name: make_counted
-- Counts of a load, to be added to the map.
CREATE TEMP TABLE IF NOT EXISTS counted (
    healpix integer PRIMARY KEY, n_objects integer NOT NULL, occupied_parts bigint NOT NULL
) ON COMMIT DROP;
TRUNCATE pg_temp.counted;

-- name: add
-- Add the counts of a load to the map.
INSERT INTO xcat.density_map AS m (catalogue_id, healpix, n_objects, occupied_parts)
SELECT %(catalogue_id)s, healpix, n_objects, occupied_parts FROM pg_temp.counted
ON CONFLICT (catalogue_id, healpix) DO UPDATE
SET n_objects = m.n_objects + excluded.n_objects, occupied_parts = m.occupied_parts | excluded.occupied_parts;

-- name: exists
-- Whether a catalogue has a map.
SELECT EXISTS (SELECT FROM xcat.density_map WHERE catalogue_id = %(catalogue_id)s);

-- name: cells
-- The map of a catalogue.
SELECT healpix, n_objects, occupied_parts FROM xcat.density_map WHERE catalogue_id = %(catalogue_id)s ORDER BY healpix;

-- name: positions
-- Positions of all objects of a table.
SELECT ra, dec FROM {counted};

-- name: catalogue_positions
-- Positions of all objects of a counterpart catalogue.
SELECT ra, dec FROM xcat.counterpart WHERE catalogue_id = %(catalogue_id)s;

-- name: positions_of_pages
-- Positions of the objects in some pages of a table.
SELECT ra, dec FROM {counted} WHERE ctid >= %(first)s::tid AND ctid < %(last)s::tid;

-- name: size
-- About how many rows a table has, as the last ANALYZE found (-1 without one), and how many pages.
SELECT reltuples::double precision, relpages FROM pg_class WHERE oid = to_regclass(%(counted)s);

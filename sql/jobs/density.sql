-- name: make_counted
-- Where the counts of a load wait to be added to the map.
CREATE TEMP TABLE counted (healpix integer PRIMARY KEY, n_objects integer NOT NULL) ON COMMIT DROP;

-- name: add
-- Add the counts of a load to what the map has.
INSERT INTO xcat.density_map AS m (catalogue_id, healpix, n_objects)
SELECT %(catalogue_id)s, healpix, n_objects FROM pg_temp.counted
ON CONFLICT (catalogue_id, healpix) DO UPDATE SET n_objects = m.n_objects + excluded.n_objects;

-- name: drop_counted
-- The counts are in the map.
DROP TABLE pg_temp.counted;

-- name: exists
-- Whether a catalogue has a map.
SELECT EXISTS (SELECT FROM xcat.density_map WHERE catalogue_id = %(catalogue_id)s);

-- name: cells
-- The map of a catalogue.
SELECT healpix, n_objects FROM xcat.density_map WHERE catalogue_id = %(catalogue_id)s ORDER BY healpix;

-- name: positions
-- Where the objects of a table are.
SELECT ra, dec FROM {counted};

-- name: catalogue_positions
-- Where the objects of a catalogue are.
SELECT ra, dec FROM xcat.counterpart WHERE catalogue_id = %(catalogue_id)s;

-- name: make_centre
-- Positions to count around.
CREATE TEMP TABLE centre (id bigint, ra double precision, dec double precision) ON COMMIT DROP;

-- name: centres
-- The same, to look around.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT id, ra, dec, %(radius_arcsec)s::double precision FROM pg_temp.centre;

-- name: rings
-- What was counted.
SELECT id, n_objects FROM pg_temp.ring;

-- name: drop_centre
-- It has been counted around.
DROP TABLE pg_temp.centre;

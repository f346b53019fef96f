-- name: make_table
-- A counterpart table of the user, for as long as the transaction: what the match reads of xcat.counterpart.
CREATE TEMP TABLE {table} (
    object_id bigint NOT NULL,
    ra double precision NOT NULL CHECK (ra >= 0 AND ra < 360),
    dec double precision NOT NULL CHECK (dec BETWEEN -90 AND 90),
    err_arcsec double precision NOT NULL CHECK (err_arcsec > 0 AND err_arcsec < 3600),
    err_maj_arcsec real, err_min_arcsec real, err_pa_deg real,
    epoch_yr double precision, pmra_mas_yr real, pmdec_mas_yr real
) ON COMMIT DROP;

-- name: add_magnitude
-- A magnitude of such a table.
ALTER TABLE {table} ADD COLUMN {column} real;

-- name: index_table
-- The index that every positional join needs.
CREATE INDEX ON {table} (public.q3c_ang2ipix(ra, dec));

-- name: hypotheses
-- All hypotheses of the rows of a user's table, the most probable first and "none of these" last.
SELECT t.id, p.rank, p.log_bf, coalesce(p.p_single, 'NaN') AS p_single, p.p_any, coalesce(p.p_i, 'NaN') AS p_i,
    p.match_flag, coalesce(c.cutoff, %(cutoff)s::double precision) AS cutoff
FROM pg_temp.posterior AS p
JOIN pg_temp.target AS t USING (no)
LEFT JOIN pg_temp.cut AS c ON c.k = 0 AND c.part = t.part
WHERE NOT t.is_shifted
ORDER BY t.id, p.rank = 0, p.rank;

-- name: members
-- The object of one catalogue in each of these hypotheses, in the same order; 0 where it has none.
SELECT coalesce(p.members[array_position(p.ks, %(k)s::smallint)], 0) AS object_id
FROM pg_temp.posterior AS p
JOIN pg_temp.target AS t USING (no)
WHERE NOT t.is_shifted
ORDER BY t.id, p.rank = 0, p.rank;

-- name: make_wanted
-- Objects of a counterpart table that some hypothesis needs.
CREATE TEMP TABLE IF NOT EXISTS wanted_object (object_id bigint PRIMARY KEY) ON COMMIT DROP;

-- name: wanted
-- All columns of these objects.
SELECT h.*
FROM pg_temp.wanted_object AS w
JOIN {haystack} AS h USING (object_id)
ORDER BY h.object_id;

-- name: field_magnitudes
-- Histogram of a magnitude over the whole of a catalogue; below and above the range count to the first and last bin.
SELECT least(greatest(width_bucket(h.{column}, %(low)s, %(high)s, %(n_bins)s), 1), %(n_bins)s) AS bin,
    count(*) AS n_objects
FROM {haystack} AS h
WHERE h.{column} IS NOT NULL
GROUP BY 1
ORDER BY 1;

-- name: analyze
-- Tell the planner how many rows there are.
ANALYZE {table};

-- name: catalogues
-- Current versions of the catalogues that can hold counterparts.
SELECT catalogue_id, name, definition
FROM xcat.catalogue
WHERE is_current AND kind IN ('optical', 'infrared')
ORDER BY name;

-- name: places
-- Positions of the wanted objects, their epochs (that of the catalogue for those without one, or NaN) and motions.
SELECT h.ra, h.dec, coalesce(h.epoch_yr, %(epoch_yr)s::double precision, 'NaN') AS epoch_yr,
    coalesce(h.pmra_mas_yr::double precision, 0) AS pmra_mas_yr,
    coalesce(h.pmdec_mas_yr::double precision, 0) AS pmdec_mas_yr
FROM pg_temp.wanted_object AS w
JOIN {haystack} AS h USING (object_id)
ORDER BY h.object_id;

-- name: magnitude_range
-- Where nearly all magnitudes of a catalogue lie; the first rows of a large one are enough.
SELECT percentile_disc(0.001) WITHIN GROUP (ORDER BY x.value), percentile_disc(0.999) WITHIN GROUP (ORDER BY x.value)
FROM (SELECT h.{column} AS value FROM {haystack} AS h WHERE h.{column} IS NOT NULL
      ORDER BY h.object_id LIMIT 200000) AS x;

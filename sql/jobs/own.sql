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

-- name: make_like
-- A temporary table with the columns of one of the schema.
CREATE TEMP TABLE {table} (LIKE {parent}) ON COMMIT DROP;

-- name: identify
-- The rows of a user's table number their own sources.
INSERT INTO pg_temp.own_source_identity (source_id, catalogue, mission_source, first_run_id)
SELECT object_id, %(catalogue)s, native_id, %(run_id)s FROM {detection};

-- name: drop_merge
-- Work tables that later stages need under other columns.
DROP TABLE pg_temp.member, pg_temp.component;

-- name: index_sources
-- Sources are searched for by position, and looked up by number.
CREATE UNIQUE INDEX ON pg_temp.own_source (source_id);
CREATE INDEX ON pg_temp.own_source (public.q3c_ang2ipix(ra, dec));

-- name: index_match
-- The properties are looked up source by source.
CREATE UNIQUE INDEX ON pg_temp.own_match (source_id, catalogue_id);

-- name: targets
-- The rows as the match wants them.
SELECT source_id, ra, dec, err_arcsec, coalesce(err_maj_arcsec, 'NaN'), coalesce(err_min_arcsec, 'NaN'),
       coalesce(err_pa_deg, 'NaN'), coalesce(epoch_yr, 'NaN')
FROM pg_temp.own_source
ORDER BY source_id;

-- name: chances
-- Probability of a counterpart in any of the catalogues.
SELECT source_id, 1 - p_hypothesis::double precision AS p_any
FROM pg_temp.own_hypothesis
WHERE rank = 0
ORDER BY source_id;

-- name: counterparts
-- The accepted counterparts in one catalogue.
SELECT m.source_id, o.native_id, c.sep_arcsec, m.p_any{magnitudes}
FROM pg_temp.own_match AS m
JOIN pg_temp.own_match_candidate AS c ON c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id AND c.is_best
JOIN {counterpart} AS o ON o.object_id = c.object_id
WHERE m.accepted AND m.catalogue_id = %(catalogue_id)s
ORDER BY m.source_id;

-- name: counterpart_magnitude
-- One of their magnitudes.
, o.{name}

-- name: needles
-- The rows, with a search radius from their error and the largest one of what is searched.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec,
       least(%(n_sigma)s * sqrt(err_arcsec ^ 2 + (SELECT coalesce(max(err_arcsec), 0) FROM {haystack}) ^ 2)
             + %(tolerance_arcsec)s, 60)
FROM pg_temp.own_source;

-- name: published_sources
-- Of every mission of the published run the source that agrees best with the position.
SELECT DISTINCT ON (p.id, c.catalogue)
       p.id AS row_number, c.source_id, c.name, c.catalogue, c.master_id, p.sep_arcsec, c.class, c.p_class,
       c.known_class, p.sep_arcsec / sqrt(s.err_arcsec ^ 2 + c.err_arcsec ^ 2) AS sigmas
FROM pg_temp.pair AS p
JOIN pg_temp.own_source AS s ON s.source_id = p.id
JOIN {classified} AS c ON c.source_id = p.object_id
WHERE p.sep_arcsec < %(n_sigma)s * sqrt(s.err_arcsec ^ 2 + c.err_arcsec ^ 2)
ORDER BY p.id, c.catalogue, sigmas, c.source_id;

-- name: make_known
-- Objects of known class at the positions of the rows.
CREATE TEMP TABLE own_known (
    row_number bigint NOT NULL, place integer NOT NULL, origin text NOT NULL, class text, name text,
    sep_arcsec double precision NOT NULL, class_native text
) ON COMMIT DROP;

-- name: find_known
-- Those of one reference catalogue, within three sigma of both errors plus the catalogue's tolerance.
INSERT INTO pg_temp.own_known
SELECT p.id, %(place)s, %(origin)s, r.class, coalesce(r.name, r.native_id), p.sep_arcsec, r.class_native
FROM pg_temp.pair AS p
JOIN pg_temp.own_source AS s ON s.source_id = p.id
JOIN {reference} AS r ON r.object_id = p.object_id
WHERE r.class <> ''
  AND p.sep_arcsec < %(n_sigma)s * sqrt(s.err_arcsec ^ 2 + r.err_arcsec ^ 2) + %(tolerance_arcsec)s;

-- name: known_objects
-- Of every row the object of the first catalogue, and of that the nearest; and whether all agree on the class.
SELECT DISTINCT ON (row_number) row_number, origin, class, name, sep_arcsec,
       min(class) OVER each_row = max(class) OVER each_row AS agree
FROM pg_temp.own_known
WINDOW each_row AS (PARTITION BY row_number)
ORDER BY row_number, place, sep_arcsec, name;

-- name: cut_out_needles
-- The rows, with one search radius.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec, %(radius_arcsec)s FROM pg_temp.own_source;

-- name: paired
-- Rows that the search has found anything for.
SELECT DISTINCT id FROM pg_temp.pair ORDER BY id;

-- name: brightness
-- Flux of the rows in the band that all missions are compared in, its log, and where they are in the Galaxy.
SELECT source_id, coalesce(flux_std_cgs, 'NaN')::double precision,
       CASE WHEN flux_std_cgs > 0 THEN log(flux_std_cgs)::double precision ELSE 'NaN' END, abs(glat), glon, ra, dec
FROM pg_temp.own_source
ORDER BY source_id;

-- name: model_properties
-- The properties of a model, in its order.
SELECT array_agg(term ORDER BY term_id) FROM xcat.model_term WHERE run_id = %(model_run_id)s AND NOT is_pair;

-- name: explained_source
-- One row of a user's table as a source of a classify run is explained; it is in no test sample.
SELECT s.run_id, s.source_id, s.name, %(label)s::text AS catalogue, s.ra, s.dec, s.err_arcsec, s.glon, s.glat,
       s.mjd_first, s.mjd_last, s.n_detections, s.flux_cgs, s.flux_err_cgs, s.flux_std_cgs, s.snr, s.det_likelihood,
       s.flux_ratio, s.flux_ratio_low, s.extent_arcsec, s.quality_flag, s.flaws, s.n_flawed, s.flux_is_doubtful,
       p.has_optical, p.has_infrared, p.has_spectrum, p.is_classifiable, NULL::boolean AS in_test_sample
FROM pg_temp.own_source AS s
JOIN pg_temp.own_property AS p USING (source_id);

-- name: labels
-- All known objects at the position of one row.
SELECT class, class_native, origin, sep_arcsec, 'used' AS status, name
FROM pg_temp.own_known
ORDER BY place, sep_arcsec, name;

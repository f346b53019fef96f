-- name: reference_sample
-- Labelled sources with their properties; a missing value is NaN here, since COPY out wants fixed widths.
-- The group is a cell of 1.4 degrees on the sky (q3c's pixels, 48 bits coarser): the pointings of a survey make spikes
-- in every distribution over the sky, so sources of one field stay in one fold, and so do two missions' views of one.
SELECT source_id, (array_position(%(classes)s::text[], l.class) - 1)::integer AS class_index,
       public.q3c_ang2ipix(s.ra, s.dec) >> 48 AS sky_cell, {values}
FROM xcat.label AS l
JOIN xcat.property AS p USING (source_id)
JOIN xcat.source AS s USING (source_id)
WHERE s.run_id = %(source_run_id)s AND l.run_id = %(label_run_id)s AND p.run_id = %(property_run_id)s AND l.status = 'used'
  AND l.class = ANY (%(classes)s::text[])
ORDER BY source_id;

-- name: add_model
-- What a fit run made.
INSERT INTO xcat.model (run_id, classes, priors, n_reference, categories, weights, properties, property_category,
                        sharpness, offsets, outlier_limit)
VALUES (%(run_id)s, %(classes)s, %(priors)s, %(n_reference)s, %(categories)s, %(weights)s, %(properties)s,
        %(property_category)s, %(sharpness)s, %(offsets)s, %(outlier_limit)s);

-- name: add_table
-- The density of a property in a class.
INSERT INTO xcat.likelihood_table (run_id, property, category, class, grid, log_density, tail_slope, exponent,
                                   log_present, log_missing, bandwidth, n_present)
VALUES (%(run_id)s, %(property)s, %(category)s, %(class)s, %(grid)s, %(log_density)s, %(tail_slope)s, %(exponent)s,
        %(log_present)s, %(log_missing)s, %(bandwidth)s, %(n_present)s);

-- name: model
-- A model's row.
SELECT classes, priors, n_reference, categories, weights, properties, property_category, sharpness, offsets, outlier_limit
FROM xcat.model WHERE run_id = %(run_id)s;

-- name: tables
-- A model's tables.
SELECT property, class, grid, log_density, tail_slope, exponent, log_present, log_missing, bandwidth, n_present
FROM xcat.likelihood_table WHERE run_id = %(run_id)s;

-- name: out_of_fold
-- Out-of-fold posteriors of a fit run.
SELECT source_id, class, fold, p, outlier FROM xcat.out_of_fold WHERE run_id = %(run_id)s ORDER BY source_id;

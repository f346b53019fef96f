-- name: reference_sample
-- Labelled sources with their properties; a missing value is NaN, because COPY out needs fixed widths.
-- The group is a cell of 1.4 degrees on the sky (q3c's pixels, 48 bits coarser): the pointings of a survey make spikes
-- in every distribution over the sky, so sources of one field, and detections of one source, stay in one fold.
SELECT source_id, (array_position(%(classes)s::text[], l.class) - 1)::integer AS class_index,
       public.q3c_ang2ipix(s.ra, s.dec) >> 48 AS sky_cell, is_classifiable, {values}
FROM xcat.label AS l
JOIN xcat.property AS p USING (source_id)
JOIN xcat.source AS s USING (source_id)
WHERE s.run_id = %(source_run_id)s AND l.run_id = %(label_run_id)s AND p.run_id = %(property_run_id)s
  AND l.status = 'used' AND l.class = ANY (%(classes)s::text[])
ORDER BY source_id;

-- name: reference_hypotheses
-- Counterpart hypotheses of the labelled sources.
SELECT p.source_id, p.p_hypothesis, {values}
FROM xcat.hypothesis_property AS p
JOIN xcat.label AS l USING (source_id)
WHERE p.run_id = %(property_run_id)s AND l.run_id = %(label_run_id)s AND l.status = 'used'
  AND l.class = ANY (%(classes)s::text[])
ORDER BY source_id, p.rank;

-- name: add_model
-- The model of a fit run.
INSERT INTO xcat.model (run_id, weighting, sharpness, smoothing, inverse_ridge, outlier_p)
VALUES (%(run_id)s, %(weighting)s, %(sharpness)s, %(smoothing)s, %(inverse_ridge)s, %(outlier_p)s);

-- name: add_class
-- A class of a model.
INSERT INTO xcat.model_class (run_id, class_id, class, prior, log_offset, n_reference, outlier_levels)
VALUES (%(run_id)s, %(class_id)s, %(class)s, %(prior)s, %(log_offset)s, %(n_reference)s, %(outlier_levels)s);

-- name: add_category
-- A category of a model.
INSERT INTO xcat.model_category (run_id, category_id, category, weight)
VALUES (%(run_id)s, %(category_id)s, %(category)s, %(weight)s);

-- name: add_term
-- A property of a model, or a pair of them.
INSERT INTO xcat.model_term (run_id, term_id, term, category, is_pair)
VALUES (%(run_id)s, %(term_id)s, %(term)s, %(category)s, %(is_pair)s);

-- name: add_table
-- The table of a property, or of a pair of properties, in a class.
INSERT INTO xcat.likelihood_table (
    run_id, property, axes, scales, category, class, grid, grid_2, log_density, log_smeared, log_atoms, log_above,
    tail_slope, mixing, log_present, log_missing, bandwidth, typical_error, n_present, error_column, limit_column,
    observed_column)
VALUES (%(run_id)s, %(property)s, %(axes)s, %(scales)s, %(category)s, %(class)s, %(grid)s, %(grid_2)s, %(log_density)s,
        %(log_smeared)s, %(log_atoms)s, %(log_above)s, %(tail_slope)s, %(mixing)s, %(log_present)s, %(log_missing)s,
        %(bandwidth)s, %(typical_error)s, %(n_present)s, %(error_column)s, %(limit_column)s, %(observed_column)s);

-- name: model
-- A model's row.
SELECT weighting, sharpness, smoothing, inverse_ridge, outlier_p FROM xcat.model WHERE run_id = %(run_id)s;

-- name: model_classes
-- A model's classes in order.
SELECT class, prior, log_offset, n_reference, outlier_levels
FROM xcat.model_class WHERE run_id = %(run_id)s ORDER BY class_id;

-- name: model_categories
-- A model's categories in order.
SELECT category, weight FROM xcat.model_category WHERE run_id = %(run_id)s ORDER BY category_id;

-- name: model_terms
-- A model's terms in order.
SELECT term, is_pair FROM xcat.model_term WHERE run_id = %(run_id)s ORDER BY term_id;

-- name: tables
-- A model's tables.
SELECT property, class, axes, category, grid, grid_2, log_density, log_smeared, log_atoms, log_above, tail_slope,
       mixing, log_present, log_missing, bandwidth, typical_error, n_present
FROM xcat.likelihood_table WHERE run_id = %(run_id)s;

-- name: out_of_fold
-- Out-of-fold posteriors of a fit run.
SELECT source_id, known_class, fold, p, outlier FROM xcat.out_of_fold WHERE run_id = %(run_id)s ORDER BY source_id;

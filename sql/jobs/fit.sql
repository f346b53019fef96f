-- name: reference_sample
-- Labelled sources with their properties; a missing value is NaN, because COPY out needs fixed widths.
-- The group is a cell of 1.4 degrees on the sky (q3c's pixels, 48 bits coarser): the pointings of a survey make spikes
-- in every distribution over the sky, so sources of one field, and detections of one source, stay in one fold.
SELECT source_id, (array_position(%(classes)s::text[], l.class) - 1)::integer AS class_index,
       coalesce(array_position(%(kinds)s::text[], l.class_kind), 0) AS kind,
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

-- name: part
-- Rows of a model in one of its tables, in order.
SELECT * FROM {part} WHERE run_id = %(run_id)s ORDER BY {number};

-- name: tables
-- A model's tables.
SELECT property, class, axes, category, grid, grid_2, log_density, log_smeared, log_atoms, log_above, tail_slope,
       mixing, log_present, log_missing, bandwidth, typical_error, n_present, absence_columns
FROM xcat.likelihood_table WHERE run_id = %(run_id)s;

-- name: replicates
-- What the replicates of a model change in its terms, all places of a term together, in PostgreSQL's binary form.
SELECT property, string_agg(array_send(changes), '' ORDER BY place) AS changes
FROM xcat.likelihood_replicate WHERE run_id = %(run_id)s GROUP BY property;

-- name: out_of_fold
-- Out-of-fold posteriors of a fit run.
SELECT source_id, known_class, fold, p, outlier FROM xcat.out_of_fold WHERE run_id = %(run_id)s ORDER BY source_id;

-- name: may_store
-- Whether this session's user may store a model here; not on a standby, and not if the user only reads.
SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'
   AND has_table_privilege('xcat.run', 'INSERT') AND has_table_privilege('xcat.run', 'UPDATE')
   AND has_table_privilege('xcat.run', 'DELETE')
   AND (SELECT bool_and(has_table_privilege('xcat.' || name, 'INSERT'))
        FROM unnest('{{model,model_class,model_category,model_term,likelihood_table,likelihood_replicate}}'::text[])
            AS t (name));

-- name: one_at_hand
-- Held while a model is refitted: who asks for the same one waits for it. Released with the session.
SELECT pg_advisory_lock(hashtext('xcat.at_hand'), hashtext(%(config_key)s));

-- name: newest
-- The newest finished fit of a pipeline.
SELECT max(run_id) FROM xcat.run
WHERE kind = 'fit' AND name = %(name)s AND status = 'done' AND model_run_id IS NULL;

-- name: priors
-- Priors of the classes of a model, in its order.
SELECT coalesce(part_of, class) AS class, sum(prior) AS prior
FROM xcat.model_class WHERE run_id = %(run_id)s GROUP BY 1 ORDER BY min(class_id);

-- name: places
-- Where all sources are, for number counts that depend on it.
SELECT source_id, ra, dec, glon FROM xcat.source WHERE run_id = %(source_run_id)s ORDER BY source_id;

-- name: properties
-- The properties of a model.
SELECT term FROM xcat.model_term WHERE run_id = %(run_id)s AND NOT is_pair ORDER BY term_id;

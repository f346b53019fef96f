-- name: origins
-- Comments of the table columns from which the columns of a result come.
SELECT d.objoid::bigint, d.objsubid, d.description
FROM pg_description AS d
JOIN unnest(%(tables)s::bigint[], %(columns)s::integer[]) AS o (table_oid, column_number)
  ON d.objoid = o.table_oid::oid AND d.objsubid = o.column_number
WHERE d.classoid = 'pg_class'::regclass;

-- name: classify_run
-- A finished classify run: that with this number, or else the published one.
SELECT r.run_id, r.name, r.started_at, r.source_run_id, r.link_run_id, r.match_run_id, r.property_run_id,
       r.label_run_id, r.model_run_id,
       CASE WHEN r.config ? 'frozen_run_id' THEN r.run_id ELSE r.model_run_id END AS held_out_run_id,
       xcat.answers_of(r.model_run_id) AS classes,
       EXISTS (SELECT FROM xcat.publication AS p WHERE p.run_id = r.run_id) AS is_in_pub
FROM xcat.run AS r
WHERE r.kind = 'classify' AND r.status = 'done' AND r.run_id = coalesce(%(run_id)s, pub.published_run());

-- name: may_read_runs
-- Whether the present user may read the books; who only reads pub may not.
SELECT has_table_privilege('xcat.run', 'SELECT') AS may_read;

-- name: classify_run_in_pub
-- The same, of the runs in pub, for who only reads pub.
SELECT run_id, name, ended_at AS started_at, source_run_id, link_run_id, match_run_id, property_run_id, label_run_id,
       model_run_id, classes, true AS is_in_pub
FROM pub.runs WHERE run_id = coalesce(%(run_id)s, pub.published_run());

-- name: published_run
-- The published run and its model, as everyone may know who reads pub.
SELECT run_id, model_run_id FROM pub.runs WHERE is_published;

-- name: loaded_catalogues
-- Catalogues that are loaded, in their current version, with the files that it holds.
SELECT k.name, k.kind, k.definition ->> 'title' AS title, k.version, coalesce(sum(f.n_rows), 0)::bigint AS n_rows,
       coalesce(array_agg(f.file_name ORDER BY f.file_id) FILTER (WHERE f.file_id IS NOT NULL), '{{}}') AS files
FROM xcat.catalogue AS k
LEFT JOIN xcat.catalogue_content AS c USING (catalogue_id)
LEFT JOIN xcat.catalogue_file AS f USING (file_id)
WHERE k.is_current
GROUP BY k.catalogue_id
ORDER BY k.name;

-- name: candidates
-- Objects that may be of a class, or all their sources, the surest first: probability times stability; of a source
-- whose class is another one, times the rest. Ties, frequent where both are 1, are in an order that depends on the data
-- alone, so that a limit gives the same rows in every database.
SELECT source_id, name, ra, dec, p_class, p_class_err, stability, margin, confidence, p_tail, is_outlier,
       other_missions, flux_cgs, n_detections, n_missing, alternative, class, catalogue, n_missions, missions_agree,
       is_ambiguous, is_best_of_master, snr, known_class, origin, known_class_of_master, is_out_of_fold, err_arcsec,
       flux_err_cgs, extent_arcsec, quality_flag, flux_is_doubtful, flaws, in_test_sample, {classes}, abs_b, pm_mas_yr,
       sep_to_radius, hr1, hr2, gamma, log_fx_fb, log_fx_fr, log_fx_fw1, log_fx_fw2, log_flux_ratio,
       log_flux_ratio_low, flux_ratio_sigma, p_variable, outlier, optical_catalogue, optical_native_id,
       infrared_catalogue, infrared_native_id, master_id, run_id
FROM {classified}
WHERE {p} >= %(min_probability)s AND (is_best_of_master OR %(every_mission)s)
  AND (known_class_of_master IS NULL OR %(include_known)s) {near}
ORDER BY {p} * coalesce(CASE WHEN class = %(class)s THEN stability ELSE 1 - stability END, 1) DESC, {p} DESC,
         margin DESC, catalogue COLLATE "C", name COLLATE "C", ra, dec, source_id
LIMIT %(limit)s;

-- name: expected_members
-- How many objects, and how many members of a class among them, have each probability, in steps of a thousandth; the
-- most probable first.
SELECT count(*) AS n, sum({p}::double precision) AS members
FROM {classified}
WHERE {p} IS NOT NULL AND (is_best_of_master OR %(every_mission)s)
  AND (known_class_of_master IS NULL OR %(include_known)s) {near}
GROUP BY floor({p} * 1000)
ORDER BY floor({p} * 1000) DESC;

-- name: count_candidates
-- Number of candidates without a limit, and of members of the class that their probabilities let expect.
SELECT count(*) AS n, coalesce(sum({p}::double precision), 0) AS members
FROM {classified}
WHERE {p} >= %(min_probability)s AND (is_best_of_master OR %(every_mission)s)
  AND (known_class_of_master IS NULL OR %(include_known)s) {near};

-- name: near
-- Clause for a cone. It is the only condition of its WHERE, so that q3c's index is used.
AND source_id IN (
    WITH near AS MATERIALIZED (
        SELECT s.source_id FROM {classified} AS s
        WHERE pub.in_cone(s.ra, s.dec, %(ra)s, %(dec)s, %(radius_deg)s)
    )
    SELECT source_id FROM near);

-- name: by_id
-- The source with this number.
SELECT source_id FROM xcat.source WHERE run_id = %(source_run_id)s AND source_id = %(source_id)s;

-- name: by_whole_name
-- Sources with this name; case and blanks do not matter.
SELECT s.source_id, s.name, k.name AS catalogue
FROM {source} AS s JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE lower(regexp_replace(s.name, '\s', '', 'g')) = %(key)s
ORDER BY k.name COLLATE "C", s.ra, s.dec, s.source_id
LIMIT 12;

-- name: by_name
-- Sources whose name contains the given one; case and blanks do not matter.
SELECT s.source_id, s.name, k.name AS catalogue
FROM {source} AS s JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE strpos(lower(regexp_replace(s.name, '\s', '', 'g')), %(key)s) > 0
ORDER BY s.name COLLATE "C", k.name COLLATE "C", s.ra, s.dec, s.source_id
LIMIT 12;

-- name: names_beside
-- Names before and after the given one in alphabetical order.
(SELECT name, -row_number() OVER (ORDER BY lower(regexp_replace(name, '\s', '', 'g')) DESC) AS place
 FROM {source} WHERE lower(regexp_replace(name, '\s', '', 'g')) < %(key)s ORDER BY 2 DESC LIMIT 3)
UNION ALL
(SELECT name, row_number() OVER (ORDER BY lower(regexp_replace(name, '\s', '', 'g'))) AS place
 FROM {source} WHERE lower(regexp_replace(name, '\s', '', 'g')) >= %(key)s ORDER BY 2 LIMIT 3)
ORDER BY place;

-- name: source
-- One source of a classify run: its row, and whether it is in the test sample.
SELECT s.source_id, s.name, k.name AS catalogue, s.ra, s.dec, s.err_arcsec, s.glon, s.glat, s.mjd_first, s.mjd_last,
       s.n_detections, s.flux_cgs, s.flux_err_cgs, s.flux_std_cgs, s.snr, s.det_likelihood, s.flux_ratio,
       s.flux_ratio_low, s.extent_arcsec, s.quality_flag, s.flaws, s.n_flawed, s.flux_is_doubtful,
       p.has_optical, p.has_infrared, p.has_spectrum, p.is_classifiable,
       xcat.in_test_sample(p.is_classifiable, l.class) AS in_test_sample
FROM xcat.source AS s
JOIN xcat.catalogue AS k USING (catalogue_id)
JOIN xcat.property AS p ON p.source_id = s.source_id AND p.run_id = %(property_run_id)s
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = s.source_id AND l.status = 'used'
WHERE s.run_id = %(source_run_id)s AND s.source_id = %(source_id)s;

-- name: decision
-- Classification of one source by a classify run.
SELECT class, p, p_err, margin, confidence, stability, outlier, p_tail, is_outlier, n_missing
FROM xcat.classification WHERE run_id = %(run_id)s AND source_id = %(source_id)s;

-- name: decision_out_of_fold
-- Classification of one labelled source by tables fitted without it, with its fold and the number of folds.
SELECT class, p, p_err, margin, confidence, stability, outlier, p_tail, is_outlier, n_missing, fold,
       (SELECT max(fold) FROM xcat.out_of_fold WHERE run_id = %(model_run_id)s) AS n_folds
FROM xcat.out_of_fold WHERE run_id = %(held_out_run_id)s AND source_id = %(source_id)s;

-- name: property_rows
-- The properties of some sources as input of the classifier.
SELECT source_id, {values}
FROM xcat.property AS p
WHERE run_id = %(property_run_id)s AND source_id = ANY (%(source_ids)s::bigint[])
ORDER BY source_id;

-- name: hypothesis_rows
-- The properties of the counterpart hypotheses of one source as input of the classifier.
SELECT source_id, rank, p_hypothesis, {values}
FROM {hypothesis_property} AS p
WHERE run_id = %(property_run_id)s AND source_id = %(source_id)s
ORDER BY rank;

-- name: terms
-- The terms of a model, in the order of the evidence.
SELECT term FROM xcat.model_term WHERE run_id = %(model_run_id)s ORDER BY term_id;

-- name: reference_evidence
-- Evidence of all labelled sources of a fit.
SELECT o.source_id, c.evidence
FROM xcat.out_of_fold AS o
JOIN xcat.classification AS c ON c.run_id = %(run_id)s AND c.source_id = o.source_id
WHERE o.run_id = %(model_run_id)s
ORDER BY o.source_id;

-- name: reference_sources
-- Some labelled sources of a fit, with their out-of-fold probabilities.
SELECT o.source_id, s.name, k.name AS catalogue, o.known_class, o.p
FROM xcat.out_of_fold AS o
JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = o.source_id
JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE o.run_id = %(model_run_id)s AND o.source_id = ANY (%(source_ids)s::bigint[]);

-- name: counterparts
-- The best candidate of one source in every catalogue, and whether the properties were computed with it.
SELECT k.name AS catalogue, k.kind, o.native_id, c.sep_arcsec, c.p_i, m.p_any, m.n_candidates, m.accepted, m.covered,
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(o))
        WHERE key LIKE 'mag%%' AND value <> 'null') AS magnitudes
FROM {match} AS m
JOIN xcat.catalogue AS k USING (catalogue_id)
LEFT JOIN {match_candidate} AS c
       ON c.run_id = m.run_id AND c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id AND c.is_best
LEFT JOIN xcat.counterpart AS o ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id
WHERE m.run_id = %(match_run_id)s AND m.source_id = %(source_id)s
ORDER BY k.kind DESC,
         (SELECT x.place  -- as the pipeline names them
          FROM xcat.run AS r
          CROSS JOIN jsonb_array_elements(coalesce(r.config -> 'counterparts', '[]')) WITH ORDINALITY AS x (item, place)
          WHERE r.run_id = %(property_run_id)s AND x.item ->> 'catalogue' = k.name),
         k.name COLLATE "C";

-- name: hypotheses
-- "None" and the most probable hypotheses of one source, with their members. All members are within the search radius,
-- so the separation is that of the candidate.
SELECT h.rank, h.p_hypothesis, h.p_i, h.match_flag, coalesce(m.members, '[]') AS members
FROM {hypothesis} AS h
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'catalogue', k.name, 'native_id', o.native_id, 'sep_arcsec', c.sep_arcsec, 'magnitudes',
               (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(o))
                WHERE key LIKE 'mag%%' AND value <> 'null')) ORDER BY u.i) AS members
    FROM unnest(h.catalogues, h.objects) WITH ORDINALITY AS u (catalogue_id, object_id, i)
    JOIN xcat.catalogue AS k ON k.catalogue_id = u.catalogue_id
    JOIN xcat.counterpart AS o ON o.catalogue_id = u.catalogue_id AND o.object_id = u.object_id
    LEFT JOIN {match_candidate} AS c
           ON c.run_id = %(match_run_id)s AND c.source_id = %(source_id)s
          AND c.catalogue_id = u.catalogue_id AND c.object_id = u.object_id) AS m ON true
WHERE h.run_id = %(match_run_id)s AND h.source_id = %(source_id)s AND h.rank <= %(most)s
ORDER BY h.rank;

-- name: count_hypotheses
-- Number of the kept hypotheses of one source without "none", and the sum of their probabilities with it.
SELECT count(*) FILTER (WHERE rank > 0) AS n_hypotheses, sum(p_hypothesis)::double precision AS p_kept
FROM {hypothesis} WHERE run_id = %(match_run_id)s AND source_id = %(source_id)s;

-- name: master
-- The master source of one source, with the combined results of its missions.
SELECT b.status, b.mission_rank, m.master_id, m.n_missions, m.n_sources, m.n_detections, m.n_upper_limits,
       m.is_ambiguous, m.mjd_first, m.mjd_last, m.flux_std_min_cgs, m.flux_std_max_cgs, m.flux_ratio, m.flux_ratio_low,
       m.flux_ratio_sigma
FROM xcat.master_source AS b
JOIN xcat.master AS m ON m.run_id = b.run_id AND m.master_id = b.master_id
WHERE b.run_id = %(link_run_id)s AND b.source_id = %(source_id)s;

-- name: other_members
-- The other sources of a master source, or those that an ambiguous source may be identical to, and what they are.
SELECT s.source_id, s.name, k.name AS catalogue, public.q3c_dist(x.ra, x.dec, s.ra, s.dec) * 3600 AS sep_arcsec,
       s.n_detections, s.flux_std_cgs, b.relation, o.mission_rank, d.class,
       d.p[array_position(xcat.answers_of(%(model_run_id)s), d.class)]::double precision AS p_class,
       l.class AS known_class
FROM (
    SELECT source_id, 'member' AS relation FROM xcat.master_source
    WHERE run_id = %(link_run_id)s AND master_id = %(master_id)s AND source_id <> %(source_id)s
    UNION ALL
    SELECT other_source_id, 'ambiguous' FROM xcat.source_link
    WHERE run_id = %(link_run_id)s AND source_id = %(source_id)s AND status = 'ambiguous'
    UNION ALL
    SELECT source_id, 'ambiguous' FROM xcat.source_link
    WHERE run_id = %(link_run_id)s AND other_source_id = %(source_id)s AND status = 'ambiguous') AS b
JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = b.source_id
JOIN xcat.source AS x ON x.run_id = %(source_run_id)s AND x.source_id = %(source_id)s
JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
JOIN xcat.master_source AS o ON o.run_id = %(link_run_id)s AND o.source_id = s.source_id
JOIN xcat.classification AS c ON c.run_id = %(run_id)s AND c.source_id = s.source_id
LEFT JOIN xcat.out_of_fold AS f ON f.run_id = %(held_out_run_id)s AND f.source_id = s.source_id
CROSS JOIN LATERAL (SELECT coalesce(f.class, c.class) AS class, coalesce(f.p, c.p) AS p) AS d
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = s.source_id AND l.status = 'used'
ORDER BY b.relation DESC, o.mission_rank, sep_arcsec, k.name COLLATE "C", s.name COLLATE "C";

-- name: labels
-- Entries of reference catalogues for one source.
SELECT l.class, l.class_native, l.origin, l.sep_arcsec, l.status, r.name
FROM xcat.label AS l
LEFT JOIN xcat.reference_object AS r ON r.catalogue_id = l.catalogue_id AND r.object_id = l.object_id
WHERE l.run_id = %(label_run_id)s AND l.source_id = %(source_id)s
ORDER BY l.status <> 'used', l.sep_arcsec, l.origin COLLATE "C", r.native_id;

-- name: classify_run_of_model
-- The newest classify run that used a model.
SELECT max(run_id) FROM xcat.run WHERE kind = 'classify' AND status = 'done' AND model_run_id = %(run_id)s;

-- name: classify_run_of_pipeline
-- The classify run of a pipeline run: that in its summary, since it may have reused an earlier one.
SELECT coalesce((SELECT (summary -> 'runs' ->> 'classify')::integer FROM xcat.run WHERE run_id = %(run_id)s),
                (SELECT max(run_id) FROM xcat.run
                 WHERE kind = 'classify' AND status = 'done' AND pipeline_run_id = %(run_id)s));

-- name: is_published
-- Whether the views show this run.
SELECT EXISTS (SELECT FROM xcat.publication WHERE active AND run_id = %(run_id)s);

-- name: conflicts
-- Sources for which reference catalogues disagree, by the conflicting classes.
SELECT classes, count(*) AS sources
FROM (SELECT source_id, string_agg(DISTINCT class, ' / ' ORDER BY class) AS classes
      FROM xcat.label
      WHERE run_id = %(label_run_id)s AND status = 'conflict' GROUP BY source_id) AS each_source
GROUP BY classes ORDER BY sources DESC, classes;

-- name: stages
-- A classify run and the runs that it depends on.
SELECT run_id, kind, status, started_at,
       extract(epoch FROM ended_at - started_at)::double precision AS seconds, config, summary
FROM xcat.run WHERE run_id = ANY (%(run_ids)s) ORDER BY run_id;

-- name: files
-- Files of a report: those of the versions of the catalogues that its runs read.
SELECT k.name AS catalogue, k.version, k.kind, k.definition ->> 'title' AS title, f.file_name, f.n_rows, f.n_rejected,
       extract(epoch FROM r.ended_at - r.started_at)::double precision AS seconds, left(f.sha256, 12) AS sha256
FROM xcat.catalogue AS k
JOIN xcat.catalogue_content AS c USING (catalogue_id)
JOIN xcat.catalogue_file AS f USING (file_id)
JOIN xcat.run AS r USING (run_id)
WHERE k.catalogue_id IN (SELECT catalogue_id FROM xcat.run_catalogue WHERE run_id = ANY (%(run_ids)s))
ORDER BY array_position(%(catalogues)s::text[], k.name), k.name COLLATE "C", f.file_id;

-- name: rejects
-- Reasons why rows of the files were rejected.
SELECT k.name AS catalogue, r.reason, r.column_name, count(*) AS n_rows, min(r.value) AS example
FROM xcat.catalogue AS k
JOIN xcat.catalogue_content AS c USING (catalogue_id)
JOIN xcat.reject AS r USING (file_id)
WHERE k.catalogue_id IN (SELECT catalogue_id FROM xcat.run_catalogue WHERE run_id = ANY (%(run_ids)s))
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3;

-- name: sky
-- Position and class number of all sources, or of the given ones.
SELECT s.glon, s.glat, array_position(%(classes)s::text[], coalesce(o.class, c.class)) AS class_id
FROM {classification} AS c
JOIN {source} AS s ON s.source_id = c.source_id
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = c.source_id
WHERE %(source_ids)s::bigint[] IS NULL OR s.source_id = ANY (%(source_ids)s::bigint[])
ORDER BY s.ra, s.dec;

-- name: p_any
-- Histograms of p_any in twenty bins, per mission and catalogue.
SELECT x.name AS mission, k.name AS catalogue, k.kind, least(19, floor(m.p_any * 20))::integer AS bin,
       count(*) AS sources, count(*) FILTER (WHERE m.n_candidates > 0) AS with_candidates,
       sum(m.n_candidates)::bigint AS candidates, count(*) FILTER (WHERE m.accepted) AS accepted,
       sum(m.p_any::double precision) AS sum_p_any, sum(m.density_per_deg2) AS sum_density,
       max(m.completeness)::double precision AS completeness
FROM {match} AS m
JOIN {source} AS s USING (source_id)
JOIN xcat.catalogue AS k ON k.catalogue_id = m.catalogue_id
JOIN xcat.catalogue AS x ON x.catalogue_id = s.catalogue_id
WHERE m.covered > 0
GROUP BY x.catalogue_id, x.name, k.catalogue_id, k.name, k.kind, bin
ORDER BY array_position(%(catalogues)s::text[], x.name), x.name COLLATE "C",
         array_position(%(catalogues)s::text[], k.name), k.name COLLATE "C", bin;

-- name: calibration
-- False matches against the cutoff of p_any, by catalogue and part; catalogue 0, NULL in the table, is all catalogues
-- together.
SELECT coalesce(catalogue_id, 0), part, cutoff, is_chosen, n_sources, n_sources_above, n_shifted, n_shifted_above,
       false_rate,
       coalesce(contamination, 'NaN'), density_low_per_deg2, density_high_per_deg2
FROM xcat.calibration
WHERE run_id = %(run_id)s
ORDER BY 1, part, cutoff, is_chosen;

-- name: magnitude_priors
-- Magnitude priors of counterparts and field, learned or given, by part of the sky: means over its kinds of source.
SELECT catalogue_id, term, part, bin_low, bin_high, sum(n_sources)::integer AS n_sources,
       sum(n_sources * density_counterparts ORDER BY source_kind) / sum(n_sources) AS density_counterparts,
       sum(n_sources * density_field ORDER BY source_kind) / sum(n_sources) AS density_field,
       sum(n_sources * log_ratio ORDER BY source_kind) / sum(n_sources) AS log_ratio
FROM xcat.magnitude_prior
WHERE run_id = %(run_id)s AND n_sources > 0
GROUP BY catalogue_id, term, part, bin_low, bin_high
ORDER BY catalogue_id, term, part, bin_low;

-- name: catalogue_names
-- Names of catalogues.
SELECT catalogue_id, name FROM xcat.catalogue;

-- name: presence
-- Number of sources of each class that have each property.
SELECT coalesce(o.class, c.class) AS class, count(*) AS sources, {counts}
FROM {property} AS p
JOIN {classification} AS c ON c.source_id = p.source_id
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = c.source_id
GROUP BY 1;

-- name: presence_of
-- One column of that.
count(p.{name}) AS {name};

-- name: places_by_catalogue
-- Where the sources of a run are, with the place of their catalogue in the list of those that have any.
SELECT (dense_rank() OVER (ORDER BY catalogue))::integer AS number, ra, dec
FROM pub.classified_runs WHERE run_id = {run_id};

-- name: catalogues_of_sources
-- The catalogues that the sources of a run are from.
SELECT DISTINCT catalogue FROM pub.classified_runs WHERE run_id = {run_id} ORDER BY catalogue;

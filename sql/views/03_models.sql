-- What the classification is based on: classes and terms of the model, its tables, and the reliability of the match.
-- Small, written once by fit and match runs, and never changed; run_id is the classify run.

-- The classes of the models of every published run, or the kinds of its classes
CREATE VIEW pub.model_class_runs AS
SELECT r.run_id, k.class_id, k.class, k.prior, k.log_offset, k.n_reference, k.run_id AS model_run_id, k.part_of
FROM pub.runs AS r JOIN xcat.model_class AS k ON k.run_id = r.model_run_id;

-- The terms of the models of every published run: properties, and pairs of them
CREATE VIEW pub.model_term_runs AS
SELECT r.run_id, t.term_id, t.term, t.category, t.is_pair, t.run_id AS model_run_id
FROM pub.runs AS r JOIN xcat.model_term AS t ON t.run_id = r.model_run_id;

-- The likelihood tables of every published run, one row per node
CREATE VIEW pub.likelihood_density_runs AS
SELECT r.run_id, t.property, t.category, t.class, n.x, exp(n.log_density) AS density, t.run_id AS model_run_id
FROM pub.runs AS r
JOIN xcat.likelihood_table AS t ON t.run_id = r.model_run_id AND cardinality(t.axes) = 1
CROSS JOIN LATERAL unnest(t.grid, t.log_density) AS n (x, log_density);

-- False matches at shifted positions against the cutoff of p_any, by catalogue and part of the sky, in every published
-- run
CREATE VIEW pub.reliability_runs AS
SELECT r.run_id, coalesce(k.name, 'all together') AS catalogue, c.part, c.cutoff, c.is_chosen, c.false_rate,
       c.contamination, c.n_sources, c.n_sources_above, c.n_shifted, c.n_shifted_above, c.density_low_per_deg2,
       c.density_high_per_deg2
FROM pub.runs AS r
JOIN xcat.calibration AS c ON c.run_id = r.match_run_id
LEFT JOIN xcat.catalogue AS k ON k.catalogue_id = c.catalogue_id;

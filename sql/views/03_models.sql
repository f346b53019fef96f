-- What the classification stands on: classes and terms of the model, its tables, and the reliability of the match. Small,
-- written once by fit and match runs, and never changed; run_id is the classify run.
CREATE VIEW pub.model_class_runs AS
SELECT r.run_id, k.class_id, k.class, k.prior, k.log_offset, k.n_reference, k.run_id AS model_run_id
FROM pub.runs AS r JOIN xcat.model_class AS k ON k.run_id = r.model_run_id;
COMMENT ON VIEW pub.model_class_runs IS 'The classes of the models of every published run';

CREATE VIEW pub.model_class AS SELECT * FROM pub.model_class_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.model_class IS 'The classes of the published run''s model';

CREATE VIEW pub.model_term_runs AS
SELECT r.run_id, t.term_id, t.term, t.category, t.is_pair, t.run_id AS model_run_id
FROM pub.runs AS r JOIN xcat.model_term AS t ON t.run_id = r.model_run_id;
COMMENT ON VIEW pub.model_term_runs IS 'The terms of the models of every published run: properties, and pairs of them';

CREATE VIEW pub.model_term AS SELECT * FROM pub.model_term_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.model_term IS 'The terms of the published run''s model: properties, and pairs of them';

CREATE VIEW pub.likelihood_density_runs AS
SELECT r.run_id, t.property, t.category, t.class, n.x, exp(n.log_density) AS density, t.run_id AS model_run_id
FROM pub.runs AS r
JOIN xcat.likelihood_table AS t ON t.run_id = r.model_run_id AND cardinality(t.axes) = 1
CROSS JOIN LATERAL unnest(t.grid, t.log_density) AS n (x, log_density);
COMMENT ON VIEW pub.likelihood_density_runs IS 'The likelihood tables of every published run, one row per node';

CREATE VIEW pub.likelihood_density AS SELECT * FROM pub.likelihood_density_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.likelihood_density IS 'The likelihood tables of the published run, one row per node';

CREATE VIEW pub.reliability_runs AS
SELECT r.run_id, coalesce(k.name, 'all together') AS catalogue, c.part, c.cutoff, c.is_chosen, c.false_rate, c.contamination,
       c.n_sources, c.n_sources_above, c.n_shifted, c.n_shifted_above, c.density_low_per_deg2, c.density_high_per_deg2
FROM pub.runs AS r
JOIN xcat.calibration AS c ON c.run_id = r.match_run_id
LEFT JOIN xcat.catalogue AS k ON k.catalogue_id = c.catalogue_id;
COMMENT ON VIEW pub.reliability_runs IS
'False matches at shifted positions against the cutoff of p_any, by catalogue and part of the sky, in every published run';

CREATE VIEW pub.reliability AS SELECT * FROM pub.reliability_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.reliability IS
'False matches at shifted positions against the cutoff of p_any, by catalogue and part of the sky, in the published run';

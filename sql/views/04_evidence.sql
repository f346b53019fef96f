-- The evidence, one row a source, property and class.
CREATE VIEW xcat.evidence AS
SELECT c.source_id, t.term AS property, t.category, k.class, c.evidence[t.n_before + k.class_id] AS log_likelihood,
       c.evidence[t.n_before + k.class_id]
           - (SELECT avg(e) FROM unnest(c.evidence[t.n_before + 1:t.n_before + t.n_classes]) AS e) AS advantage,
       c.run_id
FROM xcat.classification AS c
CROSS JOIN (SELECT term, category, n_classes, (term_id - 1) * n_classes AS n_before
            FROM xcat.model_term
            CROSS JOIN (SELECT count(*)::integer AS n_classes FROM xcat.model_class
                        WHERE run_id = (SELECT model_run_id FROM xcat.published)) AS n
            WHERE run_id = (SELECT model_run_id FROM xcat.published)) AS t
JOIN xcat.model_class AS k ON k.run_id = (SELECT model_run_id FROM xcat.published)
WHERE c.run_id = (SELECT run_id FROM xcat.published);
COMMENT ON VIEW xcat.evidence IS 'What every property says of every class, source by source, in the published run';

-- The tables, one row a node.
CREATE VIEW xcat.likelihood_density AS
SELECT t.property, t.category, t.class, n.x, exp(n.log_density) AS density, t.run_id
FROM xcat.likelihood_table AS t
CROSS JOIN LATERAL unnest(t.grid, t.log_density) AS n (x, log_density)
WHERE cardinality(t.axes) = 1;
COMMENT ON VIEW xcat.likelihood_density IS 'The likelihood tables of every model, one row a node';

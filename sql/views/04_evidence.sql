-- The evidence, one row a source, property and class.
CREATE VIEW xcat.evidence AS
SELECT c.source_id, p.property, p.category, k.class,
       c.evidence[(p.i - 1) * cardinality(m.classes) + k.i] AS log_likelihood,
       c.evidence[(p.i - 1) * cardinality(m.classes) + k.i]
           - (SELECT avg(e) FROM unnest(c.evidence[(p.i - 1) * cardinality(m.classes) + 1:p.i * cardinality(m.classes)]) AS e)
           AS advantage,
       c.run_id
FROM xcat.classification AS c
CROSS JOIN (SELECT * FROM xcat.model WHERE run_id = (SELECT model_run_id FROM xcat.published)) AS m
CROSS JOIN LATERAL unnest(m.terms, m.term_category) WITH ORDINALITY AS p (property, category, i)
CROSS JOIN LATERAL unnest(m.classes) WITH ORDINALITY AS k (class, i)
WHERE c.run_id = (SELECT run_id FROM xcat.published);
COMMENT ON VIEW xcat.evidence IS 'What every property says of every class, source by source, in the published run';

-- The tables, one row a node.
CREATE VIEW xcat.likelihood_density AS
SELECT t.property, t.category, t.class, n.x, exp(n.log_density) AS density, t.run_id
FROM xcat.likelihood_table AS t
CROSS JOIN LATERAL unnest(t.grid, t.log_density) AS n (x, log_density)
WHERE cardinality(t.axes) = 1;
COMMENT ON VIEW xcat.likelihood_density IS 'The likelihood tables of every model, one row a node';

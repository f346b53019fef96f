-- The evidence is kept as one array per source: one row per term and class would be seventy times as many rows.

-- The log-likelihood of every term in every class, source by source, in every published run; of
-- labelled sources out of fold
CREATE VIEW pub.evidence_runs AS
SELECT e.run_id, e.source_id, t.term AS property, t.category, k.class,
       e.evidence[(t.term_id - 1) * n.n_classes + k.class_id] AS log_likelihood,
       e.evidence[(t.term_id - 1) * n.n_classes + k.class_id]
           - (SELECT avg(each)
              FROM unnest(e.evidence[(t.term_id - 1) * n.n_classes + 1:t.term_id * n.n_classes]) AS each)
           AS advantage
FROM pub.source_evidence_runs AS e
JOIN xcat.run AS r ON r.run_id = e.run_id
JOIN xcat.model_term AS t ON t.run_id = r.model_run_id
JOIN xcat.model_class AS k ON k.run_id = r.model_run_id
CROSS JOIN LATERAL (SELECT count(*)::integer AS n_classes FROM xcat.model_class AS c
                    WHERE c.run_id = r.model_run_id) AS n;

-- The evidence is kept as one array per source: one row per term and class would be seventy times as many rows.

-- The log-likelihood of every term in every class, source by source, in every published run; of
-- labelled sources out of fold. A class with kinds has the log of their mean likelihood, by their priors
CREATE VIEW pub.evidence_runs AS
SELECT e.run_id, e.source_id, t.term AS property, t.category, c.class, c.log_likelihood, c.advantage
FROM pub.source_evidence_runs AS e
JOIN xcat.run AS r ON r.run_id = e.run_id
JOIN xcat.model_term AS t ON t.run_id = r.model_run_id
CROSS JOIN LATERAL (
    SELECT a.class, a.log_likelihood::real AS log_likelihood,
           a.log_likelihood - avg(a.log_likelihood) OVER () AS advantage
    FROM (
        SELECT k.answer AS class,
               max(k.log_likelihood) + ln(sum(k.prior * exp(k.log_likelihood - k.largest)) / sum(k.prior))
                   AS log_likelihood
        FROM (
            SELECT n.*, max(n.log_likelihood) OVER (PARTITION BY n.answer) AS largest
            FROM (
                SELECT m.class_id, coalesce(m.part_of, m.class) AS answer, m.prior,
                       e.evidence[(t.term_id - 1) * count(*) OVER () + m.class_id]::double precision AS log_likelihood
                FROM xcat.model_class AS m WHERE m.run_id = r.model_run_id) AS n) AS k
        GROUP BY k.answer) AS a) AS c;

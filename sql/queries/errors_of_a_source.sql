-- name: errors_of_a_source
-- How sure are the probabilities of a source? Their mean and spread over refits of the published model to the
-- reweighted labelled sources, hypotheses summed, and how often each class wins. Put a source_id of your own.
WITH chosen AS (SELECT source_id FROM pub.classified ORDER BY stability, name LIMIT 1),
     refits AS (
         SELECT q.replicate, q.class, sum(h.p_hypothesis * q.p) / sum(h.p_hypothesis) AS p
         FROM chosen
         CROSS JOIN LATERAL pub.hypotheses_of(chosen.source_id) AS h
         CROSS JOIN LATERAL pub.posterior_replicates(pub.model_of(), h.properties) AS q
         GROUP BY q.replicate, q.class
     )
SELECT class, avg(p) AS probability_mean, stddev_samp(p) AS probability_err,
       avg((p = best)::integer) AS share_of_refits
FROM refits JOIN (SELECT replicate, max(p) AS best FROM refits GROUP BY replicate) AS b USING (replicate)
GROUP BY class ORDER BY probability_mean DESC;

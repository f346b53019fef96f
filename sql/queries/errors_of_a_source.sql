-- name: errors_of_a_source
-- How sure are the probabilities of a source? Mean and spread over the refits of the published model to the reweighted
-- labelled sources, with the accepted counterpart, and how often each class wins. Put a source_id of your own.
WITH chosen AS (SELECT source_id FROM pub.classified ORDER BY stability, name LIMIT 1),
     refits AS (
         SELECT r.*, rank() OVER (PARTITION BY r.replicate ORDER BY r.p DESC) = 1 AS wins
         FROM chosen
         JOIN xcat.run AS c ON c.run_id = pub.published_run()
         JOIN xcat.property AS s ON s.run_id = c.property_run_id AND s.source_id = chosen.source_id
         CROSS JOIN LATERAL pub.posterior_replicates(c.model_run_id, to_jsonb(s)) AS r
     )
SELECT class, avg(p) AS p_mean, stddev_samp(p) AS p_err, avg(wins::integer) AS stability
FROM refits GROUP BY class ORDER BY p_mean DESC;

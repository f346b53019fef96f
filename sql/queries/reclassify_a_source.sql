-- name: reclassify_a_source
-- What would a source be if it were as soft as a star? The probabilities of the published run, and those with another
-- hardness ratio; hypotheses on its counterparts are summed in both. Put a source_id and changes of your own: any
-- columns of pub.classified, null for "searched for and not found", "Infinity" for "not searched for".
WITH chosen AS (SELECT source_id FROM pub.classified ORDER BY p_xrb DESC, name LIMIT 1)
SELECT chosen.source_id, o.class, o.p AS old_probability, n.p AS new_probability
FROM chosen
CROSS JOIN LATERAL pub.posterior_of(chosen.source_id) AS o
JOIN LATERAL pub.posterior_of(chosen.source_id, '{"hr1": -0.9}') AS n ON n.class = o.class
ORDER BY n.p DESC;

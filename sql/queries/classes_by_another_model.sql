-- name: classes_by_another_model
-- How does another model classify the published sources? Here the oldest that was published, with the accepted
-- counterparts, of a thousand sources; put the number of a fit run of your own (xcat models).
SELECT q.class, count(*) AS sources, avg(q.p) AS mean_probability
FROM (SELECT min(model_run_id) AS model_run_id FROM pub.runs) AS m
CROSS JOIN (SELECT * FROM pub.classified ORDER BY source_id LIMIT 1000) AS s
CROSS JOIN LATERAL (SELECT e.class, e.p FROM pub.posterior(m.model_run_id, to_jsonb(s)) AS e
                    ORDER BY e.p DESC LIMIT 1) AS q
GROUP BY q.class
ORDER BY sources DESC;

-- name: models
-- Models, newest first, with their cross-validated figures; the views show the published one.
SELECT m.run_id, r.name, r.started_at, k.classes, m.weighting, k.n_reference,
       (r.summary #>> '{{out_of_fold,sample,accuracy}}')::double precision AS accuracy,
       (r.summary #>> '{{out_of_fold,sample,macro_f1}}')::double precision AS macro_f1,
       (r.summary #>> '{{out_of_fold,sample,log_loss}}')::double precision AS log_loss,
       EXISTS (SELECT FROM xcat.publication AS p JOIN xcat.run AS c ON c.run_id = p.run_id
               WHERE p.active AND c.model_run_id = m.run_id) AS published
FROM xcat.model AS m
JOIN xcat.run AS r ON r.run_id = m.run_id
CROSS JOIN LATERAL (SELECT array_agg(c.class ORDER BY c.class_id) AS classes,
                           array_agg(c.n_reference ORDER BY c.class_id) AS n_reference
                    FROM (SELECT coalesce(part_of, class) AS class, min(class_id) AS class_id,
                                 sum(n_reference) AS n_reference
                          FROM xcat.model_class WHERE run_id = m.run_id GROUP BY 1) AS c) AS k
WHERE m.run_id = coalesce(%(run_id)s, m.run_id)
ORDER BY m.run_id DESC
LIMIT %(limit)s;

-- name: classify_run
-- The newest finished classify run of a model on a properties run, with hypotheses summed or the best match.
SELECT max(run_id) FROM xcat.run
WHERE kind = 'classify' AND status = 'done'
  AND model_run_id = %(model_run_id)s AND property_run_id = %(property_run_id)s
  AND coalesce((config ->> 'best_match')::boolean, false) = %(best_match)s;

-- name: answers
-- Results of a classify run, sorted by source; the class as its number and the elements of the arrays as columns,
-- because COPY out needs fixed widths.
SELECT source_id, array_position(%(classes)s::text[], class) AS class_id, {elements}
FROM {classification}
ORDER BY source_id;

-- name: element
-- One element of an array.
{name}[{number}] AS {alias};

-- name: values
-- Numbers of sources with different properties in two runs.
SELECT {counts}
FROM {old} AS o
JOIN {new} AS n USING (source_id);

-- name: value
-- One property: numbers of sources with another value, with a value in the new run only, and in the old run only.
count(*) FILTER (WHERE o.{name} <> n.{name}), count(*) FILTER (WHERE o.{name} IS NULL AND n.{name} IS NOT NULL),
count(*) FILTER (WHERE o.{name} IS NOT NULL AND n.{name} IS NULL);

-- name: names
-- Names and positions of sources.
SELECT source_id, name, ra, dec FROM xcat.source WHERE run_id = %(source_run_id)s AND source_id = ANY (%(source_ids)s);

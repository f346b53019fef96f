-- name: property_rows
-- Properties of every source, in the order of their numbers, as the hypotheses come; a missing value is NaN here, since
-- COPY out wants fixed widths.
SELECT source_id, is_classifiable, {values}
FROM {property} AS p
ORDER BY source_id;

-- name: hypothesis_rows
-- Properties that need a counterpart, of every hypothesis, the most probable first: the order in which they are summed.
SELECT source_id, p_hypothesis, {values}
FROM {property} AS p
ORDER BY source_id, p.rank;

-- name: value
-- One property for COPY out.
coalesce(p.{name}, 'NaN')::real AS {name};

-- name: count
-- Sources to classify.
SELECT count(*) FROM xcat.property WHERE run_id = %(property_run_id)s;

-- name: totals
-- Classes of all sources, inside and outside the test sample, and how many of them are outliers; of labelled sources out of
-- fold.
SELECT coalesce(o.class, c.class) AS class, xcat.in_test_sample(c.is_classifiable, l.class) AS in_test_sample, count(*) AS sources,
       count(*) FILTER (WHERE coalesce(o.is_outlier, c.is_outlier)) AS outliers
FROM xcat.classification AS c
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(model_run_id)s AND o.source_id = c.source_id
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = c.source_id AND l.status = 'used'
WHERE c.run_id = %(run_id)s
GROUP BY 1, 2;

-- name: published
-- The run that the views show.
SELECT run_id FROM xcat.publication WHERE active;

-- name: unpublish
-- The publication that was shown until now stays in the table.
UPDATE xcat.publication SET active = false WHERE active;

-- name: publish
-- From now on the views show this run.
INSERT INTO xcat.publication (run_id, active) VALUES (%(run_id)s, true);

-- name: property_rows
-- Properties of every source, in the order of their numbers, as the hypotheses come; a missing value is NaN here, since
-- COPY out wants fixed widths.
SELECT source_id, in_test_sample, {values}
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
-- Classes of the sources that no reference catalogue knows, and how many of them are outliers.
SELECT m.classes[c.class_id] AS class, c.in_test_sample, l.class IS NOT NULL AS is_known, count(*) AS sources,
       count(*) FILTER (WHERE c.is_outlier) AS outliers
FROM xcat.classification AS c
JOIN xcat.model AS m ON m.run_id = %(model_run_id)s
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = c.source_id AND l.status = 'used'
WHERE c.run_id = %(run_id)s
GROUP BY 1, 2, 3;

-- name: published
-- The run that the views show.
SELECT run_id FROM xcat.publication WHERE active;

-- name: lock_publication
-- One publication at a time; readers are not held up.
LOCK TABLE xcat.publication IN SHARE ROW EXCLUSIVE MODE;

-- name: unpublish
-- The publication that was shown until now stays in the table.
UPDATE xcat.publication SET active = false WHERE active;

-- name: publish
-- From now on the views show this run.
INSERT INTO xcat.publication (run_id, active) VALUES (%(run_id)s, true);

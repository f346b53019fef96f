-- name: property_rows
-- Properties of every source, sorted like the hypotheses; a missing value is NaN, because COPY out needs fixed widths.
SELECT source_id, is_classifiable, {values}
FROM {property} AS p
ORDER BY source_id;

-- name: hypothesis_rows
-- Properties that need a counterpart, for every hypothesis, the most probable first: the order of the sums.
SELECT source_id, p_hypothesis, {values}
FROM {property} AS p
ORDER BY source_id, p.rank;

-- name: value
-- One property for COPY out.
coalesce(p.{name}, 'NaN')::real AS {name};

-- name: count
-- Number of sources to classify.
SELECT count(*) FROM xcat.property WHERE run_id = %(property_run_id)s;

-- name: totals
-- Numbers of sources and outliers by class, inside and outside the test sample; labelled sources out of fold. Objects
-- are the sources that are the best measured of their master source.
SELECT coalesce(o.class, c.class) AS class, xcat.in_test_sample(c.is_classifiable, l.class) AS in_test_sample,
       count(*) AS sources, count(*) FILTER (WHERE coalesce(o.is_outlier, c.is_outlier)) AS outliers,
       count(*) FILTER (WHERE coalesce(m.mission_rank, 1) = 1) AS objects
FROM xcat.classification AS c
LEFT JOIN xcat.master_source AS m ON m.run_id = %(link_run_id)s AND m.source_id = c.source_id
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(model_run_id)s AND o.source_id = c.source_id
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = c.source_id AND l.status = 'used'
WHERE c.run_id = %(run_id)s
GROUP BY 1, 2;

-- name: published
-- The run that the views show.
SELECT run_id FROM xcat.publication WHERE active;

-- name: unpublish
-- The previous publication stays in the table.
UPDATE xcat.publication SET active = false WHERE active;

-- name: sums
-- Sources of a classify run with their probabilities, for the sum rule; the best measured of each object is marked.
SELECT s.catalogue_id, coalesce(m.mission_rank, 1) = 1 AS is_best, s.ra, s.dec, s.glon, s.glat,
       coalesce(s.flux_std_cgs, 'NaN') AS flux_std_cgs {probabilities}
FROM xcat.source AS s
JOIN xcat.classification AS c ON c.run_id = %(run_id)s AND c.source_id = s.source_id
LEFT JOIN xcat.master_source AS m ON m.run_id = %(link_run_id)s AND m.source_id = s.source_id
WHERE s.run_id = %(source_run_id)s
ORDER BY s.ra, s.dec;

-- name: probability
-- The probability of one class, as a column of that.
, c.p[{number}] AS {name}

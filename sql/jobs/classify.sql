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
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = c.source_id
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = c.source_id AND l.status = 'used'
WHERE c.run_id = %(run_id)s
GROUP BY 1, 2;

-- name: held_out
-- Out-of-fold answers of a frozen model's labelled sources of which nothing has changed since an earlier classify run.
SELECT %(run_id)s AS run_id, {columns}
FROM xcat.out_of_fold AS o
JOIN xcat.classification AS c ON c.run_id = %(run_id)s AND c.source_id = o.source_id
JOIN xcat.classification AS b ON b.run_id = %(frozen_run_id)s AND b.source_id = o.source_id
WHERE o.run_id = %(model_run_id)s AND c.evidence = b.evidence AND c.p = b.p AND c.outlier = b.outlier
ORDER BY o.source_id;

-- name: count_held_out
-- How many labelled sources of a frozen model are as they were, have changed, or are gone.
SELECT count(h.source_id) AS unchanged, count(c.source_id) - count(h.source_id) AS changed,
       count(*) - count(c.source_id) AS gone
FROM xcat.out_of_fold AS o
LEFT JOIN xcat.classification AS c ON c.run_id = %(run_id)s AND c.source_id = o.source_id
LEFT JOIN {held_out} AS h ON h.source_id = o.source_id
WHERE o.run_id = %(model_run_id)s;

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

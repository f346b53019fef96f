-- name: state
-- A run that has its flat tables, by its number.
SELECT run_id, name, published_at, is_published, classes, source_run_id, link_run_id, match_run_id, property_run_id,
       label_run_id, model_run_id
FROM pub.runs WHERE run_id = %(run_id)s;

-- name: published
-- The run that the views show.
SELECT run_id FROM xcat.publication WHERE active;

-- name: previous
-- The run that was published before it.
SELECT run_id FROM xcat.publication
WHERE how <> 'written' AND run_id <> coalesce((SELECT run_id FROM xcat.publication WHERE active), -1)
ORDER BY publication_id DESC LIMIT 1;

-- name: to_roll_back_to
-- The same, leaving out what a rollback took back: repeated, it goes further back.
SELECT run_id FROM xcat.publication
WHERE how <> 'written' AND NOT withdrawn
  AND run_id <> coalesce((SELECT run_id FROM xcat.publication WHERE active), -1)
ORDER BY publication_id DESC LIMIT 1;

-- name: released
-- The run of a release, and when it was given up.
SELECT run_id, removed_at, removed_why FROM xcat.release WHERE label = %(label)s;

-- name: make_work
-- Which source of one state is which of another.
CREATE TEMP TABLE IF NOT EXISTS same_source (
    old_id bigint NOT NULL, new_id bigint NOT NULL, by_position boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS decided (
    old_id bigint NOT NULL, new_id bigint NOT NULL, term smallint NOT NULL, push real NOT NULL
) ON COMMIT DROP;

-- name: by_identity
-- The same number, and about the same place: a mission that numbers its sources anew gives an old number to another.
INSERT INTO pg_temp.same_source (old_id, new_id, by_position)
SELECT o.source_id, n.source_id, false
FROM {old} AS o JOIN {new} AS n USING (source_id)
WHERE public.q3c_dist(o.ra, o.dec, n.ra, n.dec) * 3600 <= greatest(10, 5 * (o.err_arcsec + n.err_arcsec));

-- name: needles
-- Old sources without a partner, searched around as far as the least certain new one without a partner may be.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT o.source_id, o.ra, o.dec, least(60, greatest(1, 3 * (o.err_arcsec + w.largest)))
FROM {old} AS o
CROSS JOIN (SELECT max(n.err_arcsec) AS largest FROM {new} AS n
            WHERE NOT EXISTS (SELECT FROM pg_temp.same_source AS s WHERE s.new_id = n.source_id)) AS w
WHERE w.largest IS NOT NULL AND NOT EXISTS (SELECT FROM pg_temp.same_source AS s WHERE s.old_id = o.source_id);

-- name: by_position
-- The nearest of each other within 3 sigma, in the same mission; a mission that is gone may have another name now.
WITH missions AS MATERIALIZED (
    SELECT ARRAY(SELECT DISTINCT catalogue FROM {old}) AS old, ARRAY(SELECT DISTINCT catalogue FROM {new}) AS new
), near AS (
    SELECT p.id AS old_id, p.object_id AS new_id,
           row_number() OVER (PARTITION BY p.id ORDER BY p.sep_arcsec, n.name, n.source_id) AS new_rank,
           row_number() OVER (PARTITION BY p.object_id ORDER BY p.sep_arcsec, o.name, o.source_id) AS old_rank
    FROM pg_temp.pair AS p
    JOIN {old} AS o ON o.source_id = p.id
    JOIN {new} AS n ON n.source_id = p.object_id
    CROSS JOIN missions AS m
    WHERE p.sep_arcsec <= greatest(1, 3 * sqrt(o.err_arcsec ^ 2 + n.err_arcsec ^ 2))
      AND (o.catalogue = n.catalogue OR o.catalogue <> ALL (m.new) AND n.catalogue <> ALL (m.old))
      AND NOT EXISTS (SELECT FROM pg_temp.same_source AS s WHERE s.new_id = p.object_id)
)
INSERT INTO pg_temp.same_source (old_id, new_id, by_position)
SELECT old_id, new_id, true FROM near WHERE new_rank = 1 AND old_rank = 1;

-- name: counts
-- Sources of both states, and how many of them are the same.
SELECT (SELECT count(*) FROM {old}) AS n_old, (SELECT count(*) FROM {new}) AS n_new, count(*) AS n_same,
       count(*) FILTER (WHERE by_position) AS n_by_position
FROM pg_temp.same_source;

-- name: matrix
-- How many of the same sources went from one class to another.
SELECT o.class AS old_class, n.class, count(*) AS n
FROM pg_temp.same_source AS s
JOIN {old} AS o ON o.source_id = s.old_id
JOIN {new} AS n ON n.source_id = s.new_id
GROUP BY 1, 2;

-- name: evidence
-- Evidence before and now of the sources that changed class; classes as their numbers in the models, and the elements
-- of the arrays as columns, because COPY out needs fixed widths.
SELECT s.old_id, s.new_id, array_position(%(old_classes)s::text[], o.class) AS old_class,
       array_position(%(new_classes)s::text[], n.class) AS new_class, {elements}
FROM pg_temp.same_source AS s
JOIN {old} AS o ON o.source_id = s.old_id
JOIN {new} AS n ON n.source_id = s.new_id
JOIN {old_evidence} AS e ON e.source_id = s.old_id
JOIN {new_evidence} AS f ON f.source_id = s.new_id
WHERE o.class <> n.class
ORDER BY s.new_id;

-- name: element
-- One element of an array.
{alias}.evidence[{number}] AS {name};

-- name: class_changes
-- Sources that changed class, each with the cause (see the comment of the column), those that changed most first.
SELECT n.source_id, o.source_id AS old_source_id, n.name, n.catalogue, n.ra, n.dec, o.class AS old_class,
       o.p_class AS old_p_class, n.class, n.p_class,
       CASE
           WHEN o.is_out_of_fold <> n.is_out_of_fold THEN 'label'
           WHEN d.push IS NULL OR d.push <= 0 THEN 'counterpart'
           WHEN NOT v.differs AND {is_other_model} THEN 'model'
           WHEN v.of_counterpart AND (w.optical OR w.infrared) THEN 'counterpart'
           WHEN NOT v.of_counterpart AND o.n_detections <> n.n_detections THEN 'detections'
           ELSE 'property'
       END AS cause,
       CASE WHEN d.push > 0 THEN (%(terms)s::text[])[d.term] END AS property,
       CASE WHEN d.push > 0 THEN d.push END AS push, v.old_value AS old_property_value, v.value AS property_value,
       CASE WHEN w.optical THEN o.optical_catalogue || ' ' || o.optical_native_id
            WHEN w.infrared THEN o.infrared_catalogue || ' ' || o.infrared_native_id END AS old_counterpart,
       CASE WHEN w.optical THEN n.optical_catalogue || ' ' || n.optical_native_id
            WHEN w.infrared THEN n.infrared_catalogue || ' ' || n.infrared_native_id END AS counterpart
FROM pg_temp.same_source AS s
JOIN {old} AS o ON o.source_id = s.old_id
JOIN {new} AS n ON n.source_id = s.new_id
LEFT JOIN pg_temp.decided AS d ON d.new_id = s.new_id
CROSS JOIN LATERAL (
    SELECT (o.optical_catalogue, o.optical_native_id) IS DISTINCT FROM (n.optical_catalogue, n.optical_native_id)
               AS optical,
           (o.infrared_catalogue, o.infrared_native_id) IS DISTINCT FROM (n.infrared_catalogue, n.infrared_native_id)
               AS infrared) AS w
CROSS JOIN LATERAL (
    SELECT CASE d.term {differs} ELSE false END AS differs,
           CASE d.term {old_values} ELSE NULL END::double precision AS old_value,
           CASE d.term {values} ELSE NULL END::double precision AS value,
           coalesce(d.term = ANY (%(of_counterparts)s::smallint[]), false) AS of_counterpart) AS v
WHERE o.class <> n.class
ORDER BY o.p_class + n.p_class DESC, n.name, n.source_id;

-- name: when_differs
-- Whether the values of a term's properties differ.
WHEN {term} THEN ({old_values}) IS DISTINCT FROM ({values});

-- name: when_value
-- The value of a term's property.
WHEN {term} THEN {value};

-- name: store_changes
-- Keep what a publication changed.
INSERT INTO xcat.class_change (publication_id, source_id, old_source_id, name, catalogue, ra, dec, old_class,
    old_p_class, class, p_class, cause, property, push, old_property_value, property_value, old_counterpart,
    counterpart)
SELECT p.publication_id, c.* FROM ({changes}) AS c CROSS JOIN (SELECT publication_id FROM xcat.publication
                                                               WHERE active) AS p;

-- name: only_in
-- Sources that one state has and the other has not, the surest class first.
SELECT t.source_id, t.name, t.catalogue, t.ra, t.dec, t.class, t.p_class
FROM {table} AS t
WHERE NOT EXISTS (SELECT FROM pg_temp.same_source AS s WHERE s.{key} = t.source_id)
ORDER BY t.p_class DESC, t.name, t.source_id LIMIT %(limit)s;

-- name: inputs
-- Versions of catalogues that the stages of two states read, with their files, where the states differ.
WITH stage AS (
    SELECT r.run_id AS state, s.run_id
    FROM xcat.run AS r
    CROSS JOIN LATERAL unnest(ARRAY[r.source_run_id, r.match_run_id, r.property_run_id, r.label_run_id]) AS s (run_id)
    WHERE r.run_id IN (%(old)s, %(new)s)
), input AS (
    SELECT DISTINCT g.state, k.name, k.version, f.file_name, f.sha256, f.n_rows
    FROM stage AS g
    JOIN xcat.run_catalogue AS u USING (run_id)
    JOIN xcat.catalogue AS k USING (catalogue_id)
    JOIN xcat.catalogue_content AS c USING (catalogue_id)
    JOIN xcat.catalogue_file AS f USING (file_id)
)
SELECT i.name AS catalogue, i.file_name, i.n_rows, i.state = %(new)s AS is_new
FROM input AS i
WHERE %(old)s <> %(new)s
  AND NOT EXISTS (SELECT FROM input AS o WHERE o.state <> i.state AND o.name = i.name AND o.sha256 = i.sha256)
ORDER BY 1, 4, 2;

-- name: keep_changes
-- The sources that changed class, for several questions.
CREATE TEMP TABLE changed ON COMMIT DROP AS {changes};

-- name: causes
-- How many changed, by cause and property.
SELECT cause, property, count(*) AS n, avg(push)::double precision AS push
FROM pg_temp.changed GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2;

-- name: changed
-- Those that changed the most: the surest before and now.
SELECT * FROM pg_temp.changed ORDER BY old_p_class + p_class DESC, name, source_id LIMIT %(limit)s;

-- name: are_states
-- Which of some runs have their flat tables.
SELECT run_id FROM pub.runs WHERE run_id = ANY (%(run_ids)s);

-- name: thresholds
-- The gates that are on, with their thresholds.
SELECT gate, threshold FROM xcat.gate WHERE is_on;

-- name: gates
-- All gates.
SELECT gate, threshold, is_on FROM xcat.gate;

-- name: set
-- Change a gate: its threshold, or whether it is on; what is NULL stays.
INSERT INTO xcat.gate (gate, threshold, is_on)
VALUES (%(gate)s, coalesce(%(threshold)s, 0), coalesce(%(is_on)s, true))
ON CONFLICT (gate) DO UPDATE
SET threshold = coalesce(%(threshold)s, gate.threshold), is_on = coalesce(%(is_on)s, gate.is_on);

-- name: famous
-- Objects that must keep their class.
SELECT name, ra, dec, radius_arcsec, class FROM xcat.famous_object ORDER BY name;

-- name: add_famous
-- An object that must keep its class; a name that is there already takes the new class.
INSERT INTO xcat.famous_object (name, ra, dec, radius_arcsec, class)
VALUES (%(name)s, %(ra)s, %(dec)s, %(radius_arcsec)s, %(class)s)
ON CONFLICT (name) DO UPDATE
SET ra = excluded.ra, dec = excluded.dec, radius_arcsec = excluded.radius_arcsec, class = excluded.class;

-- name: remove_famous
-- It need not keep its class any more.
DELETE FROM xcat.famous_object WHERE name = %(name)s RETURNING name;

-- name: source
-- A published source by its name, whatever its case and blanks are.
SELECT name, ra, dec, err_arcsec, class FROM pub.classified
WHERE lower(regexp_replace(name, '\s', '', 'g')) = lower(regexp_replace(%(name)s, '\s', '', 'g'))
ORDER BY is_best_of_master DESC, source_id LIMIT 1;

-- name: needles
-- The places of these objects, numbered by their names.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT row_number() OVER (ORDER BY name), ra, dec, radius_arcsec FROM xcat.famous_object;

-- name: classes_of_famous
-- The class of the source at each of these places: of the best measured of an object, the nearest one.
SELECT DISTINCT ON (f.name) f.name, t.class
FROM (SELECT name, row_number() OVER (ORDER BY name) AS id FROM xcat.famous_object) AS f
JOIN pg_temp.pair AS p USING (id)
JOIN {table} AS t ON t.source_id = p.object_id
ORDER BY f.name, t.is_best_of_master DESC, p.sep_arcsec, t.source_id;

-- name: cells
-- Sources in HEALPix cells of 13.7 arcmin.
SELECT hpx29 >> 42 AS cell, count(*) AS n_objects FROM {table} GROUP BY 1 ORDER BY 1;

-- name: missions
-- Missions of a state.
SELECT DISTINCT catalogue FROM {table} ORDER BY 1;

-- name: classes
-- Sources by class.
SELECT class, count(*) AS n FROM {table} GROUP BY 1;

-- name: unmatched
-- Share of the sources without an accepted counterpart.
SELECT coalesce(avg((optical_native_id IS NULL AND infrared_native_id IS NULL)::integer), 0)::double precision
FROM {table};

-- name: known
-- Sources of each known class, answered out of fold: how many get it, and the mean probabilities of all classes.
SELECT known_class, count(*) AS n, count(*) FILTER (WHERE class = known_class) AS n_right, ARRAY[{means}] AS p
FROM {table} WHERE is_out_of_fold AND known_class IS NOT NULL
GROUP BY 1 ORDER BY 1;

-- name: mean
-- The mean probability of one class.
coalesce(avg({name}), 0)::double precision

-- name: priors
-- The priors of a model.
SELECT coalesce(part_of, class) AS class, sum(prior) AS prior
FROM xcat.model_class WHERE run_id = %(model_run_id)s GROUP BY 1 ORDER BY min(class_id);

-- name: withdrawn
-- The rollback that took a run back, if it was published last before that.
SELECT withdrawn, why FROM xcat.publication WHERE run_id = %(run_id)s AND how <> 'written'
ORDER BY publication_id DESC LIMIT 1;

-- name: last_run
-- The last publication of a classify run that went through the gates, or was refused by them.
SELECT run_id FROM xcat.run
WHERE kind = 'publish' AND summary -> 'gates' IS NOT NULL
  AND (run_id = %(run_id)s OR (config ->> 'classify_run_id')::integer = %(run_id)s)
ORDER BY run_id DESC LIMIT 1;

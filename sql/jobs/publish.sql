-- name: make_work
-- Tables that the flat tables are made from; without keys, since whole tables are joined.
CREATE TEMP TABLE cell (source_id bigint NOT NULL, hpx29 bigint NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE first_counterpart (
    source_id bigint NOT NULL, kind text NOT NULL, catalogue text NOT NULL, native_id text NOT NULL,
    sep_arcsec double precision NOT NULL, p_any real NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE member (
    source_id bigint NOT NULL, rank smallint NOT NULL, i bigint NOT NULL, catalogue text NOT NULL,
    native_id text NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE of_missions (
    source_id bigint NOT NULL, missions_agree boolean NOT NULL, other_missions text NOT NULL, known_class text
) ON COMMIT DROP;
CREATE TEMP TABLE near_galaxy (
    source_id bigint NOT NULL, catalogue_id smallint NOT NULL, object_id bigint NOT NULL, galaxy text NOT NULL,
    distance_mpc real, sep_arcsec double precision NOT NULL, deviation double precision NOT NULL,
    ellipse_deg2 double precision NOT NULL
) ON COMMIT DROP;

-- name: catalogues
-- The versions of catalogues of a kind that some runs have read.
SELECT DISTINCT k.catalogue_id, k.name, k.kind, k.definition
FROM xcat.run_catalogue AS u JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE u.run_id = ANY (%(run_ids)s) AND k.kind = ANY (%(kinds)s)
ORDER BY k.catalogue_id;

-- name: priority
-- Names of the counterpart catalogues in the order of the pipeline.
SELECT array_agg(c.value ->> 'catalogue' ORDER BY c.ordinality)
FROM xcat.run AS r, jsonb_array_elements(r.config -> 'counterparts') WITH ORDINALITY AS c
WHERE r.run_id = %(property_run_id)s;

-- name: counterparts
-- The accepted counterparts in one catalogue, in the order of the sky.
SELECT %(run_id)s AS run_id, m.source_id, s.name, %(catalogue)s AS catalogue, %(kind)s AS kind, o.native_id,
       o.ra, o.dec, c.sep_arcsec, m.p_any, c.p_i, m.n_candidates, m.density_per_deg2, {values}
FROM {match} AS m
JOIN {match_candidate} AS c ON c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id AND c.is_best
JOIN {source} AS s ON s.source_id = m.source_id
JOIN {counterpart} AS o ON o.object_id = c.object_id
WHERE m.accepted AND m.catalogue_id = %(catalogue_id)s
ORDER BY public.q3c_ang2ipix(o.ra, o.dec), m.source_id;

-- name: first_counterparts
-- Of each kind the counterpart that the properties are made with: the first in the order of the pipeline.
INSERT INTO pg_temp.first_counterpart (source_id, kind, catalogue, native_id, sep_arcsec, p_any)
SELECT DISTINCT ON (source_id, kind) source_id, kind, catalogue, native_id, sep_arcsec, p_any
FROM {counterparts}
ORDER BY source_id, kind, array_position(%(priority)s::text[], catalogue), catalogue;

-- name: members
-- The members of hypotheses that are in one catalogue.
INSERT INTO pg_temp.member (source_id, rank, i, catalogue, native_id)
SELECT h.source_id, h.rank, h.i, %(catalogue)s, o.native_id
FROM (SELECT source_id, rank, objects, array_position(catalogues, %(catalogue_id)s::smallint) AS i
      FROM {hypothesis}) AS h
JOIN {counterpart} AS o ON o.object_id = h.objects[h.i]
WHERE h.i IS NOT NULL;

-- name: hypotheses
-- What every source may be, with the properties that it then has where it is probable enough.
SELECT %(run_id)s AS run_id, h.source_id, s.name, h.rank, h.p_hypothesis, h.p_i, h.match_flag, h.log_bayes_factor,
       coalesce(m.catalogues, '{{}}') AS catalogues, coalesce(m.objects, '{{}}') AS objects,
       p.source_id IS NOT NULL AS has_properties, {values}
FROM {hypothesis} AS h
JOIN {source} AS s USING (source_id)
LEFT JOIN (SELECT source_id, rank, array_agg(catalogue ORDER BY i) AS catalogues,
                  array_agg(native_id ORDER BY i) AS objects
           FROM pg_temp.member GROUP BY source_id, rank) AS m USING (source_id, rank)
LEFT JOIN {hypothesis_property} AS p USING (source_id, rank)
ORDER BY public.q3c_ang2ipix(s.ra, s.dec), h.source_id, h.rank;

-- name: source_evidence
-- The evidence of every source; that of a labelled one from tables that were fitted without it.
SELECT %(run_id)s AS run_id, c.source_id, coalesce(o.evidence, c.evidence) AS evidence
FROM {classification} AS c
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = c.source_id;

-- name: master_sources
-- Every source with its master source, in the order of the sky.
SELECT %(run_id)s AS run_id, m.master_id, m.ra, m.dec, m.err_arcsec, m.n_missions, m.n_sources, m.n_detections,
       m.n_upper_limits, m.is_ambiguous, m.mjd_first, m.mjd_last, m.flux_std_min_cgs, m.flux_std_max_cgs, m.flux_ratio,
       m.flux_ratio_low, m.flux_ratio_sigma, b.source_id, s.name, k.name AS catalogue, b.status, b.mission_rank,
       s.flux_std_cgs, public.q3c_dist(m.ra, m.dec, s.ra, s.dec) * 3600 AS sep_arcsec
FROM {master_source} AS b
JOIN {master} AS m USING (master_id)
JOIN {source} AS s ON s.source_id = b.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
ORDER BY public.q3c_ang2ipix(m.ra, m.dec), m.master_id, b.source_id;

-- name: of_missions
-- What the missions say of every object that several have seen: for each of its sources what the others say, and the
-- class in the literature of the source itself, or else of the best measured one that is in the reference sample.
INSERT INTO pg_temp.of_missions (source_id, missions_agree, other_missions, known_class)
WITH member AS MATERIALIZED (
    SELECT m.master_id, m.source_id, m.mission_rank, coalesce(o.class, c.class) AS class, l.class AS known_class,
           m.catalogue || ' ' || coalesce(o.class, c.class) || ' '
           || to_char((coalesce(o.p, c.p))[array_position(%(classes)s::text[], coalesce(o.class, c.class))],
                      'FM0.00') AS answer
    FROM {master_sources} AS m
    JOIN {classification} AS c ON c.source_id = m.source_id
    LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = m.source_id
    LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = m.source_id AND l.status = 'used'
    WHERE m.n_sources > 1
)
SELECT a.source_id, bool_and(a.class = b.class),
       coalesce(string_agg(b.answer, ', ' ORDER BY b.mission_rank) FILTER (WHERE b.source_id <> a.source_id), ''),
       (array_agg(b.known_class ORDER BY b.source_id <> a.source_id, b.mission_rank)
        FILTER (WHERE b.known_class IS NOT NULL))[1]
FROM member AS a
JOIN member AS b USING (master_id)
GROUP BY a.source_id;

-- name: classified
-- Every source, in the order of the sky. A source of the reference sample has the class and the probabilities of tables
-- that were fitted without it. The test sample are the classifiable sources that are not in the reference sample.
SELECT %(run_id)s AS run_id, c.source_id, s.name, k.name AS catalogue, s.ra, s.dec, s.err_arcsec, s.glon, s.glat,
       h.hpx29, d.class, d.p[array_position(%(classes)s::text[], d.class)] AS p_class,
       nullif(d.p_err[array_position(%(classes)s::text[], d.class)], 'NaN') AS p_class_err, d.margin, d.confidence,
       d.stability, d.outlier, d.p_tail, d.is_outlier, d.familiarity, d.n_missing, d.alternative,
       o.source_id IS NOT NULL AS is_out_of_fold, l.class AS known_class,
       l.origin, c.is_classifiable, xcat.in_test_sample(c.is_classifiable, l.class) AS in_test_sample,
       s.n_detections, s.mjd_first, s.mjd_last, s.flux_cgs, s.flux_err_cgs, s.flux_low_kev, s.flux_high_kev,
       s.flux_std_cgs, s.snr, s.det_likelihood, s.flux_ratio, s.flux_ratio_low, s.extent_arcsec, s.quality_flag,
       m.master_id, m.n_missions, m.is_ambiguous, coalesce(m.mission_rank = 1, true) AS is_best_of_master,
       coalesce(v.missions_agree, true) AS missions_agree, coalesce(v.other_missions, '') AS other_missions,
       coalesce(l.class, v.known_class) AS known_class_of_master, s.flaws, s.n_flawed, s.flux_is_doubtful,
       f.catalogue AS optical_catalogue,
       f.native_id AS optical_native_id, f.sep_arcsec AS optical_sep_arcsec, f.p_any AS optical_p_any,
       g.catalogue AS infrared_catalogue, g.native_id AS infrared_native_id, g.sep_arcsec AS infrared_sep_arcsec,
       g.p_any AS infrared_p_any,
       {values}
FROM {classification} AS c
JOIN {source} AS s USING (source_id)
JOIN {property} AS p USING (source_id)
JOIN pg_temp.cell AS h USING (source_id)
JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
LEFT JOIN xcat.out_of_fold AS o ON o.run_id = %(held_out_run_id)s AND o.source_id = c.source_id
CROSS JOIN LATERAL (
    SELECT coalesce(o.class, c.class) AS class, coalesce(o.p, c.p) AS p, coalesce(o.p_err, c.p_err) AS p_err,
           coalesce(o.margin, c.margin) AS margin, coalesce(o.confidence, c.confidence) AS confidence,
           coalesce(o.stability, c.stability) AS stability,
           coalesce(o.familiarity, c.familiarity) AS familiarity,
           coalesce(o.outlier, c.outlier) AS outlier, coalesce(o.p_tail, c.p_tail) AS p_tail,
           coalesce(o.is_outlier, c.is_outlier) AS is_outlier, coalesce(o.n_missing, c.n_missing) AS n_missing,
           coalesce(o.alternative, c.alternative) AS alternative) AS d
LEFT JOIN xcat.label AS l ON l.run_id = %(label_run_id)s AND l.source_id = c.source_id AND l.status = 'used'
LEFT JOIN {master_sources} AS m ON m.source_id = c.source_id
LEFT JOIN pg_temp.of_missions AS v ON v.source_id = c.source_id
LEFT JOIN pg_temp.first_counterpart AS f ON f.source_id = c.source_id AND f.kind = 'optical'
LEFT JOIN pg_temp.first_counterpart AS g ON g.source_id = c.source_id AND g.kind = 'infrared'
ORDER BY public.q3c_ang2ipix(s.ra, s.dec), c.source_id;

-- name: class_value
-- The probability of one class, by its number in the model.
d.p[{number}] AS {name}

-- name: class_error
-- The error of the probability of one class; the model of an old run has none.
nullif(d.p_err[{number}], 'NaN') AS {name}

-- name: largest_galaxy
-- The largest diameter of a galaxy in some catalogues.
SELECT coalesce(max(d25_arcmin), 0)::double precision FROM xcat.galaxy WHERE catalogue_id = ANY (%(catalogue_ids)s);

-- name: luminous_needles
-- Sources inside a D25 ellipse and above 1e39 erg / s, searched around as far as a galaxy with them inside may be.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec, greatest(%(d25_arcmin)s * 30, 3 * err_arcsec)
FROM {classified} WHERE log_lx_galaxy > 39 AND sep_to_radius <= 1;

-- name: near_galaxies
-- Galaxies around them; `deviation` says how well a galaxy agrees with the one that sep_to_radius was computed with.
INSERT INTO pg_temp.near_galaxy (source_id, catalogue_id, object_id, galaxy, distance_mpc, sep_arcsec, deviation,
                                 ellipse_deg2)
SELECT c.source_id, g.catalogue_id, g.object_id, g.native_id, g.distance_mpc, p.sep_arcsec,
       abs(xcat.sep_to_radius(c.ra, c.dec, g.ra, g.dec, g.d25_arcmin, g.axis_ratio, g.pa_deg) - c.sep_to_radius),
       pi() / 4 * coalesce(g.axis_ratio, 1) * (g.d25_arcmin / 60.0) ^ 2
FROM pg_temp.pair AS p
JOIN {classified} AS c ON c.source_id = p.id
JOIN {galaxy} AS g ON g.object_id = p.object_id
WHERE g.d25_arcmin > 0;

-- name: ulx_candidates
-- Ultraluminous sources: inside a D25 ellipse, away from every nucleus (3 arcsec, and 3 sigma of the position), and
-- above 1e39 erg / s at the distance of the galaxy. The galaxy is the one that sep_to_radius was computed with.
-- p_contaminant (after Tranin et al. 2024, A&A 681, A16): of the sources of this mission in the ellipse that are at
-- least as bright, nuclei included, the share expected to be AGN behind the galaxy. It is too large where only a part
-- of the ellipse has been observed. Of the sources of one master source that are listed, the best measured is marked.
WITH hosted AS MATERIALIZED (
    SELECT DISTINCT ON (g.source_id) g.*, min(g.sep_arcsec) OVER (PARTITION BY g.source_id) AS sep_nucleus_arcsec
    FROM pg_temp.near_galaxy AS g
    ORDER BY g.source_id, g.deviation, g.galaxy
), counted AS (
    -- brighter than one source means more luminous too, so that all of them are in hosted
    SELECT c.*, h.galaxy, h.distance_mpc, h.sep_arcsec, h.sep_nucleus_arcsec, h.ellipse_deg2,
           h.ellipse_deg2 * xcat.agn_per_deg2(c.flux_std_cgs) AS n_background,
           count(*) OVER (
               PARTITION BY c.catalogue, h.catalogue_id, h.object_id ORDER BY c.flux_std_cgs DESC) AS n_as_bright
    FROM hosted AS h JOIN {classified} AS c USING (source_id)
)
SELECT {values}, c.galaxy, c.distance_mpc, c.sep_arcsec, c.sep_nucleus_arcsec, c.ellipse_deg2, c.n_background,
       c.n_as_bright, least(1, c.n_background / c.n_as_bright) AS p_contaminant,
       c.log_lx_galaxy > 41 AS is_hyperluminous,
       row_number() OVER (PARTITION BY c.master_id, CASE WHEN c.master_id IS NULL THEN c.source_id END
                          ORDER BY m.mission_rank) = 1 AS is_best_of_master
FROM counted AS c
LEFT JOIN {master_sources} AS m ON m.source_id = c.source_id
WHERE sep_nucleus_arcsec > greatest(3, 3 * c.err_arcsec)
ORDER BY public.q3c_ang2ipix(c.ra, c.dec);

-- name: add_class_column
-- A column for a class that no published model has had; rows of the other runs have no probability of it.
ALTER TABLE pub.classified_runs ADD COLUMN {name} real;

-- name: comment_column
-- What the column of a class means.
COMMENT ON COLUMN {relation}.{name} IS {comment};

-- name: columns_of
-- Columns of a table or view, in their order.
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%(relation)s) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: candidate_views
-- The views of candidates of a class.
SELECT relname FROM pg_class
WHERE relnamespace = 'pub'::regnamespace AND relkind = 'v' AND obj_description(oid, 'pg_class') LIKE 'Candidates: %%';

-- name: users_of_views
-- Views of users that depend on those that are to be made anew.
SELECT DISTINCT w.ev_class::regclass::text
FROM pg_depend AS d
JOIN pg_rewrite AS w ON w.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%(views)s::regclass[]::oid[])
  AND d.classid = 'pg_rewrite'::regclass AND w.ev_class <> ALL (%(views)s::regclass[]::oid[]);

-- name: readers_of_view
-- Who else may read pub.classified, as a GRANT names them.
SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.oid = to_regclass('pub.classified') AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner;

-- name: let_read
-- As before the view was made anew.
GRANT SELECT ON {view} TO {reader};

-- name: drop_view
-- A view that is made anew.
DROP VIEW IF EXISTS {view};

-- name: published_view
-- The rows of the published run in a table or view of all published runs.
CREATE VIEW {view} AS SELECT {columns} FROM {all_runs} WHERE run_id = pub.published_run();

-- name: candidates_view
-- Objects that their best measured source gives a class, and that no reference catalogue knows.
CREATE VIEW {view} AS SELECT {columns} FROM pub.classified
WHERE class = {class} AND is_best_of_master AND known_class_of_master IS NULL;

-- name: comment_view
-- What a view shows.
COMMENT ON VIEW {view} IS {comment};

-- name: plans_are_old
-- Whatever was prepared before is planned again, with the number of the run that is published now: a grant changes
-- nothing, and tells all sessions that the table's entry in the catalogue was written.
GRANT SELECT ON {table} TO CURRENT_USER;

-- name: is_written
-- Whether a run has its flat tables.
SELECT EXISTS (SELECT FROM xcat.publication WHERE run_id = %(run_id)s);

-- name: withdraw
-- A rollback takes a run back.
UPDATE xcat.publication SET withdrawn = true WHERE run_id = %(run_id)s;

-- name: last_of
-- The last finished publication of a classify run.
SELECT max(run_id) FROM xcat.run
WHERE kind = 'publish' AND status = 'done' AND (config ->> 'classify_run_id')::integer = %(run_id)s;

-- name: classes
-- The classes of a model, in its order.
SELECT xcat.answers_of(%(model_run_id)s);

-- name: published_classes
-- The classes of the published run's model.
SELECT classes FROM pub.runs WHERE is_published;

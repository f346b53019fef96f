-- name: make_tables
-- target: sources and shifted positions. association: an object near a target, or several objects of different
-- catalogues that may be one: its offset from the target in the tangent plane (arcsec, east and north) with the
-- covariance, its proper motion (arcsec per year, 0 if unknown) and, where that is unknown, the years from its epoch to
-- the target's, or to that of the catalogue that moves where the target has none. posterior: the hypotheses. Rows
-- repeat what statements need of the target: a join with all targets costs more than the arithmetic.
CREATE TEMP TABLE target (
    no integer NOT NULL, id bigint NOT NULL, is_shifted boolean NOT NULL,
    -- q3c has no pairs at RA 360, and NaN is above every number
    ra double precision NOT NULL CHECK (ra >= 0 AND ra < 360),
    dec double precision NOT NULL CHECK (dec BETWEEN -90 AND 90),
    sin_dec double precision NOT NULL, cos_dec double precision NOT NULL,
    cxx double precision NOT NULL CHECK (cxx > 0 AND cxx < 'Infinity'), cxy double precision NOT NULL,
    cyy double precision NOT NULL CHECK (cyy > 0 AND cyy < 'Infinity'),
    epoch_yr double precision, epoch_err_yr double precision NOT NULL, part smallint NOT NULL,
    stratum smallint NOT NULL, log_nu double precision[] NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE curve (
    mask smallint NOT NULL, term smallint NOT NULL, stratum smallint NOT NULL,
    edges double precision[] NOT NULL, log_ratio double precision[] NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE association (
    tid bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000), no integer NOT NULL, id bigint NOT NULL,
    is_shifted boolean NOT NULL, part smallint NOT NULL, stratum smallint NOT NULL, mask smallint NOT NULL,
    ks smallint[] NOT NULL, members bigint[] NOT NULL, x double precision NOT NULL, y double precision NOT NULL,
    cxx double precision NOT NULL, cxy double precision NOT NULL, cyy double precision NOT NULL,
    move_x double precision NOT NULL, move_y double precision NOT NULL, unmoved_yr double precision NOT NULL,
    log_members double precision NOT NULL, log_back double precision NOT NULL, log_bf double precision NOT NULL,
    log_weight double precision NOT NULL, marks real[],
    CHECK (cardinality(ks) > 1 OR cxx > 0 AND cyy > 0)
) ON COMMIT DROP;
CREATE TEMP TABLE touched (
    no integer NOT NULL, k smallint NOT NULL, object_id bigint NOT NULL, weight double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE crowd (tid bigint NOT NULL, log_crowd double precision NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE extra (tid bigint NOT NULL, log_extra double precision NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE share (
    part smallint NOT NULL, mask smallint NOT NULL, log_back double precision NOT NULL,
    log_alone double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE pattern_prior (
    stratum smallint NOT NULL, mask smallint NOT NULL, log_odds double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE edge_prior (
    no integer NOT NULL, mask smallint NOT NULL, log_odds double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE posterior (
    no integer NOT NULL, id bigint NOT NULL, is_shifted boolean NOT NULL, rank integer NOT NULL, ks smallint[] NOT NULL,
    members bigint[] NOT NULL, sep_arcsec double precision, log_bf double precision NOT NULL, p_single double precision,
    p_any double precision NOT NULL, p_i double precision, match_flag smallint NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE cut (k smallint NOT NULL, part smallint NOT NULL, cutoff double precision NOT NULL) ON COMMIT DROP;

-- name: forget
-- Drop the tables of a previous match in the same transaction.
DROP TABLE IF EXISTS pg_temp.target, pg_temp.curve, pg_temp.association, pg_temp.touched, pg_temp.crowd, pg_temp.extra,
                     pg_temp.share, pg_temp.pattern_prior, pg_temp.edge_prior, pg_temp.posterior, pg_temp.cut;

-- name: index_targets
-- Targets are looked up by number.
ALTER TABLE pg_temp.target ADD PRIMARY KEY (no);

-- name: index_targets_by_position
-- For the search of fast objects, which look for targets by position.
CREATE INDEX IF NOT EXISTS target_q3c_idx ON pg_temp.target (public.q3c_ang2ipix(ra, dec));

-- name: mean_epoch
-- Of the objects that move.
SELECT avg(epoch_yr) FROM {haystack} WHERE pmra_mas_yr IS NOT NULL;

-- name: located_by_join
-- Pairs of the positional join of a slice of targets; NaN is the density of a catalogue that has not searched there.
pg_temp.target AS t JOIN {haystack} AS h ON public.q3c_join(t.ra, t.dec, h.ra, h.dec, %(search_arcsec)s / 3600)
WHERE t.no > %(after)s AND t.no <= %(upto)s AND t.log_nu[%(k)s] <> 'NaN'

-- name: located_by_motion
-- Pairs that the search at the catalogue's epoch has missed.
pg_temp.pair AS p JOIN pg_temp.target AS t ON t.no = p.object_id JOIN {haystack} AS h ON h.object_id = p.id
WHERE p.sep_arcsec > %(search_arcsec)s AND t.log_nu[%(k)s] <> 'NaN'

-- name: mover_needles
-- Objects that have moved by more than a margin between their epoch and that of a target, with the search radius
-- enlarged by that distance; motions of more than a degree are errors in the catalogue.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT h.object_id, h.ra, h.dec, %(radius_arcsec)s + m.arcsec
FROM {haystack} AS h
CROSS JOIN (SELECT min(epoch_yr) AS first_yr, max(epoch_yr) AS last_yr FROM pg_temp.target) AS s
CROSS JOIN LATERAL (SELECT coalesce(h.epoch_yr, %(epoch_yr)s::double precision) AS epoch_yr) AS e
CROSS JOIN LATERAL (
    SELECT sqrt(h.pmra_mas_yr ^ 2 + h.pmdec_mas_yr ^ 2) / 1000
           * greatest(s.last_yr - e.epoch_yr, e.epoch_yr - s.first_yr) AS arcsec) AS m
WHERE m.arcsec > %(margin_arcsec)s AND m.arcsec < 3600;

-- name: locate
-- Offset of every object from its target and its Bayes factor, in four nested selections, the innermost first (OFFSET 0
-- keeps the planner from computing the same sines again for every use):
--   1. sines and cosines; the proper motion, arcsec per year, and the years to the target's epoch;
--   2. east and north component of the direction, of length sin(separation); the angle between the two meridians;
--   3. offset, with the motion turned into the target's axes, and the covariance matrix, turned likewise, to which an
--      uncertain epoch of the target adds along the motion;
--   4. the Bayes factor of "same object" against "chance" for two Gaussian positions with covariances C1 and C2,
--      ln B = ln 2 + 2 ln(206264.8) - ln det(C1 + C2) / 2 - d (C1 + C2)^-1 d / 2
--      (Budavari & Szalay 2008, ApJ 679, 301; circles: their eq. 16).
-- Each is an association of one object, with weight B / nu: prior probability and magnitudes come later. They are
-- numbered in the order of targets and positions, in which all sums over them are taken: the last digit of a sum
-- depends on the order of its terms.
INSERT INTO pg_temp.association (
    no, id, is_shifted, part, stratum, mask, ks, members, x, y, cxx, cxy, cyy, move_x, move_y, unmoved_yr, log_members,
    log_back, log_bf, log_weight, marks)
SELECT no, id, is_shifted, part, stratum, 1 << (%(k)s - 1), ARRAY[%(k)s]::smallint[], ARRAY[object_id], x, y, cxx, cxy,
       cyy, move_x, move_y, unmoved_yr, 0, 0, log_bf, log_bf - log_nu, marks
FROM (
    SELECT *, ln(2) + 2 * ln(206264.80624709636) - ln(det) / 2
              - (syy * x * x - 2 * sxy * x * y + sxx * y * y) / det / 2 AS log_bf
    FROM (
        SELECT *, sxx * syy - sxy * sxy AS det
        FROM (
            SELECT no, id, is_shifted, part, stratum, log_nu, object_id, marks, xx + of_xx AS cxx, xy + of_xy AS cxy,
                   yy + of_yy AS cyy, tcxx + (xx + of_xx) AS sxx, tcxy + (xy + of_xy) AS sxy,
                   tcyy + (yy + of_yy) AS syy, east * arcsec + move_x * years AS x,
                   north * arcsec + move_y * years AS y, move_x, move_y, unmoved_yr
            FROM (
              SELECT *, (move_x * epoch_err_yr) ^ 2 AS of_xx, move_x * move_y * epoch_err_yr ^ 2 AS of_xy,
                     (move_y * epoch_err_yr) ^ 2 AS of_yy
              FROM (
                SELECT *, pm_east * cos_a - pm_north * turn AS move_x, pm_east * turn + pm_north * cos_a AS move_y,
                       206264.80624709636 * (1 + (east * east + north * north) / 6) AS arcsec,
                       CASE WHEN %(elliptical)s::boolean THEN (maj * u) ^ 2 + (mnr * v) ^ 2 ELSE maj * maj END AS xx,
                       CASE WHEN %(elliptical)s::boolean THEN (maj * maj - mnr * mnr) * u * v ELSE 0 END AS xy,
                       CASE WHEN %(elliptical)s::boolean THEN (maj * v) ^ 2 + (mnr * u) ^ 2 ELSE maj * maj END AS yy
                FROM (
                    SELECT *, cos_d * sin_a AS east, cos_dec * sin_d - sin_dec * cos_d * cos_a AS north,
                           sin_dec * sin_a AS turn,
                           cos_a * sin_pa - sin_dec * sin_a * cos_pa AS u,
                           sin_dec * sin_a * sin_pa + cos_a * cos_pa AS v
                    FROM (
                        SELECT t.no, t.id, t.is_shifted, t.part, t.stratum, t.log_nu[%(k)s] AS log_nu, t.sin_dec,
                               t.cos_dec, t.epoch_err_yr, t.cxx AS tcxx, t.cxy AS tcxy, t.cyy AS tcyy, h.object_id,
                               sin(radians(h.ra - t.ra)) AS sin_a, cos(radians(h.ra - t.ra)) AS cos_a,
                               sin(radians(h.dec)) AS sin_d, cos(radians(h.dec)) AS cos_d,
                               CASE WHEN %(elliptical)s::boolean
                                    THEN coalesce(h.err_maj_arcsec, h.err_arcsec)::double precision
                                    ELSE h.err_arcsec::double precision END AS maj,
                               CASE WHEN %(elliptical)s::boolean
                                    THEN coalesce(h.err_min_arcsec, h.err_arcsec)::double precision END AS mnr,
                               CASE WHEN %(elliptical)s::boolean
                                    THEN sin(radians(coalesce(h.err_pa_deg, 0))) END AS sin_pa,
                               CASE WHEN %(elliptical)s::boolean
                                    THEN cos(radians(coalesce(h.err_pa_deg, 0))) END AS cos_pa,
                               CASE WHEN %(moves)s::boolean
                                    THEN coalesce(h.pmra_mas_yr, 0) / 1000 ELSE 0 END AS pm_east,
                               CASE WHEN %(moves)s::boolean
                                    THEN coalesce(h.pmdec_mas_yr, 0) / 1000 ELSE 0 END AS pm_north,
                               coalesce(t.epoch_yr - coalesce(h.epoch_yr, %(epoch_yr)s::double precision), 0) AS years,
                               CASE WHEN %(moves)s::boolean AND h.pmra_mas_yr IS NOT NULL THEN 0
                                    ELSE coalesce(coalesce(t.epoch_yr, %(common_yr)s::double precision)
                                                  - coalesce(h.epoch_yr, %(epoch_yr)s::double precision), 0)
                                    END AS unmoved_yr,
                               {marks} AS marks
                        FROM {pairs}
                        ORDER BY t.no, h.dec, h.ra, h.object_id
                        OFFSET 0) AS trigonometry
                    OFFSET 0) AS direction
                ) AS shape
              ) AS with_epoch
            OFFSET 0) AS offsets
        WHERE x * x + y * y <= (%(radius_arcsec)s * (1 + 1e-12)) ^ 2
        ) AS near
    OFFSET 0) AS weighed;

-- name: chances
-- Probability that a target has a counterpart in any catalogue.
SELECT no, p_any FROM pg_temp.posterior WHERE rank = 1;

-- name: chances_by_catalogue
-- The same for each catalogue, summed over the hypotheses of the others.
SELECT no, least(sum(p), 1) AS p_any, k::integer AS k
FROM (SELECT no, k, p_any * p_i AS p
      FROM pg_temp.posterior, unnest(ks) AS k WHERE rank > 0 ORDER BY no, k, rank) AS sorted
GROUP BY no, k;

-- name: candidates_of
-- Target of every object of a catalogue within the radius.
SELECT no FROM pg_temp.association WHERE mask = 1 << (%(k)s - 1);

-- name: store_candidates
-- Every object within the radius with its share p_i of the probability of a counterpart in this catalogue. The best is
-- marked; of equal ones the nearest, then the first.
SELECT %(run_id)s AS run_id, id AS source_id, %(catalogue_id)s AS catalogue_id, object_id, sep_arcsec,
       log_bf AS log_bayes_factor, CASE WHEN share > 1e-30 THEN least(share, 1) ELSE 0 END AS p_i,
       row_number() OVER (PARTITION BY no ORDER BY share DESC, sep_arcsec, object_id) = 1 AS is_best
FROM (
    SELECT no, id, object_id, sep_arcsec, log_bf, p / sum(p) OVER (
               PARTITION BY no ORDER BY object_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS share
    FROM (
        SELECT no, min(id) AS id, object_id, sum(p_i) AS p,
               min(sep_arcsec) FILTER (WHERE is_single) AS sep_arcsec, min(log_bf) FILTER (WHERE is_single) AS log_bf
        FROM (SELECT no, id, m.object_id, p_i, sep_arcsec, log_bf, cardinality(ks) = 1 AS is_single
              FROM pg_temp.posterior
              CROSS JOIN LATERAL (SELECT members[array_position(ks, %(k)s::smallint)] AS object_id) AS m
              WHERE %(k)s = ANY (ks) AND NOT is_shifted
              ORDER BY no, m.object_id, rank) AS sorted
        GROUP BY no, object_id) AS s) AS c;

-- name: store_candidates_of_one
-- The same for a match with one catalogue, where every hypothesis is one object.
SELECT %(run_id)s AS run_id, id AS source_id, %(catalogue_id)s AS catalogue_id, members[1] AS object_id, sep_arcsec,
       log_bf AS log_bayes_factor, CASE WHEN p_i > 1e-30 THEN p_i ELSE 0 END AS p_i, rank = 1 AS is_best
FROM pg_temp.posterior
WHERE rank > 0 AND NOT is_shifted;

-- name: store_hypotheses
-- Hypotheses above a probability, the best ones, and "no counterpart".
SELECT %(run_id)s AS run_id, p.id AS source_id, p.rank,
       CASE cardinality(p.ks) WHEN 0 THEN '{{}}' WHEN 1 THEN ARRAY[i.ids[p.ks[1]]]
                              ELSE ARRAY(SELECT i.ids[k] FROM unnest(p.ks) WITH ORDINALITY AS u (k, n) ORDER BY n)
       END AS catalogues,
       p.members AS objects, p.log_bf AS log_bayes_factor,
       CASE WHEN p.rank = 0 THEN 1 - p.p_any WHEN p.p_any * p.p_i > 1e-30 THEN p.p_any * p.p_i ELSE 0
       END AS p_hypothesis, p.p_i, p.match_flag
FROM pg_temp.posterior AS p
CROSS JOIN (SELECT %(catalogue_ids)s::smallint[] AS ids) AS i
WHERE NOT p.is_shifted AND (p.rank = 0 OR p.match_flag > 0 OR p.p_any * p.p_i >= %(min_p)s);

-- name: sources
-- Sources, the mission being their group. Their order, by which shifted positions are drawn, comes from the data alone:
-- the missions as given, then their own ids.
SELECT s.source_id, m.place::smallint, s.ra, s.dec, s.err_arcsec, coalesce(s.err_maj_arcsec, 'NaN'),
       coalesce(s.err_min_arcsec, 'NaN'), coalesce(s.err_pa_deg, 'NaN'), coalesce(s.epoch_yr, 'NaN')
FROM xcat.source AS s
JOIN unnest(%(catalogue_ids)s::smallint[]) WITH ORDINALITY AS m (catalogue_id, place) USING (catalogue_id)
LEFT JOIN xcat.source_identity AS i ON i.source_id = s.source_id
WHERE s.run_id = %(source_run_id)s
ORDER BY m.place, i.mission_source, s.source_id;

-- name: field_names
-- Observations of a merge run's detections, numbered from 0 in this order.
SELECT DISTINCT m.catalogue_id, d.obs_id
FROM xcat.source_detection AS m
JOIN xcat.detection AS d USING (catalogue_id, object_id)
WHERE m.run_id = %(source_run_id)s AND d.obs_id IS NOT NULL
ORDER BY 1, 2;

-- name: fields
-- Observation of each source's best detection, where the mission names observations; of equal ones the first by its id.
SELECT DISTINCT ON (source_id) source_id, field::integer
FROM (
    SELECT m.source_id, d.err_arcsec, d.native_id, dense_rank() OVER (ORDER BY m.catalogue_id, d.obs_id) - 1 AS field
    FROM xcat.source_detection AS m
    JOIN xcat.detection AS d USING (catalogue_id, object_id)
    WHERE m.run_id = %(source_run_id)s AND d.obs_id IS NOT NULL) AS f
ORDER BY source_id, err_arcsec, native_id;

-- name: secure
-- Offsets of secure counterparts; of a hypothesis of several objects, of their mean position.
SELECT t.id, a.x, a.y, (t.cxx + t.cyy + a.cxx + a.cyy) / 2 AS variance
FROM pg_temp.posterior AS p
JOIN pg_temp.target AS t USING (no)
JOIN pg_temp.association AS a ON a.no = p.no AND a.ks = p.ks AND a.members = p.members
WHERE p.rank = 1 AND p.p_any * p.p_i > %(secure)s AND NOT t.is_shifted
ORDER BY p.no;

-- name: strata
-- The strata of a match run, with what it learned of each.
SELECT * FROM xcat.match_stratum WHERE run_id = %(run_id)s ORDER BY source_kind;

-- name: curves
-- The curves of magnitudes that a match run learned, bin by bin.
SELECT pattern, term_no, source_kind, catalogue_id, term, part, n_sources, bin_low, bin_high, density_counterparts,
       density_field, log_ratio
FROM xcat.magnitude_prior
WHERE run_id = %(run_id)s
ORDER BY pattern, term_no, source_kind, bin_low;

-- name: cut_outs
-- Density of the catalogues that were cut-outs around the sources of a match run.
SELECT * FROM xcat.match_cut_out WHERE run_id = %(run_id)s ORDER BY catalogue_id;

-- name: catalogues_of
-- Names and numbers of the catalogues that a match run and its merge run have read.
SELECT k.name, k.catalogue_id
FROM xcat.run AS r
JOIN xcat.run_catalogue AS c ON c.run_id IN (r.run_id, r.source_run_id)
JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE r.run_id = %(run_id)s;

-- name: calibration
-- False matches at shifted positions against p_any, as a match run measured them.
SELECT * FROM xcat.calibration WHERE run_id = %(run_id)s ORDER BY catalogue_id NULLS FIRST, part, is_chosen, cutoff;

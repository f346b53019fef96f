-- name: needles
-- Sources to look for, with one search radius.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec, %(radius_arcsec)s::double precision
FROM xcat.source
WHERE run_id = %(source_run_id)s AND catalogue_id = %(xray_catalogue_id)s;

-- name: mover_needles
-- Objects that have moved by more than a margin between their epoch and that of a source, searched around as far as
-- they came; a motion of more than a degree is a mistake.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT h.object_id, h.ra, h.dec, %(radius_arcsec)s + m.arcsec
FROM {haystack} AS h
CROSS JOIN (
    SELECT min(epoch_yr) AS first_yr, max(epoch_yr) AS last_yr
    FROM xcat.source
    WHERE run_id = %(source_run_id)s AND catalogue_id = %(xray_catalogue_id)s) AS s
CROSS JOIN LATERAL (SELECT coalesce(h.epoch_yr, %(epoch_yr)s::double precision) AS epoch_yr) AS e
CROSS JOIN LATERAL (
    SELECT sqrt(h.pmra_mas_yr ^ 2 + h.pmdec_mas_yr ^ 2) / 1000
           * greatest(s.last_yr - e.epoch_yr, e.epoch_yr - s.first_yr) AS arcsec) AS m
WHERE m.arcsec > %(margin_arcsec)s AND m.arcsec < 3600;

-- name: keep_movers
-- Their pairs, the source first as in every other pair, kept through the search from the sources' side.
INSERT INTO pg_temp.mover SELECT object_id, id, sep_arcsec FROM pg_temp.pair;

-- name: add_movers
-- Pairs that the search at the catalogue's epoch has missed.
INSERT INTO pg_temp.pair (id, object_id, sep_arcsec)
SELECT m.id, m.object_id, m.sep_arcsec
FROM pg_temp.mover AS m
JOIN pg_temp.needle AS n ON n.id = m.id
WHERE m.sep_arcsec > n.radius_arcsec;

-- name: make_work
-- Densities, completenesses and weights of the sources and catalogue at hand.
CREATE TEMP TABLE mover (id bigint NOT NULL, object_id bigint NOT NULL, sep_arcsec double precision NOT NULL)
ON COMMIT DROP;
CREATE TEMP TABLE density (id bigint PRIMARY KEY, density_per_deg2 double precision NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE completeness (id bigint PRIMARY KEY, completeness double precision NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE weight (
    id bigint NOT NULL, object_id bigint NOT NULL, sep_arcsec double precision NOT NULL,
    log_bayes_factor double precision NOT NULL, weight double precision NOT NULL
) ON COMMIT DROP;

-- name: clear_work
-- Forget the catalogue before.
TRUNCATE pg_temp.mover, pg_temp.density, pg_temp.completeness, pg_temp.weight;

-- name: density_constant
-- One density for the whole catalogue.
INSERT INTO pg_temp.density SELECT id, %(density_per_deg2)s::double precision FROM pg_temp.needle;

-- name: density_local
-- Density in a ring around each source. A few counts say little, so they are pulled towards the mean over all sources,
-- with the strength that the scatter of the counts asks for: a Gamma distribution of densities with the mean and the
-- variance that are left when the Poisson noise is taken away has the shape k = mean^2 / (variance - mean).
INSERT INTO pg_temp.density
SELECT id, (n_objects + k) / (%(area_deg2)s * (1 + k / mean))
FROM pg_temp.ring,
     (SELECT mean, mean ^ 2 / greatest(variance - mean, 0.01 * mean) AS k
      FROM (SELECT greatest(avg(n_objects), 1e-3)::double precision AS mean,
                   coalesce(var_samp(n_objects), 0)::double precision AS variance
            FROM pg_temp.ring) AS moments) AS prior;

-- name: count_objects
-- Rows of the catalogue.
SELECT count(*) FROM {haystack};

-- name: weigh
-- Bayes factor of "same object" against "chance" for circular Gaussian errors, sigma per axis in radians,
--   B = 2 / (s1^2 + s2^2) * exp(-psi^2 / (2 (s1^2 + s2^2)))      (Budavari & Szalay 2008, eq. 16)
-- and the weight of the candidate, B over the number of catalogue objects on a sky of this density. A candidate with a
-- proper motion is moved to the epoch of the source first, in the tangent plane, since next to a pole the motion in right
-- ascension is no small angle; it is a candidate if it is within the search radius then.
INSERT INTO pg_temp.weight (id, object_id, sep_arcsec, log_bayes_factor, weight)
SELECT id, object_id, sep_arcsec, log_bayes_factor,
       exp(greatest(log_bayes_factor, -500)) / (density_per_deg2 * 41252.96124941928)
FROM (
    SELECT p.id, p.object_id, m.sep_arcsec, d.density_per_deg2,
           ln(2) + 2 * ln(206264.80624709636) - ln(v.arcsec2) - m.sep_arcsec ^ 2 / (2 * v.arcsec2) AS log_bayes_factor
    FROM pg_temp.pair AS p
    JOIN pg_temp.density AS d USING (id)
    JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = p.id
    JOIN {haystack} AS h ON h.object_id = p.object_id
    CROSS JOIN LATERAL (
        SELECT s.err_arcsec::double precision ^ 2 + h.err_arcsec::double precision ^ 2 AS arcsec2,
               (s.epoch_yr - coalesce(h.epoch_yr, %(epoch_yr)s::double precision)) / 3.6e6 AS mas_to_deg) AS v
    CROSS JOIN LATERAL (
        SELECT radians(h.pmra_mas_yr * v.mas_to_deg) AS east, radians(h.pmdec_mas_yr * v.mas_to_deg) AS north) AS t
    CROSS JOIN LATERAL (
        SELECT cosd(h.dec) - t.north * sind(h.dec) AS across, sind(h.dec) + t.north * cosd(h.dec) AS up) AS o
    CROSS JOIN LATERAL (
        SELECT coalesce(public.q3c_dist(s.ra, s.dec, h.ra + atan2d(t.east, o.across),
                                        atan2d(o.up, sqrt(o.across ^ 2 + t.east ^ 2))) * 3600,
                        p.sep_arcsec) AS sep_arcsec) AS m
) AS b
WHERE sep_arcsec <= %(radius_arcsec)s;

-- name: sums
-- Sum of the weights of each source's candidates, 0 without any; the density around the source, and its error.
SELECT d.id, d.density_per_deg2, s.err_arcsec, coalesce(w.weights, 0)::double precision AS weights
FROM pg_temp.density AS d
JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = d.id
LEFT JOIN (SELECT id, sum(weight) AS weights FROM pg_temp.weight GROUP BY id) AS w USING (id);

-- name: completeness_constant
-- One completeness for all sources.
INSERT INTO pg_temp.completeness SELECT id, %(completeness)s::double precision FROM pg_temp.density;

-- name: store_match
-- p_any = c S / (c S + 1 - c), S the sum of weights: the share of "has a counterpart" among all hypotheses. With
-- none_weight the hypothesis of none has that weight instead (NWAY: 1).
INSERT INTO {match} (run_id, source_id, catalogue_id, n_candidates, density_per_deg2, completeness, p_any)
SELECT %(run_id)s, id, %(catalogue_id)s, n_candidates, density_per_deg2, completeness,
       CASE WHEN p_any < 1e-30 THEN 0 ELSE p_any END
FROM (
    SELECT d.id, coalesce(g.n, 0) AS n_candidates, d.density_per_deg2, c.completeness,
           coalesce(c.completeness * g.s / (c.completeness * g.s + coalesce(%(none_weight)s::double precision, 1 - c.completeness)), 0)
           AS p_any
    FROM pg_temp.density AS d
    JOIN pg_temp.completeness AS c USING (id)
    LEFT JOIN (SELECT id, count(*) AS n, sum(weight) AS s FROM pg_temp.weight GROUP BY id) AS g USING (id)
) AS m;

-- name: store_candidates
-- p_i = w / S, 0 where it is too small for a real; the best candidate is marked, of equals the nearest, then the first.
INSERT INTO {match_candidate} (
    run_id, source_id, catalogue_id, object_id, sep_arcsec, log_bayes_factor, p_i, is_best)
SELECT %(run_id)s, id, %(catalogue_id)s, object_id, sep_arcsec, log_bayes_factor,
       CASE WHEN share < 1e-30 THEN 0 ELSE least(1, share) END, rank = 1
FROM (
    SELECT id, object_id, sep_arcsec, log_bayes_factor, weight / sum(weight) OVER (PARTITION BY id) AS share,
           row_number() OVER (PARTITION BY id ORDER BY weight DESC, sep_arcsec, object_id) AS rank
    FROM pg_temp.weight
) AS w;

-- name: count
-- What was matched.
SELECT count(*) AS sources, count(*) FILTER (WHERE n_candidates > 0) AS with_candidates,
       coalesce(sum(n_candidates), 0) AS candidates, count(*) FILTER (WHERE p_any >= %(min_p_any)s) AS accepted,
       avg(density_per_deg2) AS mean_density_per_deg2, avg(completeness)::double precision AS completeness
FROM {match}
WHERE catalogue_id = %(catalogue_id)s AND source_id IN (SELECT id FROM pg_temp.needle);

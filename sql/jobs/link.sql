-- name: needles
-- Sources, with the largest distance of the same object in another mission: from their error and the largest error of
-- all, up to a limit.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec,
       least(%(max_sep_arcsec)s::double precision,
             greatest(%(reach_sigma)s * err_arcsec, %(min_reach_arcsec)s)
             + (SELECT max(greatest(%(reach_sigma)s * err_arcsec, %(min_reach_arcsec)s)) FROM {source}))
FROM {source};

-- name: candidates
-- Pairs of sources of two missions that are close enough for their errors, each once: the earlier mission first.
SELECT p.id, p.object_id, p.sep_arcsec, a.err_arcsec::double precision, b.err_arcsec::double precision
FROM pg_temp.pair AS p
JOIN {source} AS a ON a.source_id = p.id
JOIN {source} AS b ON b.source_id = p.object_id
WHERE array_position(%(catalogue_ids)s::smallint[], a.catalogue_id)
      < array_position(%(catalogue_ids)s::smallint[], b.catalogue_id)
  AND p.sep_arcsec < greatest(%(reach_sigma)s * a.err_arcsec, %(min_reach_arcsec)s)
                     + greatest(%(reach_sigma)s * b.err_arcsec, %(min_reach_arcsec)s);

-- name: sources
-- Every source with its mission, in an order that the data alone decide: the missions as given, then their own ids.
SELECT s.source_id, s.catalogue_id, s.err_arcsec, coalesce(s.snr, -1)
FROM {source} AS s
LEFT JOIN xcat.source_identity AS i USING (source_id)
ORDER BY array_position(%(catalogue_ids)s::smallint[], s.catalogue_id), i.mission_source, s.source_id;

-- name: members_before
-- Membership in an earlier link run; the status as its index in the list.
SELECT source_id, master_id, array_position(%(statuses)s::text[], status) - 1
FROM xcat.master_source
WHERE run_id = %(run_id)s
ORDER BY source_id;

-- name: new_masters
-- Numbers for new master sources.
INSERT INTO xcat.master_identity (first_run_id)
SELECT %(run_id)s FROM generate_series(1, %(n)s)
RETURNING master_id;

-- name: make_factors
-- Factors that convert the fluxes of each mission to 0.2-12 keV; a mission without fluxes has no row.
CREATE TEMP TABLE flux_factor (catalogue_id smallint PRIMARY KEY, factor double precision NOT NULL) ON COMMIT DROP;

-- name: masters
-- Master sources. Positions are averaged as unit vectors with the weights 1/sigma^2, so that RA = 0 and the poles need
-- no care. Fluxes are those of all detections of all members, in 0.2-12 keV, but for detections with flaws. A detection
-- has a positive flux; other observations give an upper limit, their own or F + 3 sigma, which counts for the smallest
-- flux. The pair (flux, error) is compared as an array: by the flux first. A master source has one source per mission,
-- so that members are summed in the order of the missions, whatever their numbers.
WITH member AS MATERIALIZED (
    SELECT m.master_id, m.status, s.source_id, s.catalogue_id, s.ra, s.dec, s.n_detections, s.mjd_first, s.mjd_last,
           s.flux_is_doubtful, 1 / s.err_arcsec::double precision ^ 2 AS w
    FROM {master_source} AS m
    JOIN {source} AS s USING (source_id)
), observed AS (
    SELECT m.master_id, k.factor, d.flux_cgs::double precision AS flux,
           nullif(d.flux_err_cgs::double precision, 0) AS err, d.flux_upper_cgs::double precision AS upper
    FROM member AS m
    JOIN {source_detection} AS sd USING (source_id)
    JOIN xcat.detection AS d ON d.catalogue_id = sd.catalogue_id AND d.object_id = sd.object_id
    JOIN pg_temp.flux_factor AS k ON k.catalogue_id = sd.catalogue_id
    WHERE d.flaws IS NULL AND NOT m.flux_is_doubtful
), in_band AS (
    SELECT master_id, CASE WHEN flux > 0 THEN flux * factor END AS flux,
           CASE WHEN flux > 0 AND err > 0 THEN err * factor END AS err,
           CASE WHEN flux > 0 THEN NULL
                WHEN upper > 0 THEN upper * factor
                WHEN err > 0 AND flux + 3 * err > 0 THEN (flux + 3 * err) * factor END AS upper
    FROM observed
), flux AS (
    SELECT master_id, count(flux) AS n_fluxes, count(err) AS n_errors, count(upper) AS n_limits,
           min(flux) AS low, max(flux) AS high, max(flux - err) AS high_less,
           least(min(flux + err), min(upper)) AS low_more, max(ARRAY[flux, err]) FILTER (WHERE err > 0) AS top,
           min(ARRAY[flux, err]) FILTER (WHERE err > 0) AS bottom
    FROM in_band
    GROUP BY master_id
), place AS (
    SELECT master_id, sum(w * cosd(ra) * cosd(dec)) AS x, sum(w * sind(ra) * cosd(dec)) AS y, sum(w * sind(dec)) AS z,
           1 / sqrt(sum(w)) AS err_arcsec, count(DISTINCT catalogue_id) AS n_missions, count(*) AS n_sources,
           sum(n_detections) AS n_detections, bool_or(status = 'ambiguous') AS is_ambiguous,
           min(mjd_first) AS mjd_first, max(mjd_last) AS mjd_last
    FROM (SELECT *
          FROM member
          ORDER BY master_id, array_position(%(catalogue_ids)s::smallint[], catalogue_id), source_id) AS sorted
    GROUP BY master_id
)
SELECT %(run_id)s AS run_id, p.*, coalesce(f.n_limits, 0) AS n_upper_limits,
       -- atan2d gives (-180, 180]; a tiny negative angle plus 360 may round to 360 itself
       CASE WHEN atan2d(y, x) >= 0 THEN atan2d(y, x) WHEN atan2d(y, x) + 360 >= 360 THEN 0
            ELSE atan2d(y, x) + 360 END AS ra,
       atan2d(z, sqrt(x * x + y * y)) AS dec, f.low AS flux_std_min_cgs, f.high AS flux_std_max_cgs,
       CASE WHEN f.n_fluxes > 1 THEN f.high / f.low END AS flux_ratio,
       CASE WHEN f.n_errors > 0 AND f.n_errors + f.n_limits > 1 AND f.high_less > 0
            THEN f.high_less / f.low_more END AS flux_ratio_low,
       CASE WHEN f.n_errors > 1
            THEN (f.top[1] - f.bottom[1]) / sqrt(f.top[2] ^ 2 + f.bottom[2] ^ 2) END AS flux_ratio_sigma
FROM place AS p
LEFT JOIN flux AS f USING (master_id);

-- name: count_pairs
-- Pairs of every two missions, by status.
SELECT least(ka.name, kb.name) AS mission, greatest(ka.name, kb.name) AS other,
       count(*) FILTER (WHERE l.status = 'accepted') AS linked,
       count(*) FILTER (WHERE l.status = 'ambiguous') AS ambiguous,
       count(*) FILTER (WHERE l.status = 'rejected') AS rejected
FROM {source_link} AS l
JOIN {source} AS a USING (source_id)
JOIN {source} AS b ON b.source_id = l.other_source_id
JOIN xcat.catalogue AS ka ON ka.catalogue_id = a.catalogue_id
JOIN xcat.catalogue AS kb ON kb.catalogue_id = b.catalogue_id
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: count_reasons
-- Pairs by status and reason.
SELECT status, reason, count(*) AS pairs FROM {source_link} GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2;

-- name: count_missions
-- Sources of each mission, by status.
SELECT k.name AS mission, count(*) AS sources, count(*) FILTER (WHERE m.status = 'single') AS single,
       count(*) FILTER (WHERE m.status = 'linked') AS linked,
       count(*) FILTER (WHERE m.status = 'ambiguous') AS ambiguous
FROM {master_source} AS m
JOIN {source} AS s USING (source_id)
JOIN xcat.catalogue AS k USING (catalogue_id)
GROUP BY 1
ORDER BY 1;

-- name: count_masters
-- Master sources by number of missions, and those with flux ratios.
SELECT count(*) AS masters, count(*) FILTER (WHERE n_missions = 1 AND NOT is_ambiguous) AS of_one_mission,
       count(*) FILTER (WHERE n_missions = 2) AS of_two_missions,
       count(*) FILTER (WHERE n_missions > 2) AS of_more_missions, count(*) FILTER (WHERE is_ambiguous) AS ambiguous,
       count(flux_ratio) AS with_flux_ratio, count(flux_ratio_low) AS with_flux_ratio_low,
       count(*) FILTER (WHERE flux_ratio_low > 5) AS ratio_low_above_5
FROM {master};

-- name: count_changes
-- Changes of membership against the previous link run.
SELECT count(*) FILTER (WHERE change = 'new') AS new, count(*) FILTER (WHERE change = 'moved') AS moved,
       count(*) FILTER (WHERE change = 'marked') AS marked, count(*) FILTER (WHERE change = 'gone') AS gone
FROM xcat.master_change
WHERE run_id = %(run_id)s;

-- name: make_work
-- Source of the mission that each detection belongs to, before sources have numbers; and the groups of detections by
-- position.
CREATE TEMP TABLE member (object_id bigint PRIMARY KEY, mission_source text COLLATE "C" NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE component (object_id bigint PRIMARY KEY, component integer NOT NULL) ON COMMIT DROP;

-- name: members_by_name
-- The mission names the source of each detection; a row without a name is a source by itself.
INSERT INTO pg_temp.member (object_id, mission_source)
SELECT object_id, coalesce(source_native_id, native_id)
FROM {detection};

-- name: needles
-- Detections to be grouped by position; two belong together within so many combined per-axis sigmas.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT object_id, ra, dec,
       least(%(n_sigma)s * sqrt(err_arcsec ^ 2 + (SELECT max(err_arcsec) FROM {detection}) ^ 2),
             %(max_radius_arcsec)s)
FROM {detection};

-- name: links
-- Pairs of detections that may be one source by their positional errors.
SELECT p.id, p.object_id
FROM pg_temp.pair AS p
JOIN {detection} AS a ON a.object_id = p.id
JOIN {detection} AS b ON b.object_id = p.object_id
WHERE p.id < p.object_id
  AND p.sep_arcsec < %(n_sigma)s * sqrt(a.err_arcsec ^ 2 + b.err_arcsec ^ 2);

-- name: detection_ids
-- Every detection.
SELECT object_id FROM {detection} ORDER BY object_id;

-- name: name_components
-- A group is named after the native id of its first detection, which a later release does not change.
INSERT INTO pg_temp.member (object_id, mission_source)
SELECT c.object_id, min(d.native_id) OVER (PARTITION BY c.component)
FROM pg_temp.component AS c
JOIN {detection} AS d USING (object_id);

-- name: number_sources
-- Give a number to every new source.
INSERT INTO xcat.source_identity (catalogue, mission_source, first_run_id)
SELECT %(catalogue)s, mission_source, %(run_id)s
FROM (SELECT DISTINCT mission_source FROM pg_temp.member) AS m
ORDER BY mission_source
ON CONFLICT (catalogue, mission_source) DO NOTHING;

-- name: source_detections
-- Membership, one row per detection.
INSERT INTO {source_detection} (run_id, source_id, catalogue_id, object_id)
SELECT %(run_id)s, i.source_id, %(catalogue_id)s, m.object_id
FROM pg_temp.member AS m
JOIN xcat.source_identity AS i ON i.catalogue = %(catalogue)s AND i.mission_source = m.mission_source;

-- name: sources
-- Detections to sources. Fluxes are means with the weights of effective exposures: see docs/explanation/fluxes.md.
-- Positions are averaged as unit vectors with 1/sigma^2, so that RA = 0 and the poles need no care; epochs with these
-- weights, too. Where the catalogue repeats the source's position on each detection (shared_position), the error is not
-- divided by the number of detections, and the ellipse is that of the detection with the smallest error. Error ellipses
-- are added as precision matrices over east and north, a detection without one being a circle; the error of the source
-- is then that of a circle of equal area. The rotation of north between detections is neglected: it matters only within
-- arcminutes of a pole. A missing hardness ratio is computed from the band fluxes, its error propagated from theirs. A
-- source without a name is named after its position. Detections are sorted before they are summed: the last digit of a
-- sum depends on the order of its terms.
WITH d AS (
    SELECT i.source_id, i.mission_source, det.*,
           coalesce(det.epoch_yr, 2000 + (det.mjd - 51544.5) / 365.25, %(epoch_yr)s::double precision) AS epoch,
           1 / det.err_arcsec::double precision ^ 2 AS w, e.*, f.*,
           sind(e.pa) ^ 2 / e.major ^ 2 + cosd(e.pa) ^ 2 / e.minor ^ 2 AS p_ee,
           cosd(e.pa) ^ 2 / e.major ^ 2 + sind(e.pa) ^ 2 / e.minor ^ 2 AS p_nn,
           sind(e.pa) * cosd(e.pa) * (1 / e.major ^ 2 - 1 / e.minor ^ 2) AS p_en,
           -- counts per flux, of N counts with flux = N / k and error^2 = (N + 1) / k^2; two forms against cancellation
           CASE WHEN f.flux < 0 THEN 2 / (sqrt(f.flux ^ 2 + 4 * f.err ^ 2) - f.flux)
                ELSE (f.flux + sqrt(f.flux ^ 2 + 4 * f.err ^ 2)) / (2 * f.err ^ 2) END AS k,
           -- 1: fluxes are wrong; 2: hardness ratios are wrong, too
           CASE WHEN det.flaws IS NULL THEN 0
                WHEN string_to_array(det.flaws, ' ') && %(spoiling)s::text[] THEN 2 ELSE 1 END AS grade,
           det.flux_cgs > greatest(det.flux_err_cgs, 0) AS is_seen
    FROM {detection} AS det
    JOIN pg_temp.member AS m USING (object_id)
    JOIN {identity} AS i
      ON i.catalogue = %(catalogue)s AND i.mission_source = m.mission_source
    CROSS JOIN LATERAL (
        SELECT det.err_maj_arcsec + det.err_min_arcsec + det.err_pa_deg IS NOT NULL AS is_ellipse
    ) AS has
    CROSS JOIN LATERAL (
        SELECT has.is_ellipse,
               CASE WHEN has.is_ellipse THEN det.err_maj_arcsec ELSE det.err_arcsec END::double precision AS major,
               CASE WHEN has.is_ellipse THEN det.err_min_arcsec ELSE det.err_arcsec END::double precision AS minor,
               CASE WHEN has.is_ellipse THEN det.err_pa_deg ELSE 0 END::double precision AS pa
    ) AS e
    CROSS JOIN LATERAL (  -- an upper limit is F + 3 sigma of a flux of .6 sigma; an error of zero is none
        SELECT coalesce(det.flux_cgs, det.flux_upper_cgs / 6)::double precision AS flux,
               nullif(greatest(CASE WHEN det.flux_cgs IS NOT NULL THEN det.flux_err_cgs
                                    ELSE det.flux_upper_cgs * 5 / 18 END, 0), 0)::double precision AS err
    ) AS f
), graded AS (
    SELECT d.*, coalesce(min(grade) FILTER (WHERE is_seen) OVER s, min(grade) OVER s) AS best_grade,
           sum(k) FILTER (WHERE grade = 0 AND flux_cgs IS NOT NULL) OVER s
           / sum(k) FILTER (WHERE grade < 2 AND flux_cgs IS NOT NULL) OVER s AS good_share
    FROM d
    WINDOW s AS (PARTITION BY source_id ORDER BY flux, err, native_id
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), sorted AS (  -- the best detections of every source; but good ones of little exposure cannot do without the others
    SELECT graded.*,
           grade <= CASE WHEN best_grade = 0 AND good_share < %(least_share)s THEN 1 ELSE best_grade END AS is_used
    FROM graded
), weighed AS (
    SELECT sorted.*,
           CASE WHEN NOT is_used OR NOT bool_or(is_used AND k IS NOT NULL AND flux_cgs IS NOT NULL) OVER s THEN NULL
                WHEN flux_cgs IS NOT NULL
                     AND bool_and(coalesce(exposure_s > 0, false)) FILTER (WHERE is_used AND flux_cgs + k IS NOT NULL)
                         OVER s
                -- few counts say little of their exposure: the nearer to that which all detections agree on
                THEN (greatest(k * flux, 0) + %(prior_counts)s)
                     / (greatest(flux, 0) + %(prior_counts)s / (exposure_s
                        * sum(k) FILTER (WHERE is_used AND flux_cgs IS NOT NULL) OVER s
                        / sum(exposure_s) FILTER (WHERE is_used AND flux_cgs + k IS NOT NULL) OVER s))
                ELSE k END AS exposure
    FROM sorted
    WINDOW s AS (PARTITION BY source_id ORDER BY flux, err, native_id
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), summed AS (
    SELECT weighed.*,
           sum(exposure) FILTER (WHERE flux_cgs IS NOT NULL)
           OVER (PARTITION BY source_id ORDER BY flux, err, native_id ROWS UNBOUNDED PRECEDING) AS below,
           sum(exposure) FILTER (WHERE flux_cgs IS NOT NULL)
           OVER (PARTITION BY source_id ORDER BY flux, err, native_id
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS total
    FROM weighed
), centred AS (  -- the weighted median
    SELECT summed.*, min(flux) FILTER (WHERE flux_cgs IS NOT NULL AND exposure IS NOT NULL AND below >= total / 2)
                     OVER (PARTITION BY source_id) AS centre
    FROM summed
), agreeing AS (  -- weights of the detections that agree with it; equal ones where no flux has an error
    SELECT centred.*,
           CASE WHEN total IS NULL THEN CASE WHEN is_used THEN 1 END
                WHEN abs(flux - centre) <= %(outlying)s * sqrt(err ^ 2 + greatest((centre - flux) / k, 0)
                                                               + (%(systematic)s * centre) ^ 2) THEN exposure
           END::double precision AS fw, CASE WHEN total IS NOT NULL THEN flux ELSE flux_cgs END AS measured
    FROM centred
    ORDER BY source_id, mission_source, native_id
), s AS (
    SELECT source_id, coalesce(min(name), CASE WHEN %(named)s THEN mission_source END) AS name, count(*) AS n_rows,
           sum(w * cosd(ra) * cosd(dec)) AS x, sum(w * sind(ra) * cosd(dec)) AS y, sum(w * sind(dec)) AS z,
           sum(w) AS w, min(err_arcsec) AS best_err,
           bool_or(is_ellipse) AS has_ellipse, sum(p_ee) AS p_ee, sum(p_nn) AS p_nn, sum(p_en) AS p_en,
           -- arrays are compared by their first element first
           min(ARRAY[err_arcsec, major, minor, pa, is_ellipse::int]) AS best,
           sum(epoch * w) / sum(w) FILTER (WHERE epoch IS NOT NULL) AS epoch_yr, min(mjd) AS mjd_first,
           max(mjd) AS mjd_last, greatest(count(*), coalesce(max(n_detections), 1)) AS n_detections,
           {means},
           min(best_grade) AS grade, max(grade) AS worst, count(*) FILTER (WHERE grade > 0) AS n_flawed,
           string_agg(flaws, ' ') AS flaws,
           avg(gamma) FILTER (WHERE is_used) AS gamma, max(snr) AS snr, max(det_likelihood) AS det_likelihood,
           -- a ratio needs two positive fluxes
           CASE WHEN count(*) FILTER (WHERE grade <= best_grade AND flux_cgs > 0) > 1
                THEN max(flux_cgs) FILTER (WHERE grade <= best_grade AND flux_cgs > 0)
                     / min(flux_cgs) FILTER (WHERE grade <= best_grade AND flux_cgs > 0)
           END AS flux_ratio,
           CASE WHEN count(*) FILTER (WHERE grade <= best_grade AND flux_cgs > 0 AND flux_err_cgs > 0) > 1
                THEN nullif(greatest(max(flux_cgs - flux_err_cgs)
                                     FILTER (WHERE grade <= best_grade AND flux_cgs > 0 AND flux_err_cgs > 0), 0), 0)
                     / min(flux_cgs + flux_err_cgs)
                       FILTER (WHERE grade <= best_grade AND flux_cgs > 0 AND flux_err_cgs > 0)
           END AS flux_ratio_low,
           max(p_variable) FILTER (WHERE grade <= best_grade) AS p_variable, max(p_variable_long) AS p_variable_long,
           max(extent_arcsec) AS extent_arcsec, bit_or(quality_flag) AS quality_flag, avg(nh_gal_cm2) AS nh_gal_cm2
    FROM agreeing
    GROUP BY source_id, mission_source
), chosen AS (  -- the mission's own values are made of all detections: not where one of them spoils them
    SELECT s.*, {chosen}
    FROM s
    CROSS JOIN LATERAL (SELECT %(of_source)s AND (worst < 2 OR grade = 2) AND {is_given} AS is_own) AS o
), placed AS (
    -- atan2d gives (-180, 180]; a tiny negative angle plus 360 may round to 360 itself
    SELECT chosen.*, atan2d(z, sqrt(x * x + y * y)) AS dec_mean,
           CASE WHEN atan2d(y, x) >= 0 THEN atan2d(y, x) WHEN atan2d(y, x) + 360 >= 360 THEN 0 ELSE atan2d(y, x) + 360
           END AS ra_mean
    FROM chosen
), shape AS (
    -- of the summed precision matrix: its determinant, and the larger eigenvalue, which belongs to the minor axis
    SELECT placed.*, p_ee * p_nn - p_en ^ 2 AS det,
           (p_ee + p_nn) / 2 + sqrt(((p_ee - p_nn) / 2) ^ 2 + p_en ^ 2) AS steepest
    FROM placed
), ellipse AS (
    SELECT shape.*, axes.*
    FROM shape
    LEFT JOIN LATERAL (
        SELECT best[2] AS major, best[3] AS minor, best[4] AS pa, best_err AS err
        WHERE %(shared_position)s AND best[5] = 1
        UNION ALL
        SELECT greatest(sqrt(steepest / det), 1 / sqrt(steepest)), 1 / sqrt(steepest),
               atan2d(-2 * p_en, p_ee - p_nn) / 2 + CASE WHEN atan2d(-2 * p_en, p_ee - p_nn) < 0 THEN 180 ELSE 0 END,
               det ^ -0.25
        WHERE NOT %(shared_position)s AND has_ellipse
    ) AS axes ON true
)
SELECT %(run_id)s AS run_id, source_id, %(catalogue_id)s AS catalogue_id,
       coalesce(name, 'XCAT ' || xcat.iau_name(ra_mean, dec_mean)) AS name, ra_mean AS ra, dec_mean AS dec,
       CASE WHEN err IS NOT NULL THEN err WHEN %(shared_position)s THEN best_err ELSE 1 / sqrt(w) END AS err_arcsec,
       major AS err_maj_arcsec, minor AS err_min_arcsec, pa AS err_pa_deg, xcat.glon(ra_mean, dec_mean) AS glon,
       xcat.glat(ra_mean, dec_mean) AS glat, epoch_yr, mjd_first, mjd_last, n_detections, flux_cgs, flux_err_cgs,
       flux_soft_cgs, flux_soft_err_cgs, flux_medium_cgs, flux_medium_err_cgs, flux_hard_cgs, flux_hard_err_cgs,
       %(flux_low_kev)s::real AS flux_low_kev, %(flux_high_kev)s::real AS flux_high_kev,
       flux_cgs * %(standard_flux_factor)s AS flux_std_cgs,
       CASE WHEN grade < 2 THEN coalesce(hr1, (m - s) / nullif(m + s, 0)) END AS hr1,
       CASE WHEN grade < 2 THEN coalesce(hr1_err, CASE WHEN hr1 IS NULL THEN
           2 * sqrt((s * flux_medium_err_cgs) ^ 2 + (m * flux_soft_err_cgs) ^ 2) / nullif(m + s, 0) ^ 2 END)
       END AS hr1_err,
       CASE WHEN grade < 2 THEN coalesce(hr2, (h - m) / nullif(h + m, 0)) END AS hr2,
       CASE WHEN grade < 2 THEN coalesce(hr2_err, CASE WHEN hr2 IS NULL THEN
           2 * sqrt((m * flux_hard_err_cgs) ^ 2 + (h * flux_medium_err_cgs) ^ 2) / nullif(h + m, 0) ^ 2 END)
       END AS hr2_err,
       CASE WHEN grade < 2 THEN gamma END AS gamma, snr, det_likelihood,
       CASE WHEN grade = 0 THEN flux_ratio END AS flux_ratio,
       CASE WHEN grade = 0 THEN flux_ratio_low END AS flux_ratio_low,
       CASE WHEN grade = 0 THEN p_variable END AS p_variable,
       CASE WHEN grade = 0 AND worst < 2 THEN p_variable_long END AS p_variable_long, extent_arcsec, quality_flag,
       (SELECT string_agg(DISTINCT flaw, ' ' ORDER BY flaw) FROM unnest(string_to_array(flaws, ' ')) AS flaw) AS flaws,
       n_flawed, grade > 0 AS flux_is_doubtful, nh_gal_cm2
FROM ellipse
CROSS JOIN LATERAL (  -- greatest() would take a missing flux for 0
    SELECT CASE WHEN flux_soft_cgs IS NOT NULL THEN greatest(flux_soft_cgs, 0) END AS s,
           CASE WHEN flux_medium_cgs IS NOT NULL THEN greatest(flux_medium_cgs, 0) END AS m,
           CASE WHEN flux_hard_cgs IS NOT NULL THEN greatest(flux_hard_cgs, 0) END AS h
) AS band
ORDER BY public.q3c_ang2ipix(ra_mean, dec_mean);

-- name: mean
-- Weighted mean of a flux over detections, and its error.
sum({value} * fw) FILTER (WHERE {value} IS NOT NULL) / sum(fw) FILTER (WHERE {value} IS NOT NULL) AS {mean},
           sqrt(sum((fw * {error}) ^ 2) FILTER (WHERE {error} > 0)) / sum(fw) FILTER (WHERE {error} > 0) AS {mean_error}

-- name: mean_flux
-- The same of the flux in the full band, in which upper limits have a part.
sum(measured * fw) / sum(fw) FILTER (WHERE measured IS NOT NULL) AS {mean},
           sqrt(sum((fw * err) ^ 2) FILTER (WHERE total IS NOT NULL)) / sum(fw) FILTER (WHERE total IS NOT NULL)
           AS {mean_error}

-- name: mean_ratio
-- Mean hardness ratio over detections, weighted with their counts, and its error; with 1/sigma^2 where fluxes have no
-- errors, and plain where there are none.
coalesce(
               sum({value} * fw * flux) FILTER (WHERE total IS NOT NULL AND flux > 0)
               / sum(fw * flux) FILTER (WHERE total IS NOT NULL AND flux > 0 AND {value} IS NOT NULL),
               sum({value} / {error} ^ 2::double precision) FILTER (WHERE is_used AND {error} > 0)
               / sum(1 / {error} ^ 2::double precision) FILTER (WHERE is_used AND {error} > 0 AND {value} IS NOT NULL),
               avg({value}) FILTER (WHERE is_used)) AS {mean},
           coalesce(
               sqrt(sum((fw * flux * {error}) ^ 2) FILTER (WHERE total IS NOT NULL AND flux > 0))
               / sum(fw * flux) FILTER (WHERE total IS NOT NULL AND flux > 0 AND {error} IS NOT NULL),
               1 / sqrt(sum(1 / {error} ^ 2::double precision)
                        FILTER (WHERE is_used AND {error} > 0 AND {value} IS NOT NULL))) AS {mean_error}

-- name: of_source
-- A value that the mission gives of the source, if all detections repeat the same.
CASE WHEN min({column}) = max({column}) THEN min({column}) END AS {own}

-- name: choose
-- That value, or the mean of the detections.
CASE WHEN is_own THEN {own} ELSE {mean} END AS {value}

-- name: take_mean
-- The mean of the detections, where the mission gives nothing.
{mean} AS {value}

-- name: is_given
-- Whether the mission gives a flux; 0 is an upper limit.
coalesce({own} > 0, false)

-- name: conflicting
-- Sources of which the detections do not repeat the same value of the mission.
SELECT count(*) FILTER (WHERE {differs}) AS conflicting
FROM (SELECT {extremes} FROM {detection} AS det JOIN pg_temp.member AS m USING (object_id)
      GROUP BY m.mission_source) AS s;

-- name: differs
-- Whether a value differs between detections.
{low} < {high}

-- name: extremes
-- The smallest and the largest of a value.
min({column}) AS {low}, max({column}) AS {high}

-- name: count
-- Numbers of sources and detections.
SELECT count(*) AS sources, coalesce(sum(n_detections), 0)::bigint AS detections,
       count(*) FILTER (WHERE n_detections > 1) AS several, coalesce(sum(n_flawed), 0)::bigint AS with_flaws,
       count(*) FILTER (WHERE flux_is_doubtful) AS doubtful
FROM {source} WHERE catalogue_id = %(catalogue_id)s;

-- name: source_order
-- Sources of a merge run in an order that the data alone decide: the missions as the run was given them, then their own
-- ids. Numbers of sources and catalogues depend on what the database loaded first, which must not decide anything.
SELECT s.source_id
FROM xcat.source AS s
JOIN xcat.catalogue AS k USING (catalogue_id)
LEFT JOIN xcat.source_identity AS i ON i.source_id = s.source_id
LEFT JOIN (SELECT x.mission ->> 'catalogue' AS name, x.place
           FROM xcat.run AS r
           CROSS JOIN jsonb_array_elements(coalesce(r.config -> 'xray', '[]')) WITH ORDINALITY AS x (mission, place)
           WHERE r.run_id = %(source_run_id)s) AS m ON m.name = k.name
WHERE s.run_id = %(source_run_id)s
  AND (%(source_ids)s::bigint[] IS NULL OR s.source_id = ANY (%(source_ids)s::bigint[]))
ORDER BY m.place, k.name COLLATE "C", i.mission_source, s.source_id;

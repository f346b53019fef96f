-- name: make_work
-- Ingredients of the properties: the members of hypotheses, one row per object; the values of each hypothesis; the
-- galaxy that a source is in; the coverage of the catalogues, with the value of each flux ratio at their depth, less
-- log Fx, and the column of the Galaxy.
CREATE TEMP TABLE member (
    source_id bigint NOT NULL, rank smallint NOT NULL, priority double precision NOT NULL, is_optical boolean NOT NULL,
    b double precision, r double precision, w1 double precision, w2 double precision, j double precision,
    pm_mas_yr double precision, parallax_sigma double precision, distance_pc double precision,
    mag_j double precision, mag_w1 double precision, bp_rp double precision, j_k double precision, h_k double precision,
    w1_w2 double precision, w2_w3 double precision
) ON COMMIT DROP;
CREATE TEMP TABLE seen (
    source_id bigint NOT NULL, rank smallint NOT NULL, has_optical boolean NOT NULL, has_infrared boolean NOT NULL,
    pm_mas_yr double precision, parallax_sigma double precision, distance_pc double precision,
    log_lx_counterpart double precision, log_fx_fb double precision, log_fx_fr double precision,
    log_fx_fw1 double precision, log_fx_fw2 double precision, log_fx_fj double precision, bp_rp double precision,
    r_w1 double precision, j_k double precision, h_k double precision, j_w1 double precision, w1_w2 double precision,
    w2_w3 double precision
) ON COMMIT DROP;
CREATE TEMP TABLE in_galaxy (
    source_id bigint PRIMARY KEY, sep_to_radius double precision NOT NULL, distance_mpc double precision
) ON COMMIT DROP;
CREATE TEMP TABLE covered (
    source_id bigint NOT NULL, optical boolean NOT NULL, infrared boolean NOT NULL, fb double precision,
    fr double precision, fw1 double precision, fw2 double precision, fj double precision, nh_gal_cm2 double precision,
    ebv_mag double precision, flux_absorbed_dex double precision, hr1_absorbed double precision,
    hr2_absorbed double precision
) ON COMMIT DROP;
CREATE TEMP TABLE curve (
    source_id bigint PRIMARY KEY, log_rate_ratio double precision, mean_excess_variance double precision,
    mean_excess_variance_err double precision
) ON COMMIT DROP;

-- name: searched
-- What of the sources' positional errors is on the area of a catalogue.
SELECT source_id, covered FROM {match} WHERE run_id = %(match_run_id)s AND catalogue_id = %(catalogue_id)s;

-- name: missions
-- Definitions of the missions of the sources.
SELECT catalogue_id, definition FROM xcat.catalogue
WHERE catalogue_id IN (SELECT DISTINCT catalogue_id FROM {source});

-- name: positions
-- Where the sources are, of which mission, and the column of neutral hydrogen where that gives it.
SELECT source_id, ra, dec, catalogue_id, coalesce(nh_gal_cm2, 'NaN')::double precision FROM {source};

-- name: count_objects
-- How many objects a catalogue has.
SELECT count(*) FROM {counterpart};

-- name: magnitudes
-- Where the objects of a catalogue are and how bright; of a large one some, chosen by their identifiers.
SELECT o.ra, o.dec, {magnitudes}
FROM {counterpart} AS o
WHERE %(one_in)s = 1 OR hashtextextended(o.native_id, 0) %% %(one_in)s = 0;

-- name: magnitude_of
-- Magnitude in a standard band for COPY out.
coalesce({magnitude}, 'NaN')::real

-- name: depths
-- How deep the catalogues of a properties run are, where it is less than stated.
SELECT catalogue_id, band, depth_cells, depth_mags FROM xcat.catalogue_depth WHERE run_id = %(run_id)s;

-- name: band
-- Magnitude in a standard band: the first of its columns that is not NULL.
coalesce(NULL::double precision, {terms})

-- name: term
-- A column that approximates a standard band, with its offset.
o.{column} + {offset}::double precision

-- name: accept
-- The accepted counterparts of a catalogue, with rank -1; and the members of every hypothesis that is probable enough,
-- with its rank. Colours are of magnitudes of one object.
INSERT INTO pg_temp.member
SELECT a.source_id, a.rank, %(priority)s, %(is_optical)s, {b}, {r}, {w1}, {w2}, {j},
       CASE WHEN %(is_optical)s THEN nullif(sqrt(o.pmra_mas_yr ^ 2 + o.pmdec_mas_yr ^ 2), 0) END,
       CASE WHEN %(is_optical)s AND o.parallax_err_mas > 0 THEN o.parallax_mas / o.parallax_err_mas END,
       CASE WHEN %(is_optical)s AND o.distance_pc > 0 THEN o.distance_pc END,
       o.mag_j, o.mag_w1, o.mag_gaia_bp - o.mag_gaia_rp, o.mag_j - o.mag_k, o.mag_h - o.mag_k, o.mag_w1 - o.mag_w2,
       o.mag_w2 - o.mag_w3
FROM (
    SELECT c.source_id, -1 AS rank, c.object_id
    FROM {match_candidate} AS c
    JOIN {match} AS m USING (run_id, source_id, catalogue_id)
    WHERE c.run_id = %(match_run_id)s AND c.catalogue_id = %(catalogue_id)s AND c.is_best AND m.accepted
    UNION ALL
    SELECT source_id, rank, objects[i]
    FROM (SELECT *, array_position(catalogues, %(catalogue_id)s::smallint) AS i
          FROM {hypothesis}
          WHERE run_id = %(match_run_id)s AND rank > 0 AND p_hypothesis >= %(min_p)s) AS h
    WHERE i IS NOT NULL
) AS a
JOIN {counterpart} AS o USING (object_id);

-- name: look_up
-- Values of a hypothesis: of each quantity that of the first catalogue that has it.
INSERT INTO pg_temp.seen
SELECT source_id, c.rank, c.has_optical, c.has_infrared, c.pm_mas_yr, c.parallax_sigma, c.distance_pc,
       x.log_fx + log(4 * pi()) + 2 * log(%(cm_in_pc)s * c.distance_pc),
       x.log_fx + %(zero_b)s + c.b / 2.5, x.log_fx + %(zero_r)s + c.r / 2.5, x.log_fx + %(zero_w1)s + c.w1 / 2.5,
       x.log_fx + %(zero_w2)s + c.w2 / 2.5, x.log_fx + %(zero_j)s + c.j / 2.5,
       c.bp_rp, c.r - c.mag_w1, c.j_k, c.h_k, c.mag_j - c.mag_w1, c.w1_w2, c.w2_w3
FROM (
    SELECT source_id, rank, bool_or(is_optical) AS has_optical, bool_or(NOT is_optical) AS has_infrared,
           {firsts}
    FROM pg_temp.member
    GROUP BY source_id, rank
) AS c
JOIN (SELECT source_id, CASE WHEN flux_std_cgs > 0 THEN log(flux_std_cgs) END AS log_fx
      FROM {source} WHERE run_id = %(source_run_id)s) AS x USING (source_id);

-- name: first_of
-- Value of the first catalogue that has one; arrays are compared by their first element first.
(min(ARRAY[priority, {name}]) FILTER (WHERE {name} IS NOT NULL))[2] AS {name}

-- name: galaxy_needles
-- Galaxies, with a search radius of so many D25 radii along the major axis.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT object_id, ra, dec, %(max_radii)s * d25_arcmin * 30
FROM {galaxy}
WHERE d25_arcmin > %(least_arcmin)s;

-- name: source_needles
-- Sources, with one search radius.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT source_id, ra, dec, %(radius_arcsec)s FROM {source};

-- name: in_galaxy
-- Separation over the radius of the D25 ellipse in the direction of the source, r = a b / sqrt((b cos d)^2 + (a sin
-- d)^2), d from the major axis; of several galaxies the one with the smallest ratio. Angles east of north.
INSERT INTO pg_temp.in_galaxy (source_id, sep_to_radius, distance_mpc)
SELECT DISTINCT ON (source_id) source_id, sep_to_radius, distance_mpc
FROM (
    SELECT s.source_id, CASE WHEN g.distance_mpc > 0 THEN g.distance_mpc END AS distance_mpc,
           p.sep_arcsec * sqrt((e.b * cosd(e.delta)) ^ 2 + (e.a * sind(e.delta)) ^ 2) / (e.a * e.b) AS sep_to_radius
    FROM pg_temp.pair AS p
    JOIN {galaxy} AS g ON g.object_id = p.{of_galaxy} AND g.d25_arcmin > 0
    JOIN {source} AS s ON s.run_id = %(source_run_id)s AND s.source_id = p.{of_source}
    CROSS JOIN LATERAL (
        SELECT g.d25_arcmin * 30.0 AS a, g.d25_arcmin * 30.0 * coalesce(g.axis_ratio, 1) AS b,
               atan2d(sind(s.ra - g.ra) * cosd(s.dec),
                      cosd(g.dec) * sind(s.dec) - sind(g.dec) * cosd(s.dec) * cosd(s.ra - g.ra))
               - coalesce(g.pa_deg, 0) AS delta
    ) AS e
) AS each_pair
WHERE sep_to_radius <= %(max_radii)s
ORDER BY source_id, sep_to_radius, distance_mpc
ON CONFLICT (source_id) DO UPDATE SET sep_to_radius = excluded.sep_to_radius, distance_mpc = excluded.distance_mpc
WHERE excluded.sep_to_radius < in_galaxy.sep_to_radius;

-- name: curves
-- What the light curves of a version of the products tell of their sources, and of all that are the same object.
-- The ratio is the least that the errors allow; a rate below zero tells an error as large. The error of the mean is on
-- the scale of the property, asinh.
INSERT INTO pg_temp.curve (source_id, log_rate_ratio, mean_excess_variance, mean_excess_variance_err)
SELECT source_id, log_rate_ratio, mean, 1 / sqrt(sum_of_weights) / sqrt(1 + mean ^ 2)
FROM (
    SELECT coalesce(o.source_id, p.source_id) AS source_id,
           max(log(greatest(b.largest / nullif(b.smallest, 0), CASE WHEN b.smallest > 0 THEN 1 END))) AS log_rate_ratio,
           sum(p.excess_variance * w.weight) / sum(w.weight) AS mean, sum(w.weight) AS sum_of_weights
    FROM xcat.product AS p
    JOIN xcat.catalogue_content AS c ON c.file_id = p.file_id AND c.catalogue_id = %(products)s
    CROSS JOIN LATERAL (SELECT nullif(p.excess_variance_err, 0)::double precision ^ -2 AS weight) AS w
    CROSS JOIN LATERAL (
        SELECT max(rate_cps - e.rate_err_cps) AS largest, min(abs(rate_cps) + e.rate_err_cps) AS smallest
        FROM xcat.light_curve_block
        CROSS JOIN LATERAL (SELECT coalesce(rate_err_cps, 0)::double precision AS rate_err_cps) AS e
        WHERE product_id = p.product_id) AS b
    LEFT JOIN {master_source} AS m ON m.run_id = %(link_run_id)s AND m.source_id = p.source_id
    LEFT JOIN {master_source} AS o ON o.run_id = m.run_id AND o.master_id = m.master_id
    WHERE p.product_kind = 'light_curve'
    GROUP BY coalesce(o.source_id, p.source_id)
) AS of_source;

-- name: store
-- The properties, as defined in xcat/columns/properties.yaml. Flux ratios over time are those of the master source. The
-- error of a hardness ratio is at most 1, the largest standard deviation of anything between -1 and 1.
SELECT %(run_id)s AS run_id, x.source_id, {values}, abs(x.glat) AS abs_b, least(x.glon, 360 - x.glon) AS abs_l,
       g.sep_to_radius, x.log_fx + log(4 * pi()) + 2 * log(%(cm_in_pc)s * 1e6 * g.distance_mpc) AS log_lx_galaxy,
       x.hr1, e.hr1_err, x.hr2, e.hr2_err, x.gamma, x.log_fx, x.log_fx_err, x.log_fx + o.fb AS log_fx_fb_limit,
       x.log_fx + o.fr AS log_fx_fr_limit, x.log_fx + o.fw1 AS log_fx_fw1_limit,
       x.log_fx + o.fw2 AS log_fx_fw2_limit, x.log_fx + o.fj AS log_fx_fj_limit, log(v.flux_ratio) AS log_flux_ratio,
       log(v.flux_ratio_low) AS log_flux_ratio_low, nullif(v.flux_ratio_sigma, 0) AS flux_ratio_sigma, x.p_variable,
       x.p_variable_long, l.log_rate_ratio, l.mean_excess_variance, l.mean_excess_variance_err,
       o.optical AS observed_optical, o.infrared AS observed_infrared, f.has_optical, f.has_infrared, x.has_spectrum,
       x.n_detections,
       f.has_optical::int + f.has_infrared::int + x.has_spectrum::int + (x.n_detections > 1)::int >= 2
       AS is_classifiable, o.nh_gal_cm2, o.ebv_mag, o.flux_absorbed_dex, o.hr1_absorbed, o.hr2_absorbed
FROM (
    SELECT s.*, CASE WHEN s.flux_std_cgs > 0 THEN log(s.flux_std_cgs) END AS log_fx,
           CASE WHEN s.flux_cgs > 0 THEN s.flux_err_cgs / s.flux_cgs / ln(10::double precision) END AS log_fx_err,
           coalesce(s.gamma IS NOT NULL OR s.snr > 10, false) AS has_spectrum
    FROM {source} AS s
    WHERE s.run_id = %(source_run_id)s) AS x
LEFT JOIN pg_temp.covered AS o ON o.source_id = x.source_id
LEFT JOIN pg_temp.seen AS c ON c.source_id = x.source_id AND c.rank = -1
CROSS JOIN LATERAL (
    SELECT coalesce(c.has_optical, false) AS has_optical, coalesce(c.has_infrared, false) AS has_infrared) AS f
CROSS JOIN LATERAL (  -- least() would take a missing error for 1
    SELECT CASE WHEN x.hr1_err > 1 THEN 1 ELSE x.hr1_err END AS hr1_err,
           CASE WHEN x.hr2_err > 1 THEN 1 ELSE x.hr2_err END AS hr2_err
) AS e
LEFT JOIN pg_temp.in_galaxy AS g ON g.source_id = x.source_id
LEFT JOIN pg_temp.curve AS l ON l.source_id = x.source_id
LEFT JOIN {master_source} AS m ON m.run_id = %(link_run_id)s AND m.source_id = x.source_id
LEFT JOIN {master} AS v ON v.run_id = %(link_run_id)s AND v.master_id = m.master_id;

-- name: store_hypotheses
-- The properties that need a counterpart, for every hypothesis that is probable enough; all are NULL for "no
-- counterpart".
SELECT %(run_id)s AS run_id, h.source_id, h.rank, h.p_hypothesis, {values}
FROM {hypothesis} AS h
LEFT JOIN pg_temp.seen AS c ON c.source_id = h.source_id AND c.rank = h.rank
WHERE h.run_id = %(match_run_id)s AND (h.rank = 0 OR h.p_hypothesis >= %(min_p)s);

-- name: count
-- Sources in total, and with each kind of data.
SELECT count(*) AS sources, count(*) FILTER (WHERE is_classifiable) AS classifiable,
       count(*) FILTER (WHERE has_optical) AS optical, count(*) FILTER (WHERE has_infrared) AS infrared,
       count(*) FILTER (WHERE has_spectrum) AS spectrum, count(*) FILTER (WHERE n_detections > 1) AS several_detections,
       count(*) FILTER (WHERE observed_optical) AS observed_optical,
       count(*) FILTER (WHERE observed_infrared) AS observed_infrared
FROM {property};

-- name: presence
-- Number of sources that have each property.
SELECT {counts} FROM {property} AS p;

-- name: make_work
-- What the properties are made of.
CREATE TEMP TABLE colour_term (
    catalogue_id smallint NOT NULL, band text NOT NULL, priority integer NOT NULL,
    column_name text NOT NULL, offset_mag double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE accepted (
    source_id bigint NOT NULL, catalogue_id smallint NOT NULL, object_id bigint NOT NULL, is_optical boolean NOT NULL,
    priority integer NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE in_galaxy (source_id bigint PRIMARY KEY, sep_to_radius double precision NOT NULL) ON COMMIT DROP;

-- name: add_colour_term
-- A column that stands for a standard band, with its offset; of several the one of the lowest priority number wins.
INSERT INTO pg_temp.colour_term (catalogue_id, band, priority, column_name, offset_mag) VALUES (%s, %s, %s, %s, %s);

-- name: accept
-- The best candidates that are probable enough, p_any being the chance that there is any counterpart in the catalogue.
INSERT INTO pg_temp.accepted (source_id, catalogue_id, object_id, is_optical, priority)
SELECT c.source_id, c.catalogue_id, c.object_id, %(is_optical)s, %(priority)s
FROM xcat.match_candidate AS c
JOIN xcat.match AS m USING (run_id, source_id, catalogue_id)
WHERE c.run_id = %(match_run_id)s AND c.catalogue_id = %(catalogue_id)s AND c.is_best AND m.p_any >= %(min_p_any)s;

-- name: galaxy_needles
-- Galaxies, searched around out to so many D25 radii along the major axis.
INSERT INTO pg_temp.needle (id, ra, dec, radius_arcsec)
SELECT object_id, ra, dec, %(max_radii)s * d25_arcmin * 30
FROM {galaxy}
WHERE d25_arcmin > 0;

-- name: in_galaxy
-- Separation over the radius of the D25 ellipse in the direction of the source, r = a b / sqrt((b cos d)^2 + (a sin d)^2),
-- d from the major axis; of several galaxies the one whose ellipse is the deepest. Angles east of north.
INSERT INTO pg_temp.in_galaxy (source_id, sep_to_radius)
SELECT source_id, min(sep_to_radius)
FROM (
    SELECT s.source_id,
           p.sep_arcsec * sqrt((e.b * cosd(e.delta)) ^ 2 + (e.a * sind(e.delta)) ^ 2) / (e.a * e.b) AS sep_to_radius
    FROM pg_temp.pair AS p
    JOIN {galaxy} AS g ON g.object_id = p.id
    JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = p.object_id
    CROSS JOIN LATERAL (
        SELECT g.d25_arcmin * 30.0 AS a, g.d25_arcmin * 30.0 * coalesce(g.axis_ratio, 1) AS b,
               atan2d(sind(s.ra - g.ra) * cosd(s.dec),
                      cosd(g.dec) * sind(s.dec) - sind(g.dec) * cosd(s.dec) * cosd(s.ra - g.ra))
               - coalesce(g.pa_deg, 0) AS delta
    ) AS e
) AS each_pair
WHERE sep_to_radius <= %(max_radii)s
GROUP BY source_id
ON CONFLICT (source_id) DO UPDATE SET sep_to_radius = least(in_galaxy.sep_to_radius, excluded.sep_to_radius);

-- name: store
-- The thirteen properties; xcat/properties/registry.yaml defines them.
INSERT INTO {property} (
    run_id, source_id, abs_b, pm_mas_yr, sep_to_radius, hr1, hr2, gamma, log_fx_fb, log_fx_fr, log_fx_fw1, log_fx_fw2,
    log_flux_ratio, log_flux_ratio_low, p_variable, has_optical, has_infrared, has_spectrum, n_detections, in_test_sample)
WITH seen AS MATERIALIZED (
    SELECT a.source_id, a.is_optical, a.priority, c.*
    FROM pg_temp.accepted AS a
    JOIN xcat.counterpart AS c USING (catalogue_id, object_id)
), magnitude AS (
    SELECT source_id, t.band,
           (array_agg(v.mag + t.offset_mag ORDER BY t.priority))[1] AS mag
    FROM seen AS c
    CROSS JOIN LATERAL (VALUES
        ('mag', c.mag), ('mag_gaia_g', c.mag_gaia_g), ('mag_gaia_bp', c.mag_gaia_bp), ('mag_gaia_rp', c.mag_gaia_rp),
        ('mag_g', c.mag_g), ('mag_r', c.mag_r), ('mag_i', c.mag_i), ('mag_z', c.mag_z), ('mag_y', c.mag_y),
        ('mag_j', c.mag_j), ('mag_h', c.mag_h), ('mag_k', c.mag_k), ('mag_w1', c.mag_w1), ('mag_w2', c.mag_w2),
        ('mag_ch1', c.mag_ch1)) AS v (column_name, mag)
    JOIN pg_temp.colour_term AS t ON t.catalogue_id = c.catalogue_id AND t.column_name = v.column_name
    WHERE v.mag IS NOT NULL
    GROUP BY source_id, t.band
), colour AS (
    SELECT source_id, min(mag) FILTER (WHERE band = 'b') AS b, min(mag) FILTER (WHERE band = 'r') AS r,
           min(mag) FILTER (WHERE band = 'w1') AS w1, min(mag) FILTER (WHERE band = 'w2') AS w2
    FROM magnitude
    GROUP BY source_id
), motion AS (
    SELECT DISTINCT ON (source_id) source_id, sqrt(pmra_mas_yr ^ 2 + pmdec_mas_yr ^ 2) AS pm_mas_yr
    FROM seen
    WHERE is_optical AND pmra_mas_yr IS NOT NULL AND pmdec_mas_yr IS NOT NULL
    ORDER BY source_id, priority
), found AS (
    SELECT source_id, bool_or(is_optical) AS optical, bool_or(NOT is_optical) AS infrared
    FROM seen
    GROUP BY source_id
), x AS (
    SELECT s.*, CASE WHEN s.flux_std_cgs > 0 THEN log(s.flux_std_cgs) END AS log_fx,
           coalesce(f.optical, false) AS has_optical, coalesce(f.infrared, false) AS has_infrared,
           coalesce(s.gamma IS NOT NULL OR s.snr > 10, false) AS has_spectrum
    FROM xcat.source AS s
    LEFT JOIN found AS f USING (source_id)
    WHERE s.run_id = %(source_run_id)s
)
SELECT %(run_id)s, source_id, abs(x.glat), nullif(m.pm_mas_yr, 0), g.sep_to_radius, x.hr1, x.hr2, x.gamma,
       x.log_fx + 5.37 + c.b / 2.5, x.log_fx + 5.37 + c.r / 2.5, x.log_fx + 6.95 + c.w1 / 2.5, x.log_fx + 6.95 + c.w2 / 2.5,
       log(x.flux_ratio), log(x.flux_ratio_low), x.p_variable,
       x.has_optical, x.has_infrared, x.has_spectrum, x.n_detections,
       x.has_optical::int + x.has_infrared::int + x.has_spectrum::int + (x.n_detections > 1)::int >= 2
FROM x
LEFT JOIN colour AS c USING (source_id)
LEFT JOIN motion AS m USING (source_id)
LEFT JOIN pg_temp.in_galaxy AS g USING (source_id);

-- name: count
-- How often each property is there.
SELECT count(*) AS sources, count(*) FILTER (WHERE in_test_sample) AS test_sample, count(*) FILTER (WHERE has_optical) AS optical,
       count(*) FILTER (WHERE has_infrared) AS infrared, count(*) FILTER (WHERE has_spectrum) AS spectrum,
       count(*) FILTER (WHERE n_detections > 1) AS several_detections
FROM {property};

-- name: presence
-- Sources that have each property.
SELECT key, count(*) FROM {property} AS p, jsonb_each(to_jsonb(p)) WHERE value <> 'null' GROUP BY key;

-- name: make_work
-- What the properties are made of.
CREATE TEMP TABLE colour_term (
    catalogue_id smallint NOT NULL, band text NOT NULL, priority integer NOT NULL,
    column_name text NOT NULL, offset_mag double precision NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE member (
    source_id bigint NOT NULL, rank smallint NOT NULL, catalogue_id smallint NOT NULL, object_id bigint NOT NULL,
    is_optical boolean NOT NULL, priority integer NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE seen (
    source_id bigint NOT NULL, rank smallint NOT NULL, b double precision, r double precision, w1 double precision,
    w2 double precision, pm_mas_yr double precision, has_optical boolean NOT NULL, has_infrared boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE in_galaxy (source_id bigint PRIMARY KEY, sep_to_radius double precision NOT NULL) ON COMMIT DROP;

-- name: add_colour_term
-- A column that stands for a standard band, with its offset; of several the one of the lowest priority number wins.
INSERT INTO pg_temp.colour_term (catalogue_id, band, priority, column_name, offset_mag) VALUES (%s, %s, %s, %s, %s);

-- name: accept
-- The best candidates of a catalogue that are accepted, under rank -1; and the members of every hypothesis that is
-- probable enough, under its own rank.
INSERT INTO pg_temp.member (source_id, rank, catalogue_id, object_id, is_optical, priority)
SELECT c.source_id, -1, c.catalogue_id, c.object_id, %(is_optical)s, %(priority)s
FROM xcat.match_candidate AS c
JOIN xcat.match AS m USING (run_id, source_id, catalogue_id)
WHERE c.run_id = %(match_run_id)s AND c.catalogue_id = %(catalogue_id)s AND c.is_best AND m.accepted
UNION ALL
SELECT source_id, rank, catalogues[i], objects[i], %(is_optical)s, %(priority)s
FROM (SELECT *, array_position(catalogues, %(catalogue_id)s::smallint) AS i
      FROM xcat.hypothesis
      WHERE run_id = %(match_run_id)s AND rank > 0 AND p_hypothesis >= %(min_p)s) AS h
WHERE i IS NOT NULL;

-- name: look_up
-- What the members are: magnitudes in the standard bands, the first catalogue that has a band giving it; proper motion.
INSERT INTO pg_temp.seen (source_id, rank, b, r, w1, w2, pm_mas_yr, has_optical, has_infrared)
WITH object AS MATERIALIZED (
    SELECT a.source_id, a.rank, a.is_optical, a.priority, c.*
    FROM pg_temp.member AS a
    JOIN xcat.counterpart AS c USING (catalogue_id, object_id)
), magnitude AS (
    SELECT source_id, o.rank, t.band, (array_agg(v.mag + t.offset_mag ORDER BY t.priority))[1] AS mag
    FROM object AS o
    CROSS JOIN LATERAL (VALUES
        ('mag', o.mag), ('mag_gaia_g', o.mag_gaia_g), ('mag_gaia_bp', o.mag_gaia_bp), ('mag_gaia_rp', o.mag_gaia_rp),
        ('mag_g', o.mag_g), ('mag_r', o.mag_r), ('mag_i', o.mag_i), ('mag_z', o.mag_z), ('mag_y', o.mag_y),
        ('mag_j', o.mag_j), ('mag_h', o.mag_h), ('mag_k', o.mag_k), ('mag_w1', o.mag_w1), ('mag_w2', o.mag_w2),
        ('mag_ch1', o.mag_ch1)) AS v (column_name, mag)
    JOIN pg_temp.colour_term AS t ON t.catalogue_id = o.catalogue_id AND t.column_name = v.column_name
    WHERE v.mag IS NOT NULL
    GROUP BY source_id, o.rank, t.band
), colour AS (
    SELECT source_id, rank, min(mag) FILTER (WHERE band = 'b') AS b, min(mag) FILTER (WHERE band = 'r') AS r,
           min(mag) FILTER (WHERE band = 'w1') AS w1, min(mag) FILTER (WHERE band = 'w2') AS w2
    FROM magnitude
    GROUP BY source_id, rank
), motion AS (
    SELECT DISTINCT ON (source_id, rank) source_id, rank, sqrt(pmra_mas_yr ^ 2 + pmdec_mas_yr ^ 2) AS pm_mas_yr
    FROM object
    WHERE is_optical AND pmra_mas_yr IS NOT NULL AND pmdec_mas_yr IS NOT NULL
    ORDER BY source_id, rank, priority
), found AS (
    SELECT source_id, rank, bool_or(is_optical) AS optical, bool_or(NOT is_optical) AS infrared
    FROM object
    GROUP BY source_id, rank
)
SELECT source_id, rank, c.b, c.r, c.w1, c.w2, nullif(m.pm_mas_yr, 0), f.optical, f.infrared
FROM found AS f
LEFT JOIN colour AS c USING (source_id, rank)
LEFT JOIN motion AS m USING (source_id, rank);

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
-- The properties; xcat/properties/registry.yaml defines them. The ratios of fluxes are those of the master source.
INSERT INTO {property} (
    run_id, source_id, abs_b, pm_mas_yr, sep_to_radius, hr1, hr2, gamma, log_fx_fb, log_fx_fr, log_fx_fw1, log_fx_fw2,
    log_flux_ratio, log_flux_ratio_low, flux_ratio_sigma, p_variable, has_optical, has_infrared, has_spectrum,
    n_detections, in_test_sample)
SELECT %(run_id)s, x.source_id, abs(x.glat), c.pm_mas_yr, g.sep_to_radius, x.hr1, x.hr2, x.gamma,
       x.log_fx + 5.37 + c.b / 2.5, x.log_fx + 5.37 + c.r / 2.5, x.log_fx + 6.95 + c.w1 / 2.5, x.log_fx + 6.95 + c.w2 / 2.5,
       log(v.flux_ratio), log(v.flux_ratio_low), nullif(v.flux_ratio_sigma, 0), x.p_variable,
       f.has_optical, f.has_infrared, x.has_spectrum, x.n_detections,
       f.has_optical::int + f.has_infrared::int + x.has_spectrum::int + (x.n_detections > 1)::int >= 2
FROM (
    SELECT s.*, CASE WHEN s.flux_std_cgs > 0 THEN log(s.flux_std_cgs) END AS log_fx,
           coalesce(s.gamma IS NOT NULL OR s.snr > 10, false) AS has_spectrum
    FROM xcat.source AS s
    WHERE s.run_id = %(source_run_id)s) AS x
LEFT JOIN pg_temp.seen AS c ON c.source_id = x.source_id AND c.rank = -1
CROSS JOIN LATERAL (SELECT coalesce(c.has_optical, false) AS has_optical, coalesce(c.has_infrared, false) AS has_infrared) AS f
LEFT JOIN pg_temp.in_galaxy AS g ON g.source_id = x.source_id
LEFT JOIN xcat.master_source AS m ON m.run_id = %(link_run_id)s AND m.source_id = x.source_id
LEFT JOIN xcat.master AS v ON v.run_id = %(link_run_id)s AND v.master_id = m.master_id;

-- name: store_hypotheses
-- The properties that need a counterpart, for every hypothesis that is probable enough; "none" has none of them.
INSERT INTO {hypothesis_property} (run_id, source_id, rank, p_hypothesis, pm_mas_yr, log_fx_fb, log_fx_fr, log_fx_fw1, log_fx_fw2)
SELECT %(run_id)s, x.source_id, h.rank, h.p_hypothesis, c.pm_mas_yr,
       x.log_fx + 5.37 + c.b / 2.5, x.log_fx + 5.37 + c.r / 2.5, x.log_fx + 6.95 + c.w1 / 2.5, x.log_fx + 6.95 + c.w2 / 2.5
FROM xcat.hypothesis AS h
JOIN (SELECT source_id, CASE WHEN flux_std_cgs > 0 THEN log(flux_std_cgs) END AS log_fx
      FROM xcat.source WHERE run_id = %(source_run_id)s) AS x USING (source_id)
LEFT JOIN pg_temp.seen AS c ON c.source_id = h.source_id AND c.rank = h.rank
WHERE h.run_id = %(match_run_id)s AND (h.rank = 0 OR h.p_hypothesis >= %(min_p)s);

-- name: count
-- How often each property is there.
SELECT count(*) AS sources, count(*) FILTER (WHERE in_test_sample) AS test_sample, count(*) FILTER (WHERE has_optical) AS optical,
       count(*) FILTER (WHERE has_infrared) AS infrared, count(*) FILTER (WHERE has_spectrum) AS spectrum,
       count(*) FILTER (WHERE n_detections > 1) AS several_detections
FROM {property};

-- name: presence
-- Sources that have each property.
SELECT key, count(*) FROM {property} AS p, jsonb_each(to_jsonb(p)) WHERE value <> 'null' GROUP BY key;

-- Ultraluminous sources: inside a D25 ellipse, away from every nucleus (3 arcsec, and 3 sigma of the position), and above
-- 1e39 erg / s at the distance of the galaxy. The galaxy is the one that sep_to_radius was computed with.
-- p_contaminant (after Tranin et al. 2024, A&A 681, A16): of the sources of this mission in the ellipse that are at least
-- as bright, nuclei included, the share expected to be AGN behind the galaxy. It is too large where only a part of the
-- ellipse has been observed.
CREATE VIEW xcat.ulx_candidates AS
WITH bright AS MATERIALIZED (
    SELECT * FROM xcat.classified WHERE log_lx_galaxy > 39 AND sep_to_radius <= 1
), hosted AS MATERIALIZED (
    SELECT b.*, g.galaxy_catalogue_id, g.galaxy_object_id, g.galaxy, g.distance_mpc, g.sep_arcsec, g.sep_nucleus_arcsec,
           g.ellipse_deg2
    FROM (SELECT bright.*, greatest((SELECT max(d25_arcmin) FROM xcat.galaxy) / 120, err_arcsec / 1200) AS reach_deg
          FROM bright) AS b
    CROSS JOIN LATERAL (
        -- a cone around one position, alone in its WHERE so that the index on the sky is used
        WITH near AS MATERIALIZED (
            SELECT * FROM xcat.galaxy AS g WHERE public.q3c_radial_query(g.ra, g.dec, b.ra, b.dec, b.reach_deg)
        ), placed AS (
            SELECT *, public.q3c_dist(b.ra, b.dec, ra, dec) * 3600 AS sep_arcsec FROM near WHERE d25_arcmin > 0
        )
        SELECT catalogue_id AS galaxy_catalogue_id, object_id AS galaxy_object_id, native_id AS galaxy, distance_mpc,
               sep_arcsec, min(sep_arcsec) OVER () AS sep_nucleus_arcsec,
               pi() / 4 * coalesce(axis_ratio, 1) * (d25_arcmin / 60.0) ^ 2 AS ellipse_deg2
        FROM placed
        ORDER BY abs(xcat.sep_to_radius(b.ra, b.dec, ra, dec, d25_arcmin, axis_ratio, pa_deg) - b.sep_to_radius)
        LIMIT 1
    ) AS g
), counted AS (
    -- brighter than one source means more luminous too, so that all of them are in hosted
    SELECT *, ellipse_deg2 * xcat.agn_per_deg2(flux_std_cgs) AS n_background,
           count(*) OVER (PARTITION BY catalogue, galaxy_catalogue_id, galaxy_object_id ORDER BY flux_std_cgs DESC)
           AS n_as_bright
    FROM hosted
)
SELECT source_id, name, catalogue, ra, dec, err_arcsec, galaxy, distance_mpc, sep_arcsec, sep_nucleus_arcsec, sep_to_radius,
       log_lx_galaxy, log_lx_galaxy > 41 AS is_hyperluminous, flux_std_cgs, flux_cgs, flux_err_cgs, snr, n_detections,
       ellipse_deg2, n_background, n_as_bright, least(1, n_background / n_as_bright) AS p_contaminant,
       class, p_class, p_agn, p_xrb, outlier, is_outlier, alternative, known_class, origin, extent_arcsec, quality_flag, run_id
FROM counted
WHERE sep_nucleus_arcsec > greatest(3, 3 * err_arcsec);
COMMENT ON VIEW xcat.ulx_candidates IS
'Off-nuclear sources in nearby galaxies above 1e39 erg / s, with the background AGN expected beside them';

CREATE VIEW xcat.hyperluminous_candidates AS
SELECT * FROM xcat.ulx_candidates WHERE is_hyperluminous;
COMMENT ON VIEW xcat.hyperluminous_candidates IS
'Off-nuclear sources in nearby galaxies above 1e41 erg / s, with the background AGN expected beside them';

-- Every classified source, labelled ones out of fold. The runs are named by scalar subqueries, so that only their partitions
-- are read.
CREATE VIEW xcat.classified AS
SELECT c.source_id, s.name, k.name AS catalogue, s.ra, s.dec, s.err_arcsec, s.glon, s.glat,
       a.class,
       a.p[array_position(m.classes, a.class)] AS p_class,
       a.p[array_position(m.classes, 'AGN')] AS p_agn,
       a.p[array_position(m.classes, 'Star')] AS p_star,
       a.p[array_position(m.classes, 'XRB')] AS p_xrb,
       a.p[array_position(m.classes, 'CV')] AS p_cv,
       coalesce(o.margin, c.margin) AS margin, coalesce(o.outlier, c.outlier) AS outlier,
       coalesce(o.p_tail, c.p_tail) AS p_tail, coalesce(o.is_outlier, c.is_outlier) AS is_outlier,
       coalesce(o.n_missing, c.n_missing) AS n_missing, coalesce(o.alternative, c.alternative) AS alternative,
       o.source_id IS NOT NULL AS is_out_of_fold, l.class AS known_class, l.origin,
       c.is_classifiable, xcat.in_test_sample(c.is_classifiable, l.class) AS in_test_sample,
       s.n_detections, s.flux_cgs, s.flux_err_cgs, s.flux_std_cgs, s.snr, s.extent_arcsec,
       s.quality_flag, p.observed_optical, p.observed_infrared, p.has_optical, p.has_infrared, p.has_spectrum,
       p.abs_b, p.abs_l, p.pm_mas_yr, p.parallax_sigma, p.distance_pc, p.log_lx_counterpart, p.sep_to_radius,
       p.log_lx_galaxy, p.hr1, p.hr1_err, p.hr2, p.hr2_err, p.gamma, p.log_fx, p.log_fx_err, p.log_fx_fb, p.log_fx_fr,
       p.log_fx_fw1, p.log_fx_fw2, p.log_fx_fj, p.log_fx_fb_limit, p.log_fx_fr_limit, p.log_fx_fw1_limit,
       p.log_fx_fw2_limit, p.log_fx_fj_limit, p.bp_rp, p.r_w1, p.j_k, p.h_k, p.j_w1, p.w1_w2, p.w2_w3,
       p.log_flux_ratio, p.log_flux_ratio_low, p.flux_ratio_sigma, p.p_variable, p.p_variable_long, c.run_id
FROM xcat.classification AS c
LEFT JOIN xcat.out_of_fold AS o ON o.source_id = c.source_id AND o.run_id = (SELECT model_run_id FROM xcat.published)
CROSS JOIN LATERAL (SELECT coalesce(o.class, c.class) AS class, coalesce(o.p, c.p) AS p) AS a
JOIN xcat.source AS s ON s.source_id = c.source_id
JOIN xcat.property AS p ON p.source_id = c.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
LEFT JOIN xcat.label AS l ON l.source_id = c.source_id AND l.status = 'used'
     AND l.run_id = (SELECT label_run_id FROM xcat.published)
CROSS JOIN (SELECT array_agg(class ORDER BY class_id) AS classes FROM xcat.model_class
            WHERE run_id = (SELECT model_run_id FROM xcat.published)) AS m
WHERE c.run_id = (SELECT run_id FROM xcat.published)
  AND s.run_id = (SELECT source_run_id FROM xcat.published)
  AND p.run_id = (SELECT property_run_id FROM xcat.published);
COMMENT ON VIEW xcat.classified IS 'Every classified source of the published run, with its properties';

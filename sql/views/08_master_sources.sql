-- One source across missions: a row a source of a single mission, with what is known of its master source.
CREATE VIEW xcat.master_sources AS
SELECT m.master_id, m.ra, m.dec, m.err_arcsec, m.n_missions, m.n_sources, m.n_detections, m.n_upper_limits,
       m.is_ambiguous, m.mjd_first, m.mjd_last, m.flux_std_min_cgs, m.flux_std_max_cgs, m.flux_ratio, m.flux_ratio_low,
       m.flux_ratio_sigma, b.source_id, s.name, k.name AS catalogue, b.status, s.flux_std_cgs,
       public.q3c_dist(m.ra, m.dec, s.ra, s.dec) * 3600 AS sep_arcsec, m.run_id
FROM xcat.master_source AS b
JOIN xcat.master AS m ON m.master_id = b.master_id
JOIN xcat.source AS s ON s.source_id = b.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
WHERE b.run_id = (SELECT link_run_id FROM xcat.published)
  AND m.run_id = (SELECT link_run_id FROM xcat.published)
  AND s.run_id = (SELECT source_run_id FROM xcat.published);
COMMENT ON VIEW xcat.master_sources IS
'One source across missions: every source of the published run with its master source and that one''s fluxes';

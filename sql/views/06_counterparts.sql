-- The accepted counterpart of every source in every catalogue. Runs are named by scalar subqueries, as in the views before.
CREATE VIEW xcat.counterparts AS
SELECT m.source_id, s.name, k.name AS catalogue, k.kind, o.native_id, o.ra, o.dec, c.sep_arcsec, m.p_any, c.p_i,
       m.n_candidates, m.density_per_deg2, o.pmra_mas_yr, o.pmdec_mas_yr, o.parallax_mas, o.parallax_err_mas,
       o.distance_pc, o.mag, o.mag_gaia_g, o.mag_gaia_bp, o.mag_gaia_rp, o.mag_g, o.mag_r, o.mag_i, o.mag_z, o.mag_y,
       o.mag_j, o.mag_h, o.mag_k, o.mag_w1, o.mag_w2, o.mag_w3, o.mag_ch1, c.catalogue_id, c.object_id, c.run_id
FROM xcat.match AS m
JOIN xcat.match_candidate AS c ON c.source_id = m.source_id AND c.catalogue_id = m.catalogue_id AND c.is_best
JOIN xcat.source AS s ON s.source_id = m.source_id
JOIN xcat.catalogue AS k ON k.catalogue_id = m.catalogue_id
JOIN xcat.counterpart AS o ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id
WHERE m.accepted
  AND m.run_id = (SELECT match_run_id FROM xcat.published)
  AND c.run_id = (SELECT match_run_id FROM xcat.published)
  AND s.run_id = (SELECT source_run_id FROM xcat.published);
COMMENT ON VIEW xcat.counterparts IS 'The accepted counterpart of every source in every catalogue, in the published run';

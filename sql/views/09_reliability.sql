-- How often a position without counterpart is given one, cutoff by cutoff.
CREATE VIEW xcat.reliability AS
SELECT coalesce(k.name, 'all together') AS catalogue, c.part, c.cutoff, c.is_chosen, c.false_rate, c.contamination,
       c.n_sources, c.n_sources_above, c.n_shifted, c.n_shifted_above, c.density_low_per_deg2, c.density_high_per_deg2,
       c.run_id
FROM xcat.calibration AS c
LEFT JOIN xcat.catalogue AS k ON k.catalogue_id = c.catalogue_id
WHERE c.run_id = (SELECT match_run_id FROM xcat.published);
COMMENT ON VIEW xcat.reliability IS
'False matches at shifted positions against the cutoff of p_any, by catalogue and part of the sky, in the published run';

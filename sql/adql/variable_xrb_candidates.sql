-- name: variable_xrb_candidates
-- Which X-ray binary candidates varied over the years by more than 3 sigma, and in which missions were they seen? One
-- row per source of the master source, that of the candidate included.
SELECT x.name, x.p_xrb, m.flux_ratio_sigma, m.flux_ratio, m.flux_ratio_low, m.master_id, m.n_missions, m.is_ambiguous,
       m.catalogue AS member_catalogue, m.name AS member, m.flux_std_cgs, m.mjd_first, m.mjd_last
FROM pub.xrb_candidates AS x
JOIN pub.master_sources AS own ON own.source_id = x.source_id
JOIN pub.master_sources AS m ON m.master_id = own.master_id
WHERE x.flux_ratio_sigma > 3
ORDER BY m.flux_ratio_sigma DESC, x.name, member_catalogue

-- What a source may be in all counterpart catalogues together, with the properties that it then has. Names of catalogues
-- and objects are looked up only where they are asked for.
CREATE VIEW xcat.hypotheses AS
SELECT h.source_id, s.name, h.rank, h.p_hypothesis, h.p_i, h.match_flag, h.log_bayes_factor,
       ARRAY(SELECT k.name FROM unnest(h.catalogues) WITH ORDINALITY AS u (catalogue_id, i)
             JOIN xcat.catalogue AS k USING (catalogue_id) ORDER BY u.i) AS catalogues,
       ARRAY(SELECT o.native_id FROM unnest(h.catalogues, h.objects) WITH ORDINALITY AS u (catalogue_id, object_id, i)
             JOIN xcat.counterpart AS o USING (catalogue_id, object_id) ORDER BY u.i) AS objects,
       p.pm_mas_yr, p.parallax_sigma, p.distance_pc, p.log_lx_counterpart, p.log_fx_fb, p.log_fx_fr, p.log_fx_fw1,
       p.log_fx_fw2, p.log_fx_fj, p.bp_rp, p.r_w1, p.j_k, p.h_k, p.j_w1, p.w1_w2, p.w2_w3, h.run_id
FROM xcat.hypothesis AS h
JOIN xcat.source AS s ON s.source_id = h.source_id
LEFT JOIN xcat.hypothesis_property AS p ON p.source_id = h.source_id AND p.rank = h.rank
     AND p.run_id = (SELECT property_run_id FROM xcat.published)
WHERE h.run_id = (SELECT match_run_id FROM xcat.published)
  AND s.run_id = (SELECT source_run_id FROM xcat.published);
COMMENT ON VIEW xcat.hypotheses IS
'What every source may be in all counterpart catalogues together, in the published run: rank 0 is none of them';

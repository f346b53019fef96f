-- name: missions_that_disagree
-- Which objects do the missions that have seen them classify differently? One row per object, as its best measured
-- source; its other sources are in pub.master_sources, with the same master_id.
SELECT name, catalogue, class, p_class, other_missions, master_id, n_missions, known_class_of_master, ra, dec
FROM pub.classified
WHERE is_best_of_master = TRUE AND missions_agree = FALSE
ORDER BY p_class DESC, name

-- The names that users of the published XMM classifications know (Tranin et al. 2022; 5XMM-DR15).

-- The classes of every published run under the column names of the published XMM classifications
CREATE VIEW pub.claxboi_runs AS
SELECT s.name AS iauname, s.ra, s.dec,
       CASE s.class WHEN 'AGN' THEN 0 WHEN 'Star' THEN 1 WHEN 'XRB' THEN 2 WHEN 'CV' THEN 3 END AS prediction,
       replace(replace(replace(replace(replace(replace(
           s.alternative, ':AGN', '0'), ':Star', '1'), ':XRB', '2'), ':CV', '3'), ' ', ','), ':', '') AS alt,
       2 * s.p_class - 1 AS clmargin, s.outlier, s.n_missing,
       s.p_agn AS pbac0, s.p_star AS pbac1, s.p_xrb AS pbac2, s.p_cv AS pbac3,
       l.p[o.agn] AS pbac0_location, l.p[o.star] AS pbac1_location, l.p[o.xrb] AS pbac2_location,
       l.p[o.cv] AS pbac3_location, x.p[o.agn] AS pbac0_spectrum, x.p[o.star] AS pbac1_spectrum,
       x.p[o.xrb] AS pbac2_spectrum, x.p[o.cv] AS pbac3_spectrum, w.p[o.agn] AS pbac0_multiwavelength,
       w.p[o.star] AS pbac1_multiwavelength, w.p[o.xrb] AS pbac2_multiwavelength, w.p[o.cv] AS pbac3_multiwavelength,
       v.p[o.agn] AS pbac0_variability, v.p[o.star] AS pbac1_variability, v.p[o.xrb] AS pbac2_variability,
       v.p[o.cv] AS pbac3_variability,
       s.source_id, s.run_id
FROM pub.classified_runs AS s
JOIN pub.source_evidence_runs AS e ON e.run_id = s.run_id AND e.source_id = s.source_id
JOIN pub.runs AS r ON r.run_id = s.run_id
CROSS JOIN LATERAL (
    SELECT array_agg(t.category ORDER BY t.term_id) AS term_category
    FROM xcat.model_term AS t WHERE t.run_id = r.model_run_id) AS m
CROSS JOIN LATERAL (
    SELECT array_agg(array_position(r.classes, coalesce(k.part_of, k.class)) ORDER BY k.class_id) AS of_answer,
           array_agg(k.prior ORDER BY k.class_id) AS prior
    FROM xcat.model_class AS k WHERE k.run_id = r.model_run_id) AS c
CROSS JOIN LATERAL (
    SELECT array_position(r.classes, 'AGN') AS agn, array_position(r.classes, 'Star') AS star,
           array_position(r.classes, 'XRB') AS xrb, array_position(r.classes, 'CV') AS cv) AS o
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(e.evidence, m.term_category, 'location',
                                                       c.of_answer, c.prior)) AS l (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(e.evidence, m.term_category, 'spectrum',
                                                       c.of_answer, c.prior)) AS x (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(e.evidence, m.term_category, 'multiwavelength',
                                                       c.of_answer, c.prior)) AS w (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(e.evidence, m.term_category, 'variability',
                                                       c.of_answer, c.prior)) AS v (p);

-- The names that users of the published XMM classifications know (Tranin et al. 2022; 5XMM-DR15).
CREATE VIEW xcat.claxboi AS
SELECT s.name AS iauname, s.ra, s.dec,
       array_position(ARRAY['AGN', 'Star', 'XRB', 'CV'], c.class) - 1 AS prediction,
       (SELECT coalesce(string_agg(
            split_part(t.pair, ':', 1)
            || (array_position(ARRAY['AGN', 'Star', 'XRB', 'CV'], split_part(t.pair, ':', 2)) - 1), ',' ORDER BY t.i), '')
        FROM unnest(string_to_array(c.alternative, ' ')) WITH ORDINALITY AS t (pair, i)) AS alt,
       2 * c.p[array_position(m.classes, c.class)] - 1 AS clmargin,
       c.outlier, c.n_missing,
       c.p[o.agn] AS pbac0, c.p[o.star] AS pbac1, c.p[o.xrb] AS pbac2, c.p[o.cv] AS pbac3,
       l.p[o.agn] AS pbac0_location, l.p[o.star] AS pbac1_location, l.p[o.xrb] AS pbac2_location, l.p[o.cv] AS pbac3_location,
       x.p[o.agn] AS pbac0_spectrum, x.p[o.star] AS pbac1_spectrum, x.p[o.xrb] AS pbac2_spectrum, x.p[o.cv] AS pbac3_spectrum,
       w.p[o.agn] AS pbac0_multiwavelength, w.p[o.star] AS pbac1_multiwavelength, w.p[o.xrb] AS pbac2_multiwavelength,
       w.p[o.cv] AS pbac3_multiwavelength,
       v.p[o.agn] AS pbac0_variability, v.p[o.star] AS pbac1_variability, v.p[o.xrb] AS pbac2_variability,
       v.p[o.cv] AS pbac3_variability,
       c.source_id, c.run_id
FROM (SELECT c.run_id, c.source_id, c.n_missing, coalesce(o.class, c.class) AS class, coalesce(o.p, c.p) AS p,
             coalesce(o.outlier, c.outlier) AS outlier, coalesce(o.alternative, c.alternative) AS alternative,
             coalesce(o.evidence, c.evidence) AS evidence
      FROM xcat.classification AS c
      LEFT JOIN xcat.out_of_fold AS o
             ON o.source_id = c.source_id AND o.run_id = (SELECT model_run_id FROM xcat.published)) AS c
JOIN xcat.source AS s ON s.source_id = c.source_id
CROSS JOIN (SELECT ARRAY(SELECT class FROM xcat.model_class WHERE run_id = (SELECT model_run_id FROM xcat.published)
                         ORDER BY class_id) AS classes,
                   ARRAY(SELECT category FROM xcat.model_term WHERE run_id = (SELECT model_run_id FROM xcat.published)
                         ORDER BY term_id) AS term_category) AS m
CROSS JOIN LATERAL (SELECT array_position(m.classes, 'AGN') AS agn, array_position(m.classes, 'Star') AS star,
                           array_position(m.classes, 'XRB') AS xrb, array_position(m.classes, 'CV') AS cv) AS o
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(c.evidence, m.term_category, 'location', cardinality(m.classes))) AS l (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(c.evidence, m.term_category, 'spectrum', cardinality(m.classes))) AS x (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(c.evidence, m.term_category, 'multiwavelength', cardinality(m.classes))) AS w (p)
CROSS JOIN LATERAL (SELECT xcat.category_probabilities(c.evidence, m.term_category, 'variability', cardinality(m.classes))) AS v (p)
WHERE c.run_id = (SELECT run_id FROM xcat.published)
  AND s.run_id = (SELECT source_run_id FROM xcat.published);
COMMENT ON VIEW xcat.claxboi IS 'The published run under the column names of the published XMM classifications';

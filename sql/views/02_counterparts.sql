-- The published run of the flat tables. pub.classified and the candidates are made by each publication, since their
-- columns are the classes of its model (sql/jobs/publish.sql).
CREATE VIEW pub.counterparts AS SELECT * FROM pub.counterparts_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.counterparts IS 'The accepted counterpart of every source in every catalogue, in the published run';

CREATE VIEW pub.hypotheses AS SELECT * FROM pub.hypotheses_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.hypotheses IS
'What every source may be in all counterpart catalogues together, in the published run: rank 0 is none of them';

CREATE VIEW pub.master_sources AS SELECT * FROM pub.master_sources_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.master_sources IS
'One source across missions: every source of the published run with its master source and that one''s fluxes';

CREATE VIEW pub.ulx_candidates AS SELECT * FROM pub.ulx_candidates_runs WHERE run_id = pub.published_run();
COMMENT ON VIEW pub.ulx_candidates IS
'Off-nuclear sources in nearby galaxies above 1e39 erg / s, with the background AGN expected beside them';

CREATE VIEW pub.hyperluminous_candidates AS SELECT * FROM pub.ulx_candidates WHERE is_hyperluminous;
COMMENT ON VIEW pub.hyperluminous_candidates IS
'Off-nuclear sources in nearby galaxies above 1e41 erg / s, with the background AGN expected beside them';

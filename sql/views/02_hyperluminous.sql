-- An object that several missions have seen is listed once, as its best measured source that fulfils the conditions.

-- Off-nuclear sources in nearby galaxies above 1e39 erg / s, in the published run, each object once, with the
-- background AGN expected beside them
CREATE VIEW pub.ulx_candidates AS
SELECT * FROM pub.ulx_candidates_runs WHERE run_id = pub.published_run() AND is_best_of_master;

-- Off-nuclear sources in nearby galaxies above 1e41 erg / s, with the background AGN expected beside them
CREATE VIEW pub.hyperluminous_candidates AS
SELECT * FROM pub.ulx_candidates_runs WHERE run_id = pub.published_run() AND is_best_of_master AND is_hyperluminous;

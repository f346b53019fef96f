-- Off-nuclear sources in nearby galaxies above 1e41 erg / s, with the background AGN expected beside them
CREATE VIEW pub.hyperluminous_candidates AS
SELECT * FROM pub.ulx_candidates_runs WHERE run_id = pub.published_run() AND is_hyperluminous;

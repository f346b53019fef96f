-- name: earlier_run
-- What did an earlier classify run say? Every view shows the run that xcat.run names, until it is reset; the run's number
-- is enough, as in SET xcat.run = 12. Here the oldest one.
SELECT set_config('xcat.run', min(run_id)::text, false) FROM xcat.run WHERE kind = 'classify' AND status = 'done';
SELECT run_id, class, count(*) AS sources, avg(p_class) AS mean_probability FROM xcat.classified GROUP BY 1, 2 ORDER BY 3 DESC;
RESET xcat.run;

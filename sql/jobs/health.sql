-- name: facts
-- What tells whether xcat does its work: ages are in days.
SELECT p.run_id, extract(epoch FROM clock_timestamp() - p.published_at)::double precision / 86400 AS published_days,
       b.file_name, extract(epoch FROM clock_timestamp() - b.created_at)::double precision / 86400 AS backup_days,
       pg_database_size(current_database()) AS size_bytes,
       (SELECT count(*) FROM xcat.schedule WHERE NOT is_paused) AS n_schedules,
       (SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NULL
          AND queue_name = 'pipelines')
       AS n_waiting,
       -- the queue has the workers of `xcat serve`, too, which take no pipelines: sessions have the names of programs
       (SELECT count(DISTINCT application_name) FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, %(worker)s)
          AND EXISTS (SELECT FROM procrastinate.procrastinate_workers
                      WHERE last_heartbeat > clock_timestamp() - make_interval(secs => %(dead_s)s))) AS n_workers
FROM (VALUES (true)) AS one
LEFT JOIN xcat.publication AS p ON p.active
LEFT JOIN LATERAL (SELECT file_name, created_at FROM xcat.backup ORDER BY created_at DESC LIMIT 1) AS b ON true;

-- name: last_ended
-- The last run of each pipeline that has ended.
SELECT DISTINCT ON (name) run_id, name, status, error
FROM xcat.run WHERE kind = 'pipeline' AND status <> 'running'
ORDER BY name, run_id DESC;

-- name: add_backup
-- A backup was written.
INSERT INTO xcat.backup (file_name, n_bytes, host) VALUES (%(file_name)s, %(n_bytes)s, %(host)s);

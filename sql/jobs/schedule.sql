-- name: add
-- Add a schedule.
INSERT INTO xcat.schedule (name, cron, time_zone, pipeline_file, data_folder, options, hook, next_at)
VALUES (%(name)s, %(cron)s, %(time_zone)s, %(pipeline_file)s, %(data_folder)s, %(options)s, %(hook)s, %(next_at)s)
ON CONFLICT DO NOTHING
RETURNING name;

-- name: listing
-- All schedules, each with the state of its job: todo (it waits), doing, or NULL.
SELECT s.*, j.status::text AS job, j.attempts, j.scheduled_at AS retry_at
FROM xcat.schedule AS s
LEFT JOIN LATERAL (
    SELECT status, attempts, scheduled_at FROM procrastinate.procrastinate_jobs
    WHERE args ->> 'schedule' = s.name AND status IN ('todo', 'doing')
    ORDER BY status DESC LIMIT 1) AS j ON true
ORDER BY s.name;

-- name: show
-- One schedule.
SELECT * FROM xcat.schedule WHERE name = %(name)s;

-- name: pause
-- Let a schedule rest, or run again from now on.
UPDATE xcat.schedule SET is_paused = %(is_paused)s, next_at = %(next_at)s WHERE name = %(name)s;

-- name: remove
-- Remove a schedule, and what waits for it in the queue.
WITH waiting AS (
    DELETE FROM procrastinate.procrastinate_jobs WHERE args ->> 'schedule' = %(name)s AND status = 'todo'
)
DELETE FROM xcat.schedule WHERE name = %(name)s;

-- name: one_tick
-- One worker at a time looks what is due.
SELECT pg_try_advisory_xact_lock(hashtext('xcat.tick'), 0);

-- name: due
-- Schedules whose time has come.
SELECT * FROM xcat.schedule WHERE NOT is_paused AND next_at <= %(now)s ORDER BY next_at FOR UPDATE;

-- name: ticked
-- A schedule's job is in the queue.
UPDATE xcat.schedule SET next_at = %(next_at)s, last_at = %(now)s WHERE name = %(name)s;

-- name: ended
-- How the run of a schedule ended.
UPDATE xcat.schedule SET last_outcome = %(outcome)s WHERE name = %(name)s;

-- name: queue_path
-- procrastinate's functions find their tables by the search path.
SET LOCAL search_path TO procrastinate, xcat, public;

-- name: rescue
-- Give back the jobs of a queue whose workers have died: those without a heartbeat for some seconds.
SELECT j.args ->> 'schedule' AS schedule, j.attempts,
       procrastinate_retry_job_v2(j.id, clock_timestamp(), NULL, NULL, NULL)
FROM procrastinate_jobs AS j LEFT JOIN procrastinate_workers AS w ON w.id = j.worker_id
WHERE j.status = 'doing' AND j.queue_name = %(queue)s
  AND (w.id IS NULL OR w.last_heartbeat < clock_timestamp() - make_interval(secs => %(dead_s)s));

-- name: workers
-- Workers, with the seconds since each was last heard of.
SELECT id, extract(epoch FROM clock_timestamp() - last_heartbeat)::double precision AS silent_s
FROM procrastinate.procrastinate_workers
ORDER BY id;

-- name: try_turn
-- Take the turn of a pipeline, unless another session has it. The server gives it back when the session dies.
SELECT pg_try_advisory_lock(hashtext('xcat.pipeline'), hashtext(%(name)s));

-- name: whose_turn
-- What the session that has the turn of a pipeline works on.
SELECT l.pid AS server_pid, r.run_id, r.started_at, p.host, p.pid, p.os_user, p.stage
FROM pg_locks AS l
LEFT JOIN xcat.run AS r ON r.status = 'running' AND r.kind = 'pipeline' AND r.name = %(name)s
LEFT JOIN xcat.run_progress AS p ON p.run_id = r.run_id
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = (hashtext('xcat.pipeline')::bigint & 4294967295)
  AND l.objid::bigint = (hashtext(%(name)s)::bigint & 4294967295)
ORDER BY r.run_id DESC LIMIT 1;

-- name: begin
-- Say who works on a run.
INSERT INTO xcat.run_progress (run_id, host, pid, os_user) VALUES (%(run_id)s, %(host)s, %(pid)s, %(os_user)s);

-- name: beat
-- Say that a run is at work, and how far it is.
UPDATE xcat.run_progress
SET beat_at = clock_timestamp(), stage = %(stage)s, step = %(step)s, share_done = %(share_done)s
WHERE run_id = %(run_id)s;

-- name: look
-- Whether a run is asked to end.
SELECT cancelled_by, cancelled_at FROM xcat.run_progress WHERE run_id = %(run_id)s AND cancelled_at IS NOT NULL;

-- name: try_run_lock
-- Take the lock of a run again, after the session that had it was lost.
SELECT pg_try_advisory_lock(hashtext('xcat.run'), %(run_id)s);

-- name: take_up
-- A run whose session was lost is at work again, unless it was given up and deleted meanwhile.
UPDATE xcat.run SET status = 'running', ended_at = NULL, error = NULL
WHERE run_id = %(run_id)s AND status IN ('running', 'lost')
RETURNING run_id;

-- name: at_work
-- Runs at work, each with its part of a pipeline, if it has one, and how far it is.
SELECT r.run_id, r.kind, r.name, r.started_at, p.host, p.pid, p.os_user, p.beat_at, p.stage, p.step, p.share_done,
       extract(epoch FROM clock_timestamp() - r.started_at)::double precision AS seconds,
       extract(epoch FROM clock_timestamp() - p.beat_at)::double precision AS silent_s,
       (SELECT max(s.started_at) FROM xcat.run AS s WHERE s.pipeline_run_id = r.run_id AND s.status = 'running')
           AS stage_started_at
FROM xcat.run AS r JOIN xcat.run_progress AS p USING (run_id)
WHERE r.status = 'running'
ORDER BY r.run_id;

-- name: took
-- How long each stage took when a pipeline of this name last did it, in seconds.
SELECT DISTINCT ON (kind) kind, extract(epoch FROM ended_at - started_at)::double precision AS seconds
FROM xcat.run
WHERE name = %(name)s AND status = 'done' AND kind <> 'pipeline'
ORDER BY kind, run_id DESC;

-- name: whole
-- The run that a run is a part of, or itself.
SELECT coalesce(p.run_id, r.run_id) AS run_id, coalesce(p.kind, r.kind) AS kind, coalesce(p.status, r.status) AS status
FROM xcat.run AS r LEFT JOIN xcat.run AS p ON p.run_id = r.pipeline_run_id AND p.status = 'running'
WHERE r.run_id = %(run_id)s;

-- name: cancel
-- Ask a run to end; its process looks several times a second. The first who asks is remembered.
UPDATE xcat.run_progress
SET cancelled_by = coalesce(cancelled_by, %(by)s), cancelled_at = coalesce(cancelled_at, clock_timestamp())
WHERE run_id = %(run_id)s
RETURNING host, pid;

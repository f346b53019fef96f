-- name: begin
-- Enter a run before it does anything, so that a crash leaves a trace.
INSERT INTO xcat.run (kind, name, status, config, config_key, versions, inputs, pipeline_run_id,
                      source_run_id, link_run_id, match_run_id, property_run_id, label_run_id, model_run_id)
VALUES (%(kind)s, %(name)s, 'running', %(config)s, %(config_key)s, %(versions)s, %(inputs)s,
        %(pipeline_run_id)s, %(source_run_id)s, %(link_run_id)s, %(match_run_id)s, %(property_run_id)s, %(label_run_id)s,
        %(model_run_id)s)
RETURNING run_id;

-- name: finish
-- Mark a run done, in the transaction that wrote its rows: both become visible, or neither.
UPDATE xcat.run
SET status = 'done', ended_at = clock_timestamp(), summary = %(summary)s, inputs = inputs || %(inputs)s
WHERE run_id = %(run_id)s;

-- name: fail
-- Mark a run failed, after its transaction was rolled back.
UPDATE xcat.run
SET status = 'failed', ended_at = clock_timestamp(), error = %(error)s, summary = %(summary)s
WHERE run_id = %(run_id)s;

-- name: lock
-- Held by the session of a running run; the server releases it when the session dies, however it dies.
-- Taken in the transaction that enters the row, so that nobody sees the row without the lock.
SELECT pg_advisory_lock(hashtext('xcat.run'), %(run_id)s);

-- name: reap
-- Mark runs whose session is gone as lost.
WITH dead AS MATERIALIZED (
    SELECT run_id
    FROM xcat.run
    WHERE status = 'running'
      AND NOT EXISTS (
          SELECT FROM pg_locks
          WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = (hashtext('xcat.run')::bigint & 4294967295)
            AND objid::bigint = run_id)
)
UPDATE xcat.run
SET status = 'lost', ended_at = clock_timestamp(), error = 'the process that ran it ended without a word'
WHERE run_id IN (SELECT run_id FROM dead)
  AND status = 'running'  -- asked again: it may have ended well since
RETURNING run_id;

-- name: find_done
-- The newest finished run with this key: the same work need not be done twice.
SELECT max(run_id) FROM xcat.run WHERE kind = %(kind)s AND config_key = %(config_key)s AND status = 'done';

-- name: list_runs
-- Runs, newest first.
SELECT run_id, kind, name, status, started_at,
       extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::double precision AS seconds,
       pipeline_run_id, run_id = (SELECT run_id FROM xcat.publication WHERE active) AS published, summary, error
FROM xcat.run
ORDER BY run_id DESC
LIMIT %(limit)s;

-- name: show
-- Everything about one run.
SELECT to_jsonb(run) FROM xcat.run WHERE run_id = %(run_id)s;

-- name: last_done
-- Newest finished run of a kind and name.
SELECT max(run_id) FROM xcat.run WHERE kind = %(kind)s AND name = %(name)s AND status = 'done' HAVING count(*) > 0;

-- name: begin
-- Enter a run before it does anything, so that a crash leaves a trace.
INSERT INTO xcat.run (kind, name, status, config, config_key, versions, inputs, pipeline_run_id,
                      source_run_id, link_run_id, match_run_id, property_run_id, label_run_id, model_run_id)
VALUES (%(kind)s, %(name)s, 'running', %(config)s, %(config_key)s, %(versions)s, %(inputs)s,
        %(pipeline_run_id)s, %(source_run_id)s, %(link_run_id)s, %(match_run_id)s, %(property_run_id)s,
        %(label_run_id)s, %(model_run_id)s)
RETURNING run_id;

-- name: lock_content
-- Held while a run enters what it reads: until then no rows are added to this version, and it is not dropped.
SELECT pg_advisory_xact_lock_shared(hashtext('xcat.content'), %(catalogue_id)s);

-- name: finish
-- Mark a run done, in the transaction that wrote its rows: both become visible, or neither. Failed and lost runs of the
-- same kind and name are deleted: their work has been done now. A publication that the gates refused is kept: it says
-- what was measured. No row comes back if the run itself was deleted so, after its lock was lost.
WITH finished AS (
    UPDATE xcat.run
    SET status = 'done', ended_at = clock_timestamp(), error = NULL, summary = %(summary)s,
        inputs = inputs || %(inputs)s
    WHERE run_id = %(run_id)s AND status IN ('running', 'lost')
    RETURNING run_id, kind, name
), replaced AS (
    DELETE FROM xcat.run USING finished
    WHERE run.status IN ('failed', 'lost') AND run.kind = finished.kind AND run.name = finished.name
      AND run.pinned IS NULL AND run.run_id <> finished.run_id AND run.summary -> 'gates' IS NULL
)
SELECT run_id FROM finished;

-- name: is_at_work
-- Whether a pipeline's run is at work, held until the transaction ends: a stage of a run that was given up meanwhile,
-- because its connection was lost and another run took its turn, must not end well.
SELECT run_id FROM xcat.run WHERE run_id = %(run_id)s AND status = 'running' FOR SHARE;

-- name: fail
-- Mark a run failed or cancelled, after its transaction was rolled back.
UPDATE xcat.run
SET status = %(status)s, ended_at = clock_timestamp(), error = %(error)s, summary = %(summary)s
WHERE run_id = %(run_id)s AND status IN ('running', 'lost');

-- name: status
-- The state of a run.
SELECT status FROM xcat.run WHERE run_id = %(run_id)s;

-- name: lock
-- Held by the session of a running run; the server releases it when the session dies, however it dies.
-- Taken in the transaction that enters the row, so that no session sees the row without the lock.
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
SET status = 'lost', ended_at = clock_timestamp(), error = 'the process died without reporting an error'
WHERE run_id IN (SELECT run_id FROM dead)
  AND status = 'running'  -- asked again: it may have ended well since
RETURNING run_id;

-- name: may_change
-- Whether the present user may write to the books; not on a server that only reads.
SELECT has_table_privilege('xcat.run', 'UPDATE') AND NOT current_setting('transaction_read_only')::boolean;

-- name: find_done
-- The newest finished run with this key: the same work need not be done twice.
SELECT max(run_id) FROM xcat.run WHERE kind = %(kind)s AND config_key = %(config_key)s AND status = 'done';

-- name: list_runs
-- Runs, newest first.
SELECT run_id, kind, name, status, started_at,
       extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::double precision AS seconds,
       pipeline_run_id, run_id = (SELECT run_id FROM xcat.publication WHERE active) AS published, pinned, summary, error
FROM xcat.run
ORDER BY run_id DESC
LIMIT %(limit)s;

-- name: show
-- Everything about one run.
SELECT to_jsonb(run) FROM xcat.run WHERE run_id = %(run_id)s;

-- name: last_done
-- Newest finished run of a kind and name.
SELECT max(run_id) FROM xcat.run WHERE kind = %(kind)s AND name = %(name)s AND status = 'done' HAVING count(*) > 0;

-- name: note_stages
-- The runs that a pipeline run depends on, before it has ended.
UPDATE xcat.run SET summary = summary || jsonb_build_object('runs', %(stages)s::jsonb) WHERE run_id = %(run_id)s;

-- name: one_at_a_time
-- Publishing, dropping and pruning wait for each other; readers and stages do not.
SELECT pg_advisory_xact_lock(hashtext('xcat.publish'), 0);

-- name: pin
-- Keep a run, and all that it depends on, whatever is pruned; or keep it no longer.
UPDATE xcat.run SET pinned = %(pinned)s WHERE run_id = %(run_id)s;

-- name: with_parts
-- Runs, and the stages that those of them that are pipelines have made; the records of the publication of these, and
-- the models of them that were refitted for fewer properties.
WITH asked AS (
    SELECT run_id FROM xcat.run WHERE run_id = ANY (%(run_ids)s) OR pipeline_run_id = ANY (%(run_ids)s)
)
SELECT run_id FROM asked
UNION
SELECT run_id FROM xcat.run
WHERE kind = 'publish' AND (config ->> 'classify_run_id')::integer IN (SELECT run_id FROM asked)
   OR kind = 'fit' AND model_run_id IN (SELECT run_id FROM asked)
ORDER BY run_id;

-- name: not_to_keep
-- What `prune` drops: all but the published run and the one published before, the released and pinned ones, those that
-- are running, the last runs of each kind and name (refused publications among them), and whatever these depend on.
-- If a pipeline is named, the runs of all others stay.
-- A run that loaded files stays as long as a version of a catalogue holds one of them. A model that was refitted for
-- fewer properties (a fit that reads a fit) stays as long as the model itself.
WITH RECURSIVE edge (run_id, needs) AS (
    SELECT r.run_id, n.needs
    FROM xcat.run AS r
    CROSS JOIN LATERAL (VALUES (r.source_run_id), (r.link_run_id), (r.match_run_id), (r.property_run_id),
                               (r.label_run_id), (r.model_run_id),
                               (CASE r.kind WHEN 'publish' THEN (r.config ->> 'classify_run_id')::integer
                                            WHEN 'classify' THEN (r.config ->> 'frozen_run_id')::integer END)
                       ) AS n (needs)
    WHERE n.needs IS NOT NULL
    UNION ALL
    SELECT r.run_id, s.value::integer
    FROM xcat.run AS r
    CROSS JOIN LATERAL jsonb_each_text(CASE WHEN r.kind = 'pipeline' THEN r.summary -> 'runs' END) AS s
    WHERE r.status IN ('done', 'running')
    UNION ALL
    SELECT r.model_run_id, r.run_id FROM xcat.run AS r
    WHERE r.kind = 'fit' AND r.model_run_id IS NOT NULL AND r.status = 'done'
), kept (run_id) AS (
    SELECT run_id FROM xcat.publication WHERE active
    UNION
    (SELECT run_id FROM xcat.publication
     WHERE how <> 'written' AND NOT withdrawn
       AND run_id <> coalesce((SELECT run_id FROM xcat.publication WHERE active), -1)
     ORDER BY publication_id DESC LIMIT 1)
    UNION
    SELECT run_id FROM xcat.release WHERE run_id IS NOT NULL
    UNION
    SELECT run_id FROM xcat.run
    WHERE pinned IS NOT NULL OR status = 'running'
       OR name <> %(name)s AND kind <> 'ingest' AND (kind <> 'fit' OR model_run_id IS NULL)
    UNION
    SELECT run_id
    FROM (SELECT run_id, row_number() OVER (PARTITION BY kind, name ORDER BY run_id DESC) AS age
          FROM xcat.run
          WHERE (status = 'done' OR summary -> 'gates' IS NOT NULL) AND kind <> 'ingest'
            AND (kind <> 'fit' OR model_run_id IS NULL)) AS r
    WHERE age <= %(keep)s
    UNION
    SELECT edge.needs FROM kept JOIN edge USING (run_id)
), read (catalogue_id) AS (
    SELECT catalogue_id FROM xcat.catalogue WHERE is_current
    UNION
    SELECT c.catalogue_id FROM xcat.run_catalogue AS c JOIN kept USING (run_id)
)
SELECT run_id
FROM xcat.run AS r
WHERE run_id NOT IN (SELECT run_id FROM kept)
  AND NOT EXISTS (SELECT FROM xcat.catalogue_file AS f JOIN xcat.catalogue_content AS c USING (file_id)
                  JOIN read USING (catalogue_id)
                  WHERE f.run_id = r.run_id)
ORDER BY run_id;

-- name: obstacles
-- Why runs cannot be dropped: what still needs them.
SELECT r.run_id, 'is running' AS why FROM xcat.run AS r WHERE r.run_id = ANY (%(run_ids)s) AND r.status = 'running'
UNION ALL
SELECT run_id, 'is published' FROM xcat.publication WHERE active AND run_id = ANY (%(run_ids)s)
UNION ALL
SELECT run_id, 'is the release ' || label FROM xcat.release WHERE run_id = ANY (%(run_ids)s)
UNION ALL
SELECT run_id, 'is pinned: ' || pinned FROM xcat.run WHERE pinned IS NOT NULL AND run_id = ANY (%(run_ids)s)
UNION ALL
SELECT n.needs, 'is read by ' || string_agg(r.kind || ' run ' || r.run_id, ', ' ORDER BY r.run_id)
FROM xcat.run AS r
CROSS JOIN LATERAL (VALUES (r.source_run_id), (r.link_run_id), (r.match_run_id), (r.property_run_id), (r.label_run_id),
                           (r.model_run_id),
                           (CASE r.kind WHEN 'classify' THEN (r.config ->> 'frozen_run_id')::integer END)) AS n (needs)
WHERE n.needs = ANY (%(run_ids)s) AND r.run_id <> ALL (%(run_ids)s)
GROUP BY n.needs
UNION ALL
SELECT f.run_id, 'loaded files that the catalogue ' || string_agg(DISTINCT k.name, ', ') || ' holds'
FROM xcat.catalogue_file AS f
JOIN xcat.catalogue_content AS c USING (file_id)
JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE f.run_id = ANY (%(run_ids)s)
  AND (k.is_current OR EXISTS (SELECT FROM xcat.run_catalogue AS u
                               WHERE u.catalogue_id = k.catalogue_id AND u.run_id <> ALL (%(run_ids)s)))
GROUP BY f.run_id
ORDER BY 1, 2;

-- name: forget
-- Delete runs with the rows that belong to them; runs that loaded files only after these files.
DELETE FROM xcat.run
WHERE run_id = ANY (%(run_ids)s) AND NOT EXISTS (SELECT FROM xcat.catalogue_file AS f WHERE f.run_id = run.run_id);

-- name: unread_versions
-- Versions of catalogues that are not current and that no run has read.
SELECT catalogue_id FROM xcat.catalogue AS k
WHERE NOT is_current AND NOT EXISTS (SELECT FROM xcat.run_catalogue AS u WHERE u.catalogue_id = k.catalogue_id)
ORDER BY catalogue_id;

-- name: forget_version
-- Delete a version, unless a run has begun to read it.
DELETE FROM xcat.catalogue AS k
WHERE catalogue_id = %(catalogue_id)s AND NOT is_current
  AND NOT EXISTS (SELECT FROM xcat.run_catalogue AS u WHERE u.catalogue_id = k.catalogue_id)
RETURNING catalogue_id;

-- name: forget_files
-- Files that no version holds any more, with their rejected rows.
DELETE FROM xcat.catalogue_file AS f
WHERE NOT EXISTS (SELECT FROM xcat.catalogue_content AS c WHERE c.file_id = f.file_id);

-- name: to_drop
-- Enter tables that are to be dropped as soon as no session reads them.
INSERT INTO xcat.dropped_table (table_name)
SELECT name FROM unnest(%(names)s::text[]) AS n (name) WHERE to_regclass(name) IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: next_to_drop
-- Some of them that no other session is about to drop. Tables are left out if a transaction that has been open for a
-- second holds them or their parent: waiting for it would be in vain, and would make new readers wait behind us.
WITH held AS MATERIALIZED (
    SELECT DISTINCT l.relation
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND l.relation IS NOT NULL AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND a.xact_start < clock_timestamp() - interval '1 second'
)
SELECT d.table_name FROM xcat.dropped_table AS d
WHERE d.table_name <> ALL (%(busy)s)
  AND NOT EXISTS (
      SELECT FROM held
      WHERE held.relation = to_regclass(d.table_name)
         OR held.relation IN (SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = to_regclass(d.table_name)))
ORDER BY d.table_name LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED;

-- name: any_to_drop
-- Whether tables remain to be dropped.
SELECT EXISTS (SELECT FROM xcat.dropped_table);

-- name: was_dropped
-- They have been dropped.
DELETE FROM xcat.dropped_table WHERE table_name = ANY (%(names)s);

-- name: readers
-- Sessions that still read tables which are to be dropped, or hold their parents.
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.usename) AS who, a.xact_start
FROM xcat.dropped_table AS d
LEFT JOIN pg_inherits AS i ON i.inhrelid = to_regclass(d.table_name)
JOIN pg_locks AS l ON l.relation IN (to_regclass(d.table_name), i.inhparent) AND l.pid <> pg_backend_pid()
JOIN pg_stat_activity AS a ON a.pid = l.pid
ORDER BY a.pid;

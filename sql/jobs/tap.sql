-- name: may_write
-- The reader loads an upload: in this transaction alone it may write, and only temporary tables.
SET TRANSACTION READ WRITE;

-- name: index_upload
-- The index of searches by position.
CREATE INDEX ON {table} (public.q3c_ang2ipix({ra}, {dec}));

-- name: forget
-- Drop the temporary tables of this session.
DISCARD TEMPORARY;

-- name: limit
-- The longest that a statement of this session may run.
SELECT set_config('statement_timeout', %(milliseconds)s, false);

-- name: tables
-- The tables that ADQL can read, in the order for people.
SELECT schema_name, table_name, table_type, description FROM pub.tap_tables ORDER BY table_index;

-- name: columns
-- Their columns.
SELECT * FROM pub.tap_columns ORDER BY table_name, column_index;

-- name: sizes
-- About how many rows each of them has: as many as the largest table that it reads, by the last ANALYZE.
WITH RECURSIVE reads (table_name, base) AS (
    SELECT table_name, to_regclass(replace(table_name, 'tap_schema.', 'pub.tap_'))::oid FROM pub.tap_tables
    UNION
    SELECT r.table_name, d.refobjid
    FROM reads AS r
    JOIN pg_rewrite AS w ON w.ev_class = r.base
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                       AND d.refclassid = 'pg_class'::regclass
    WHERE d.refobjid <> r.base
),
size (base, n_rows) AS (
    SELECT b.base, sum(greatest(c.reltuples, 0))
    FROM (SELECT DISTINCT base FROM reads) AS b
    CROSS JOIN LATERAL (SELECT b.base AS relid UNION SELECT relid FROM pg_partition_tree(b.base) WHERE isleaf) AS p
    JOIN pg_class AS c ON c.oid = p.relid AND c.relkind IN ('r', 'm')
    GROUP BY b.base
)
SELECT r.table_name, max(s.n_rows)::bigint AS n_rows FROM reads AS r JOIN size AS s USING (base) GROUP BY r.table_name;

-- name: keys
-- Their keys, with the columns of each.
SELECT k.key_id, k.from_table, k.target_table, k.description,
       array_agg(c.from_column ORDER BY c.from_column) AS from_columns,
       array_agg(c.target_column ORDER BY c.from_column) AS target_columns
FROM pub.tap_keys AS k JOIN pub.tap_key_columns AS c USING (key_id)
GROUP BY k.key_id, k.from_table, k.target_table, k.description
ORDER BY k.key_id;

-- name: schemas
-- The schemas.
SELECT schema_name, description FROM pub.tap_schemas ORDER BY schema_index;

-- name: cone
-- Sources of the published run around a position, the nearest first; the radius is in degrees.
SELECT {columns}, public.q3c_dist(ra, dec, {centre_ra}, {centre_dec}) * 3600 AS sep_arcsec
FROM pub.classified
WHERE pub.in_cone(ra, dec, {centre_ra}, {centre_dec}, {radius_deg})
ORDER BY sep_arcsec, source_id
LIMIT {n_rows};

-- name: new_job
-- Keep a job of a client, no longer than the service keeps jobs.
INSERT INTO xcat.tap_job (job_id, client, client_run_id, phase, execution_limit_s, destruction_at, parameters)
VALUES (%(job_id)s, %(client)s, %(client_run_id)s, 'PENDING', %(execution_limit_s)s,
        least(%(destruction_at)s, now() + make_interval(secs => %(keep_s)s)), %(parameters)s);

-- name: job
-- One job.
SELECT * FROM xcat.tap_job WHERE job_id = %(job_id)s;

-- name: jobs
-- The newest jobs of a client, in some phases, made after some time.
SELECT job_id, client_run_id, phase, created_at FROM xcat.tap_job
WHERE client = %(client)s AND (%(phases)s::text[] IS NULL OR phase = ANY (%(phases)s::text[]))
  AND (%(after)s::timestamptz IS NULL OR created_at > %(after)s::timestamptz)
ORDER BY created_at DESC, job_id
LIMIT %(last)s;

-- name: kept
-- How many jobs of a client there are.
SELECT count(*) FROM xcat.tap_job WHERE client = %(client)s;

-- name: change
-- Change what a client may change while the job has not begun; the destruction at any time.
UPDATE xcat.tap_job
SET parameters = CASE WHEN phase = 'PENDING' THEN coalesce(%(parameters)s, parameters) ELSE parameters END,
    execution_limit_s = CASE WHEN phase = 'PENDING' THEN coalesce(%(execution_limit_s)s, execution_limit_s)
                             ELSE execution_limit_s END,
    destruction_at = coalesce(least(%(destruction_at)s, created_at + make_interval(secs => %(keep_s)s)), destruction_at)
WHERE job_id = %(job_id)s;

-- name: move
-- Move a job from one of some phases into another, and give it back; nothing if it was in none of them.
UPDATE xcat.tap_job
SET phase = %(phase)s,
    started_at = CASE %(phase)s WHEN 'EXECUTING' THEN clock_timestamp() ELSE started_at END,
    ended_at = CASE WHEN %(phase)s IN ('COMPLETED', 'ERROR', 'ABORTED') THEN clock_timestamp() END,
    error = %(error)s, media_type = %(media_type)s, n_bytes = %(n_bytes)s
WHERE job_id = %(job_id)s AND phase = ANY (%(from)s)
RETURNING *;

-- name: remove
-- Forget a job.
DELETE FROM xcat.tap_job WHERE job_id = %(job_id)s RETURNING phase;

-- name: lost
-- Jobs that should be in the queue and are not: a process died between its steps.
SELECT t.job_id FROM xcat.tap_job AS t
WHERE t.phase IN ('QUEUED', 'EXECUTING') AND coalesce(t.started_at, t.created_at) < now() - interval '30 s'
  AND NOT EXISTS (SELECT FROM procrastinate.procrastinate_jobs AS j
                  WHERE j.queue_name = 'tap' AND j.status IN ('todo', 'doing') AND j.args ->> 'job_id' = t.job_id);

-- name: expired
-- Forget the jobs whose time has come.
DELETE FROM xcat.tap_job WHERE destruction_at <= now() RETURNING job_id;

-- name: content
-- Rows of a table and their checksum, whatever their order: the sums of 128 bits of the SHA-256 of every row.
SELECT count(*), encode(sha256(convert_to(concat_ws(' ', count(*), coalesce(sum(h.low), 0), coalesce(sum(h.high), 0)),
                                          'UTF8')), 'hex')
FROM (SELECT ('x' || substr(d.digest, 1, 16))::bit(64)::bigint AS low,
             ('x' || substr(d.digest, 17, 16))::bit(64)::bigint AS high
      FROM (SELECT encode(sha256(convert_to(ROW ({columns})::text, 'UTF8')), 'hex') AS digest
            FROM {table} WHERE run_id = {run_id}) AS d) AS h;

-- name: columns
-- Columns of a table or view with their types and comments.
SELECT attname AS name, format_type(atttypid, NULL) AS type, col_description(attrelid, attnum) AS comment
FROM pg_attribute
WHERE attrelid = to_regclass(%(relation)s) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: read
-- The rows of a table, in an order that does not depend on how they are stored.
SELECT {values} FROM {table} WHERE run_id = {run_id} ORDER BY {order};

-- name: json_value
-- An array as text.
array_to_json({name})::text AS {name};

-- name: element
-- One element of an array.
{name}[{number}] AS {alias};

-- name: inputs
-- The versions of catalogues that the stages of a state read, with their files.
SELECT k.name AS catalogue, k.version, k.kind, k.definition ->> 'title' AS title,
       k.definition ->> 'citation' AS citation, (k.definition ->> 'epoch_yr')::double precision AS epoch_yr,
       k.definition_sha256,
       coalesce(jsonb_agg(DISTINCT jsonb_build_object('file', f.file_name, 'sha256', f.sha256, 'rows', f.n_rows))
                FILTER (WHERE f.file_id IS NOT NULL), '[]') AS files
FROM xcat.run AS r
CROSS JOIN LATERAL unnest(ARRAY[r.source_run_id, r.match_run_id, r.property_run_id, r.label_run_id, r.run_id])
    AS s (run_id)
JOIN xcat.run_catalogue AS u ON u.run_id = s.run_id
JOIN xcat.catalogue AS k USING (catalogue_id)
LEFT JOIN xcat.catalogue_content AS c USING (catalogue_id)
LEFT JOIN xcat.catalogue_file AS f USING (file_id)
WHERE r.run_id = %(run_id)s
GROUP BY k.catalogue_id
ORDER BY k.name, k.version;

-- name: stages
-- The runs that a state stands on, with their settings and software.
SELECT s.kind, s.run_id, s.started_at, s.config, s.versions, s.summary #> '{{out_of_fold,sample}}' AS out_of_fold
FROM xcat.run AS r
JOIN xcat.run AS s ON s.run_id IN (r.source_run_id, r.link_run_id, r.match_run_id, r.property_run_id, r.label_run_id,
                                   r.model_run_id, r.run_id)
WHERE r.run_id = %(run_id)s
ORDER BY s.run_id;

-- name: create
-- Enter a release.
INSERT INTO xcat.release (label, run_id, record) VALUES (%(label)s, %(run_id)s, %(record)s) RETURNING created_at;

-- name: show
-- One release.
SELECT label, run_id, created_at, record, removed_at, removed_why FROM xcat.release WHERE label = %(label)s;

-- name: list
-- All releases, newest first.
SELECT r.label, r.created_at, (r.record ->> 'run_id')::integer AS run_id, r.record ->> 'note' AS note,
       (r.record #>> '{{tables,classified,rows}}')::bigint AS sources, r.removed_at, r.removed_why,
       r.run_id IS NOT NULL AND r.run_id IN (SELECT run_id FROM xcat.publication WHERE active) AS is_published
FROM xcat.release AS r ORDER BY r.created_at DESC, r.label;

-- name: remove
-- Give up a release: its record stays, its tables may be dropped.
UPDATE xcat.release SET run_id = NULL, removed_at = now(), removed_why = %(why)s
WHERE label = %(label)s AND removed_at IS NULL
RETURNING label;

-- name: counts
-- Rows of a run in a table, and what its evidence has: one number per term and class of its model.
SELECT (SELECT count(*) FROM {table} WHERE run_id = {run_id}) AS n_rows,
       (SELECT count(*) FROM pub.model_term_runs WHERE run_id = {run_id})
       * (SELECT count(*) FROM pub.model_class_runs WHERE run_id = {run_id}) AS n_evidence;

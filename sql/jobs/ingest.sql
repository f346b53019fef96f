-- name: lock
-- One load of a catalogue at a time; a second one waits here until the first has ended, well or badly.
SELECT pg_advisory_xact_lock(hashtext('xcat.catalogue'), hashtext(%(name)s));

-- name: catalogue
-- The catalogue's row, if it was ever loaded.
SELECT catalogue_id, definition_sha256, definition FROM xcat.catalogue WHERE name = %(name)s;

-- name: add_catalogue
-- Enter a catalogue, or give it the definition it is now loaded with.
INSERT INTO xcat.catalogue (name, kind, definition, definition_sha256)
VALUES (%(name)s, %(kind)s, %(definition)s, %(definition_sha256)s)
ON CONFLICT (name) DO UPDATE
SET kind = excluded.kind, definition = excluded.definition, definition_sha256 = excluded.definition_sha256
RETURNING catalogue_id;

-- name: files
-- Files that are loaded in a catalogue.
SELECT f.file_id, f.file_name, f.sha256, f.n_rows, f.n_rejected
FROM xcat.catalogue_file AS f JOIN xcat.catalogue AS c USING (catalogue_id)
WHERE c.name = %(name)s
ORDER BY f.file_id;

-- name: add_file
-- Enter a file; its counts follow when it is read.
INSERT INTO xcat.catalogue_file (catalogue_id, run_id, file_name, sha256, n_bytes, n_rows, n_rejected)
VALUES (%(catalogue_id)s, %(run_id)s, %(file_name)s, %(sha256)s, %(n_bytes)s, 0, 0)
RETURNING file_id;

-- name: count_file
-- What a file gave.
UPDATE xcat.catalogue_file
SET n_rows = %(n_rows)s,
    n_rejected = (SELECT count(*) FROM xcat.reject WHERE reject.file_id = %(file_id)s)
WHERE file_id = %(file_id)s
RETURNING n_rejected;

-- name: forget_files
-- Remove the files of a catalogue whose rows are replaced; their rejects go with them.
DELETE FROM xcat.catalogue_file WHERE catalogue_id = %(catalogue_id)s;

-- name: last_object
-- Largest object number in a partition.
SELECT coalesce(max(object_id), 0) FROM {partition};

-- name: rows_of_file
-- Rows that a file has left in the table.
SELECT count(*) FROM {loaded} WHERE file_id = %(file_id)s;

-- name: reject_repeats
-- Rows whose id was there before, in these files: the first stays, the others are set aside.
WITH repeated AS MATERIALIZED (
    SELECT object_id, file_id, native_id, first_object_id
    FROM (SELECT object_id, file_id, native_id,
                 min(object_id) OVER (PARTITION BY native_id) AS first_object_id
          FROM {loaded}) AS numbered
    WHERE object_id > first_object_id
), gone AS (
    DELETE FROM {loaded} USING repeated WHERE {loaded}.object_id = repeated.object_id
    RETURNING repeated.*
)
INSERT INTO xcat.reject (file_id, row_number, column_name, value, reason)
SELECT file_id, object_id - (SELECT base FROM pg_temp.file_base AS b WHERE b.file_id = gone.file_id),
       %(column_name)s, native_id, 'duplicate id'
FROM gone;

-- name: reject_known
-- Rows whose id an earlier file has brought already.
WITH gone AS (
    DELETE FROM {loaded} USING {partition} WHERE {loaded}.native_id = {partition}.native_id
    RETURNING {loaded}.object_id, {loaded}.file_id, {loaded}.native_id
)
INSERT INTO xcat.reject (file_id, row_number, column_name, value, reason)
SELECT file_id, object_id - (SELECT base FROM pg_temp.file_base AS b WHERE b.file_id = gone.file_id),
       %(column_name)s, native_id, 'duplicate id: already loaded from another file'
FROM gone;

-- name: append
-- Add the rows of new files to a catalogue that has some.
INSERT INTO {partition} SELECT * FROM {loaded};

-- name: make_file_base
-- The object number before the first row of each file of this load: object_id - base is the row of the file.
CREATE TEMP TABLE file_base (file_id integer PRIMARY KEY, base bigint NOT NULL) ON COMMIT DROP;

-- name: add_file_base
-- See make_file_base.
INSERT INTO pg_temp.file_base (file_id, base) VALUES (%(file_id)s, %(base)s);

-- name: make_loading
-- Where the rows of new files wait that are appended to a catalogue; it has the parent's CHECKs.
CREATE TEMP TABLE loading (LIKE {parent} INCLUDING CONSTRAINTS) ON COMMIT DROP;

-- name: rejects_by_reason
-- Rejected rows of a catalogue's files, counted by reason.
SELECT f.file_name, r.reason, r.column_name, count(*) AS n, min(r.row_number) AS first_row, min(r.value) AS example
FROM xcat.reject AS r
JOIN xcat.catalogue_file AS f USING (file_id)
WHERE f.file_id = ANY (%(file_ids)s)
GROUP BY 1, 2, 3
ORDER BY 1, 4 DESC;

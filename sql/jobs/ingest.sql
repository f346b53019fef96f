-- name: lock
-- One load of a catalogue at a time; a second one waits here until the first has ended, well or badly.
SELECT pg_advisory_xact_lock(hashtext('xcat.catalogue'), hashtext(%(name)s));

-- name: one_at_a_time
-- Loads become visible one after the other: only who holds this takes locks on the tables that all catalogues share.
SELECT pg_advisory_xact_lock(hashtext('xcat.visible'), 0);

-- name: catalogue
-- The current version of a catalogue, if it was ever loaded.
SELECT catalogue_id, definition_sha256, definition FROM xcat.catalogue WHERE name = %(name)s AND is_current;

-- name: same_content
-- A version of a catalogue that holds these files, read with this definition, and no others.
SELECT k.catalogue_id, k.version
FROM xcat.catalogue AS k
WHERE k.name = %(name)s AND k.definition_sha256 = %(definition_sha256)s
  AND (SELECT array_agg(f.sha256 ORDER BY f.sha256 COLLATE "C")
       FROM xcat.catalogue_content AS c JOIN xcat.catalogue_file AS f USING (file_id)
       WHERE c.catalogue_id = k.catalogue_id) = %(sha256s)s::text[]
ORDER BY k.version DESC
LIMIT 1;

-- name: add_catalogue
-- A new version of a catalogue; it is current when `make_current` says so.
INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)
SELECT %(name)s::text, coalesce(max(version), 0) + 1, false, %(kind)s, %(definition)s, %(definition_sha256)s
FROM xcat.catalogue WHERE name = %(name)s
RETURNING catalogue_id;

-- name: copy_catalogue
-- A new version of a catalogue with the definition and the files of another version.
WITH made AS (
    INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)
    SELECT name, (SELECT max(version) FROM xcat.catalogue AS k WHERE k.name = catalogue.name) + 1, false, kind,
           definition, definition_sha256
    FROM xcat.catalogue WHERE catalogue_id = %(catalogue_id)s
    RETURNING catalogue_id
), files AS (
    INSERT INTO xcat.catalogue_content (catalogue_id, file_id)
    SELECT made.catalogue_id, c.file_id FROM made, xcat.catalogue_content AS c WHERE c.catalogue_id = %(catalogue_id)s
), map AS (
    INSERT INTO xcat.density_map (catalogue_id, healpix, n_objects, occupied_parts)
    SELECT made.catalogue_id, m.healpix, m.n_objects, m.occupied_parts
    FROM made, xcat.density_map AS m WHERE m.catalogue_id = %(catalogue_id)s
)
SELECT catalogue_id FROM made;

-- name: copy_rows
-- The rows of one version for another one, in the same order.
INSERT INTO {target} ({columns}) SELECT {values} FROM {partition};

-- name: make_current
-- From now on runs read this version; one statement each, since only one may be current.
UPDATE xcat.catalogue SET is_current = false WHERE name = %(name)s AND is_current AND catalogue_id <> %(catalogue_id)s;

-- name: set_current
-- See make_current.
UPDATE xcat.catalogue SET is_current = true WHERE catalogue_id = %(catalogue_id)s;

-- name: lock_content
-- No run begins to read a version while rows are added to it in place, or while it is dropped.
SELECT pg_advisory_xact_lock(hashtext('xcat.content'), %(catalogue_id)s);

-- name: is_read
-- Whether a run has read a version, so that it must stay as it is.
SELECT EXISTS (SELECT FROM xcat.run_catalogue WHERE catalogue_id = %(catalogue_id)s);

-- name: files
-- Files that are loaded in the current version of a catalogue.
SELECT f.file_id, f.file_name, f.sha256, f.n_rows, f.n_rejected
FROM xcat.catalogue AS k
JOIN xcat.catalogue_content AS c USING (catalogue_id)
JOIN xcat.catalogue_file AS f USING (file_id)
WHERE k.name = %(name)s AND k.is_current
ORDER BY f.file_id;

-- name: files_of_version
-- Files of one version of a catalogue.
SELECT f.file_id, f.file_name, f.sha256, f.n_rows, f.n_rejected
FROM xcat.catalogue_content AS c JOIN xcat.catalogue_file AS f USING (file_id)
WHERE c.catalogue_id = %(catalogue_id)s
ORDER BY f.file_id;

-- name: add_file
-- Enter a file; its counts follow when it is read.
WITH file AS (
    INSERT INTO xcat.catalogue_file (run_id, file_name, sha256, n_bytes, n_rows, n_rejected)
    VALUES (%(run_id)s, %(name)s, %(sha256)s, %(n_bytes)s, 0, 0)
    RETURNING file_id
)
INSERT INTO xcat.catalogue_content (catalogue_id, file_id)
SELECT %(catalogue_id)s, file_id FROM file
RETURNING file_id;

-- name: count_file
-- What a file gave. The table reject also has values that were left empty in rows that are used.
UPDATE xcat.catalogue_file
SET n_rows = %(n_rows)s,
    n_rejected = (SELECT count(*) FROM xcat.reject
                  WHERE reject.file_id = %(file_id)s AND reason NOT LIKE '%%; value left empty')
WHERE file_id = %(file_id)s
RETURNING n_rejected;

-- name: last_object
-- Largest object number in a partition.
SELECT coalesce(max(object_id), 0) FROM {partition};

-- name: sample
-- Rows from pages spread over a table.
SELECT {columns} FROM {loaded} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1);

-- name: count_rows
-- Rows of a table.
SELECT count(*) FROM {loaded};

-- name: count_sources
-- Sources of a table of detections.
SELECT count(DISTINCT source_native_id) FROM {loaded};

-- name: cells
-- Cells of the sky of about 20 arcmin (order 8 of q3c) that have objects, and how many.
SELECT public.q3c_ang2ipix(ra, dec) >> 44 AS cell, count(*) FROM {loaded} GROUP BY 1;

-- name: rows_of_file
-- Rows that a file has left in the table.
SELECT count(*) FROM {loaded} WHERE file_id = %(file_id)s;

-- name: reject_repeats
-- Rows whose id occurs before in these files: the first stays, the others are rejected.
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
-- Rows whose id an earlier file has already.
WITH gone AS (
    DELETE FROM {loaded} USING {partition} WHERE {loaded}.native_id = {partition}.native_id
    RETURNING {loaded}.object_id, {loaded}.file_id, {loaded}.native_id
)
INSERT INTO xcat.reject (file_id, row_number, column_name, value, reason)
SELECT file_id, object_id - (SELECT base FROM pg_temp.file_base AS b WHERE b.file_id = gone.file_id),
       %(column_name)s, native_id, 'duplicate id: already loaded from another file'
FROM gone;

-- name: append
-- Add the rows of new files to a catalogue that has rows already.
INSERT INTO {partition} SELECT * FROM {loaded};

-- name: make_file_base
-- The object number before the first row of each file of this load: object_id - base is the row of the file.
CREATE TEMP TABLE file_base (file_id integer PRIMARY KEY, base bigint NOT NULL) ON COMMIT DROP;

-- name: make_loading
-- Table of the rows of new files before they are appended to a catalogue, with the parent's CHECKs.
CREATE TEMP TABLE loading (LIKE {parent} INCLUDING CONSTRAINTS) ON COMMIT DROP;

-- name: rejects_by_reason
-- Rejected rows of a catalogue's files, counted by reason.
SELECT f.file_name, r.reason, r.column_name, count(*) AS n, min(r.row_number) AS first_row, min(r.value) AS example
FROM xcat.reject AS r
JOIN xcat.catalogue_file AS f USING (file_id)
WHERE f.file_id = ANY (%(file_ids)s)
GROUP BY 1, 2, 3
ORDER BY 1, 4 DESC;

-- name: sampled_number
-- A column of numbers for the sample.
coalesce({name}::double precision, 'NaN')

-- name: sampled_text
-- A column of texts for the sample, as numbers.
coalesce(hashtext({name})::double precision, 'NaN')

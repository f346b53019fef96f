-- TAP_SCHEMA, as a TAP service shows it: what is in pub, by the comments of its columns, so that both say the same.
-- ADQL knows pub.tap_tables as tap_schema.tables. Names that ADQL could not write without quotes are left out.

-- The schemas that ADQL can read (TAP_SCHEMA.schemas)
CREATE VIEW pub.tap_schemas AS
SELECT 'pub'::text AS schema_name, 'The published classification of X-ray sources'::text AS description,
       NULL::text AS utype, 0 AS schema_index
UNION ALL
SELECT 'tap_schema', 'What can be asked for: schemas, tables, columns and keys', NULL, 1;

-- The tables that ADQL can read (TAP_SCHEMA.tables)
CREATE VIEW pub.tap_tables AS
SELECT t.schema_name, t.table_name, t.table_type, NULL::text AS utype, t.description,
       row_number() OVER (ORDER BY t.schema_name, t.is_of_all_runs, t.table_name <> 'pub.classified',
                                   t.table_name)::integer AS table_index
FROM (
    SELECT CASE WHEN is_own THEN 'tap_schema' ELSE 'pub' END AS schema_name,
           CASE WHEN is_own THEN 'tap_schema.' || substr(c.relname, 5) ELSE 'pub.' || c.relname END AS table_name,
           CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS table_type,
           coalesce(obj_description(c.oid, 'pg_class'), '') AS description,
           c.relname LIKE '%\_runs' AS is_of_all_runs
    FROM pg_class AS c
    CROSS JOIN LATERAL (SELECT c.relname IN ('tap_schemas', 'tap_tables', 'tap_columns', 'tap_keys', 'tap_key_columns'))
        AS o (is_own)
    WHERE c.relnamespace = 'pub'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND c.relname ~ '^[a-z][a-z0-9_]*$' AND has_table_privilege(c.oid, 'SELECT')) AS t;

-- The columns that ADQL can read (TAP_SCHEMA.columns)
CREATE VIEW pub.tap_columns AS
WITH RECURSIVE relation AS MATERIALIZED (
    SELECT to_regclass(replace(table_name, 'tap_schema.', 'pub.tap_'))::oid AS oid, table_name, schema_name
    FROM pub.tap_tables
),
-- what a view reads, and what that reads: a column of the same name that is in an index of one of them is quick to find
reads (oid, base) AS (
    SELECT oid, oid FROM relation
    UNION
    SELECT r.oid, d.refobjid
    FROM reads AS r
    JOIN pg_rewrite AS w ON w.ev_class = r.base
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                       AND d.refclassid = 'pg_class'::regclass
    WHERE d.refobjid <> r.base
),
in_index (oid, attname) AS MATERIALIZED (
    SELECT DISTINCT r.oid, a.attname
    FROM reads AS r
    JOIN pg_index AS i ON i.indrelid = r.base
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = r.base
                       AND d.refobjsubid > 0
    JOIN pg_attribute AS a ON a.attrelid = r.base AND a.attnum = d.refobjsubid
)
SELECT r.table_name,
       CASE WHEN a.attname IN ('size', 'prior', 'value') THEN format('"%s"', a.attname) ELSE a.attname::text END
           AS column_name,
       CASE format_type(coalesce(nullif(y.typelem, 0), y.oid), NULL)
           WHEN 'smallint' THEN 'short' WHEN 'integer' THEN 'int' WHEN 'bigint' THEN 'long' WHEN 'real' THEN 'float'
           WHEN 'double precision' THEN 'double' WHEN 'numeric' THEN 'double' WHEN 'boolean' THEN 'boolean'
           WHEN 'timestamp with time zone' THEN 'char'
           -- char is ASCII
           ELSE CASE r.schema_name WHEN 'pub' THEN 'unicodeChar' ELSE 'char' END END AS datatype,
       CASE WHEN format_type(coalesce(nullif(y.typelem, 0), y.oid), NULL)
                 IN ('smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'boolean')
             AND y.typcategory <> 'A' THEN NULL ELSE '*' END AS arraysize,
       CASE WHEN y.typname IN ('timestamptz', 'timestamp', 'date') THEN 'timestamp' END AS xtype,
       NULL::integer AS size,
       (regexp_match(coalesce(m.comment, ''), '^(.*?)(?: \[[^\]]*\])?(?: \{[^}]*\})?$'))[1] AS description,
       NULL::text AS utype,
       -- VOUnit: erg/(s.cm**2) where astropy writes erg / (s cm2), and deg**-2 for 1 / deg2
       regexp_replace(regexp_replace(regexp_replace(replace(
           (regexp_match(m.comment, '^.*? \[([^\]]*)\](?: \{[^}]*\})?$'))[1], ' / ', '/'),
           '([A-Za-z])(\d)', '\1**\2', 'g'), ' ', '.', 'g'), '^1/([A-Za-z]+)(?:\*\*)?(\d?)$', '\1**-\2') AS unit,
       (regexp_match(m.comment, ' \{([^}]*)\}$'))[1] AS ucd,
       (i.oid IS NOT NULL)::integer AS indexed,
       (a.attname IN ('source_id', 'name', 'ra', 'dec', 'err_arcsec', 'class', 'p_class', 'alternative', 'outlier',
                      'flux_cgs', 'catalogue', 'sep_arcsec', 'master_id', 'table_name', 'column_name', 'schema_name',
                      'description', 'key_id', 'run_id'))::integer AS principal,
       (r.schema_name = 'tap_schema')::integer AS std,
       row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum)::integer AS column_index
FROM relation AS r
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                      AND a.attname ~ '^[a-z][a-z0-9_]*$'
JOIN pg_type AS y ON y.oid = a.atttypid
CROSS JOIN LATERAL (SELECT col_description(r.oid, a.attnum)) AS m (comment)
LEFT JOIN in_index AS i ON i.oid = r.oid AND i.attname = a.attname;

-- How the tables hang together (TAP_SCHEMA.keys)
CREATE VIEW pub.tap_keys AS
SELECT format('%s_%s', replace(substr(t.table_name, 5), '.', '_'), k.name) AS key_id, t.table_name AS from_table,
       k.target AS target_table, k.about AS description, NULL::text AS utype
FROM pub.tap_tables AS t
CROSS JOIN LATERAL (
    VALUES ('source', CASE WHEN t.table_name LIKE '%\_runs' THEN 'pub.classified_runs' ELSE 'pub.classified' END,
            'The source that the row is about', 'source_id'::text),
           ('run', 'pub.runs', 'The run that wrote the row', 'run_id')) AS k (name, target, about, needs)
WHERE t.schema_name = 'pub' AND t.table_name NOT IN ('pub.labels', 'pub.master_changes', 'pub.runs', k.target)
  AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(t.table_name) AND a.attname = k.needs)
UNION ALL
SELECT * FROM (
    VALUES ('tap_tables', 'tap_schema.tables', 'tap_schema.schemas', 'The schema of a table', NULL),
           ('tap_columns', 'tap_schema.columns', 'tap_schema.tables', 'The table of a column', NULL),
           ('tap_keys_from', 'tap_schema.keys', 'tap_schema.tables', 'The table that a key begins in', NULL),
           ('tap_keys_target', 'tap_schema.keys', 'tap_schema.tables', 'The table that a key points to', NULL),
           ('tap_key_columns', 'tap_schema.key_columns', 'tap_schema.keys', 'The key of a pair of columns',
            NULL)) AS own;

-- The columns of the keys (TAP_SCHEMA.key_columns)
CREATE VIEW pub.tap_key_columns AS
SELECT k.key_id, c.from_column, c.target_column
FROM pub.tap_keys AS k
JOIN (
    VALUES ('tap_tables', 'schema_name', 'schema_name'), ('tap_columns', 'table_name', 'table_name'),
           ('tap_keys_from', 'from_table', 'table_name'), ('tap_keys_target', 'target_table', 'table_name'),
           ('tap_key_columns', 'key_id', 'key_id')) AS c (key_id, from_column, target_column) USING (key_id)
UNION ALL
SELECT k.key_id, 'run_id', 'run_id' FROM pub.tap_keys AS k
WHERE k.key_id LIKE '%\_run' OR (k.key_id LIKE '%\_source' AND k.from_table LIKE '%\_runs')
UNION ALL
SELECT k.key_id, 'source_id', 'source_id' FROM pub.tap_keys AS k WHERE k.key_id LIKE '%\_source';

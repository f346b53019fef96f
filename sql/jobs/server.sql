-- name: q3c
-- Version of q3c in this database, NULL where it is not enabled, and the version that can be enabled.
SELECT e.extversion, a.default_version
FROM pg_available_extensions AS a LEFT JOIN pg_extension AS e ON e.extname = a.name
WHERE a.name = 'q3c';

-- name: rights
-- Whether the present user may make schemas, and may use and fill those of xcat that exist.
SELECT has_database_privilege(current_database(), 'CREATE'),
       NOT EXISTS (SELECT FROM pg_namespace
                   WHERE nspname IN ('xcat', 'pub') AND NOT has_schema_privilege(oid, 'USAGE, CREATE')),
       current_user, current_database();

-- name: has_parallel_joins
-- Whether joins by position may have parallel workers.
SELECT bool_and(proparallel = 's') FROM pg_proc WHERE proname IN ('q3c_join', 'q3c_seloper');

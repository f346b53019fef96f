-- name: session
-- Settings of a session of xcat. Matches work in temporary tables; their buffers are taken only as they are needed.
SELECT set_config('search_path', 'xcat, public', false), set_config('timezone', 'UTC', false),
       set_config('client_min_messages', 'warning', false), set_config('temp_buffers', '128MB', false),
       set_config('statement_timeout', %(statement_timeout)s, false);

-- name: q3c
-- Version of q3c in this database, NULL where it is not enabled, and the version that can be enabled.
SELECT e.extversion, a.default_version
FROM pg_available_extensions AS a LEFT JOIN pg_extension AS e ON e.extname = a.name
WHERE a.name = 'q3c';

-- name: rights
-- Whether the present user may make schemas, and may use and fill those of xcat that exist; whether q3c is enabled.
SELECT has_database_privilege(current_database(), 'CREATE'),
       NOT EXISTS (SELECT FROM pg_namespace
                   WHERE nspname IN ('xcat', 'pub') AND NOT has_schema_privilege(oid, 'USAGE, CREATE')),
       current_user, current_database(), EXISTS (SELECT FROM pg_extension WHERE extname = 'q3c');

-- name: has_parallel_joins
-- Whether joins by position may have parallel workers.
SELECT bool_and(proparallel = 's') FROM pg_proc WHERE proname IN ('q3c_join', 'q3c_seloper');

-- name: work_as
-- Take a role that has its rights in this database, if the login is a member of it.
SELECT set_config('role', r.rolname, false)
FROM pg_roles AS r, pg_namespace AS n
WHERE r.rolname = %(role)s AND r.rolname <> session_user AND n.nspname = 'pub'
  AND pg_has_role(session_user, r.oid, 'MEMBER') AND has_schema_privilege(r.oid, n.oid, 'USAGE');

-- name: reader
-- The login, whether it is a superuser, whether a role may read pub, and whether the login can take it.
SELECT session_user, u.rolsuper, coalesce(has_schema_privilege(r.oid, to_regnamespace('pub'), 'USAGE'), false),
       coalesce(pg_has_role(session_user, r.oid, 'MEMBER'), false)
FROM pg_roles AS u LEFT JOIN pg_roles AS r ON r.rolname = %(role)s
WHERE u.rolname = session_user;

-- name: database_number
-- Name of the folder of this database in the folder `base` of the server.
SELECT oid FROM pg_database WHERE datname = current_database();

-- name: nothing_older_at_work
-- A time, as Unix has it: all that could have made a file of a table before it has ended, and the checkpoint since then
-- has removed the files of dropped tables. A transaction without a number has made nothing until its present statement.
SELECT extract(epoch FROM least(
    clock_timestamp(),
    (SELECT checkpoint_time FROM pg_control_checkpoint()),
    (SELECT min(CASE WHEN backend_xid IS NOT NULL THEN xact_start
                     WHEN state <> 'idle in transaction' THEN query_start END)
     FROM pg_stat_activity
     WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid())))::double precision;

-- name: file_numbers
-- Names of the files of all tables and indexes.
SELECT pg_relation_filenode(oid)::bigint FROM pg_class WHERE pg_relation_filenode(oid) IS NOT NULL;

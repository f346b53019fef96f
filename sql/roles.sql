-- Four roles, and what each may do. xcat runs this after every migration, as far as its role may; on a server of your
-- own a superuser can run it in the database of xcat: psql -d xcat -f roles.sql. It changes nothing when it runs again.
--
--   xcat_reader    reads the schema pub, and the tables of models, which the functions of pub read. It writes only
--                  temporary tables, which no other session sees.
--   xcat_volunteers  lets the pages keep what people send: it adds votes and can change or delete none, keeps accounts
--                  and what goes with them, and reads consensus and pub. The rest of the schema people is closed to it.
--   xcat_operator  runs the jobs: owns all tables, views and functions, because a table that becomes a partition must
--                  have the owner of its parent. It may make schemas of its own. It is no superuser, and cannot change
--                  the schemas xcat and pub or their revision.
--   xcat_owner     owns the schemas and migrates them; it is a member of xcat_operator.
--
-- A login of a person is made a member: GRANT xcat_reader TO carol. Roles have no password here, so they can log in
-- only where the server trusts the connection (the socket of the embedded server). What is made in pub later, tables of
-- a run as well as views, can be read by xcat_reader by itself: these are default privileges of its owners.
DO $$
DECLARE
    may_make boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
    is_super boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    roles CONSTANT text[] := '{xcat_reader, xcat_volunteers, xcat_operator, xcat_owner}';
    ours text[];
    item text;
    thing record;
BEGIN
    FOREACH item IN ARRAY roles LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = item) THEN
            IF NOT may_make THEN
                RAISE NOTICE 'the roles of xcat are missing: a superuser can run roles.sql';
                RETURN;
            END IF;
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', item);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another session has just made it
            END;
        END IF;
    END LOOP;

    IF may_make THEN
        -- roles belong to the whole server: two databases that are migrated at once must not both write their rows
        PERFORM pg_advisory_xact_lock(hashtext('xcat.roles'));
        IF NOT pg_has_role('xcat_owner', 'xcat_operator', 'MEMBER') THEN
            GRANT xcat_operator TO xcat_owner;
        END IF;
        IF NOT pg_has_role('xcat_operator', 'xcat_volunteers', 'MEMBER') THEN
            GRANT xcat_reader TO xcat_volunteers;
            GRANT xcat_volunteers TO xcat_operator;
        END IF;
        IF NOT pg_has_role(current_user, 'xcat_owner', 'MEMBER') THEN
            EXECUTE format('GRANT xcat_owner TO %I', current_user);
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
            WHERE r.rolname = 'xcat_reader' AND s.setdatabase = 0) THEN
            ALTER ROLE xcat_reader SET default_transaction_read_only = on;
            ALTER ROLE xcat_reader SET statement_timeout = '10min';
            ALTER ROLE xcat_reader SET idle_in_transaction_session_timeout = '10min';
            IF is_super THEN
                -- a statement cannot lift this one, as it can the others: no sort of a reader fills the disk
                ALTER ROLE xcat_reader SET temp_file_limit = '20GB';
                -- who works in this database, and since when, whoever it is: what removing tables waits for
                GRANT pg_read_all_stats TO xcat_operator;
            END IF;
        END IF;
    END IF;
    IF is_super OR (SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database
                    WHERE datname = current_database()) THEN
        EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO xcat_owner', current_database());
        EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO xcat_operator', current_database());
        -- for what clients of TAP upload; PostgreSQL gives this right to everyone, unless it was revoked
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO xcat_reader', current_database());
    END IF;
    IF NOT pg_has_role(current_user, 'xcat_owner', 'MEMBER') OR to_regnamespace('xcat') IS NULL
       OR to_regnamespace('pub') IS NULL THEN
        RETURN;  -- not the business of this user, or there is nothing yet
    END IF;

    -- who owned the schemas before, and is no superuser, can go on to migrate them
    IF may_make THEN
        FOR thing IN
            SELECT DISTINCT r.rolname AS name FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
            WHERE n.nspname IN ('xcat', 'pub') AND NOT r.rolsuper AND NOT pg_has_role(r.oid, 'xcat_owner', 'MEMBER')
        LOOP
            EXECUTE format('GRANT xcat_owner TO %I', thing.name);
        END LOOP;
    END IF;
    -- the schemas of the owner, also those that a migration adds, and all that is in them
    FOREACH item IN ARRAY '{xcat, pub, procrastinate, people}'::text[] LOOP
        IF (SELECT nspowner <> 'xcat_owner'::regrole FROM pg_namespace WHERE nspname = item) THEN
            EXECUTE format('ALTER SCHEMA %I OWNER TO xcat_owner', item);
        END IF;
    END LOOP;
    ours := ARRAY(SELECT nspname FROM pg_namespace WHERE nspowner = 'xcat_owner'::regrole);
    FOREACH item IN ARRAY ours LOOP
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO xcat_operator', item);
    END LOOP;
    FOR thing IN
        SELECT c.oid::regclass::text AS name,
               CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                              ELSE 'TABLE' END AS kind,
               CASE WHEN c.relname = 'alembic_version' THEN 'xcat_owner' ELSE 'xcat_operator' END AS owner
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY (ours) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND c.relowner <> CASE WHEN c.relname = 'alembic_version' THEN 'xcat_owner' ELSE 'xcat_operator' END::regrole
          -- the sequence of a column goes with its table
          AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
                            AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
        ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %I', thing.kind, thing.name, thing.owner);
    END LOOP;
    FOR thing IN
        SELECT p.oid::regprocedure::text AS name
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY (ours) AND p.proowner <> 'xcat_operator'::regrole
        ORDER BY p.oid
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO xcat_operator', thing.name);
    END LOOP;
    FOR thing IN
        SELECT t.oid::regtype::text AS name
        FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
        WHERE n.nspname = ANY (ours) AND t.typtype IN ('e', 'd') AND t.typowner <> 'xcat_operator'::regrole
        ORDER BY t.oid
    LOOP
        EXECUTE format('ALTER TYPE %s OWNER TO xcat_operator', thing.name);
    END LOOP;

    GRANT USAGE ON SCHEMA pub, xcat TO xcat_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA pub TO xcat_reader;
    FOREACH item IN ARRAY '{xcat_operator, xcat_owner}'::text[] LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA pub '
                       'GRANT SELECT ON TABLES TO xcat_reader', item);
    END LOOP;
    -- the functions of pub read a model with the rights of who calls them; everyone may know the revision
    FOREACH item IN ARRAY ARRAY['model', 'model_class', 'model_term', 'model_category', 'likelihood_table',
                                'likelihood_replicate'] LOOP
        IF to_regclass('xcat.' || item) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON xcat.%I TO xcat_reader', item);
        END IF;
    END LOOP;
    IF to_regclass('xcat.alembic_version') IS NOT NULL THEN
        GRANT SELECT ON xcat.alembic_version TO xcat_operator, xcat_reader, xcat_volunteers;
    END IF;
    IF to_regclass('people.vote') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA people, pub, xcat TO xcat_volunteers;
        GRANT SELECT ON ALL TABLES IN SCHEMA people TO xcat_volunteers;
        GRANT INSERT ON people.volunteer, people.vote TO xcat_volunteers;
        GRANT INSERT, UPDATE, DELETE ON people.account, people.web_session, people.remark, people.watchlist,
            people.notice TO xcat_volunteers;
        GRANT SELECT ON xcat.consensus TO xcat_volunteers;
        -- which run of a kind was the last, not how it was configured
        GRANT SELECT (run_id, kind, status, config) ON xcat.run TO xcat_volunteers;
    END IF;
END
$$;

-- q3c before 3.0 labels its join PARALLEL UNSAFE, and one unsafe function makes the plan of a whole query serial: 2.0.0
-- labels nothing, 2.0.1 and 2.0.2 label what the join calls, but neither the join itself nor q3c_seloper (inside it).
-- The functions below depend on their arguments alone. What they keep between calls is the answer to the arguments of
-- the call before, in the memory of one process, and it is compared before it is used: a worker has its own.
--
-- Left as they are:
--   q3c_sel, q3c_seljoin             called by the planner only, which no worker runs
--   q3c_poly_query_it, q3c_poly_query keep the polygon of their first call and do not look whether it is still the same
--   q3c_ellipse_query_it, q3c_ellipse_query compare centre and axis with the call before, not axis ratio and angle
--   q3c_version                      nothing to gain
-- q3c_nearby_pm_it does not compare cosdec_flag: two values of it in one session are wrong in a serial plan, too.
-- Upstream has labelled it safe in 2.0.2.
--
-- Runs again without harm. Labels of an extension's functions are not dumped: after pg_restore, xcat db migrate.
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT p.oid::regprocedure
        FROM pg_extension AS e
        JOIN pg_depend AS d
          ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
             AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
        JOIN pg_proc AS p ON p.oid = d.objid
        WHERE e.extname = 'q3c'
          AND substring(e.extversion FROM '^\d+')::integer < 3
          AND p.proparallel = 'u'
          AND p.proname = ANY ('{
              q3c_ang2ipix, q3c_ipix2ang, q3c_ipixcenter, q3c_pixarea,
              q3c_dist, q3c_sindist, q3c_dist_pm, q3c_sindist_pm,
              q3c_nearby_it, q3c_nearby_pm_it, q3c_ellipse_nearby_it, q3c_radial_query_it,
              q3c_in_ellipse, q3c_in_poly, q3c_seloper,
              q3c_join, q3c_join_pm, q3c_ellipse_join, q3c_radial_query}')
        ORDER BY p.oid
    LOOP
        EXECUTE format('ALTER FUNCTION %s PARALLEL SAFE', signature);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege OR read_only_sql_transaction THEN
        RAISE NOTICE 'q3c: % stays parallel unsafe, queries with it run on one core (%)', signature, sqlerrm;
END
$$;

-- Which run the schema pub shows. It is called immutable so that the planner puts the number into the query: then it
-- sees one flat, indexed table, and the plan is that of a query on this table. The number is looked up in the snapshot
-- of the planning, once for the whole statement, so no statement sees two runs; a publication replans what was prepared
-- before.

-- The classify run that pub shows, for use beside its tables; NULL while nothing is published. By itself in a prepared
-- statement it would not change: ask pub.runs
CREATE FUNCTION pub.published_run()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    SELECT run_id FROM xcat.publication WHERE active
$$;

-- The other run of comparisons. As above: a subquery would have every published run planned, and its tables locked.

-- The run that was published before the published one; without any the newest other run in pub, NULL if there is none
CREATE FUNCTION pub.run_before()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    SELECT run_id FROM xcat.publication
    WHERE run_id <> coalesce((SELECT run_id FROM xcat.publication WHERE active), -1)
    ORDER BY how = 'written', CASE how WHEN 'written' THEN run_id ELSE publication_id END DESC
    LIMIT 1
$$;

-- The fit run whose model made a published run (default: the one that the views show); an error if it is not published
CREATE FUNCTION pub.model_of(of_run integer DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    model integer := (SELECT r.model_run_id FROM pub.runs AS r WHERE r.run_id = coalesce(of_run, pub.published_run()));
BEGIN
    IF model IS NULL THEN
        RAISE EXCEPTION '%',
            CASE WHEN of_run IS NULL THEN 'nothing is published yet' ELSE format('run %s is not published', of_run) END
            USING HINT = 'Run a pipeline, or: xcat publish RUN';
    END IF;
    RETURN model;
END
$$;

-- Properties of a source of a published run (default: the one that the views show) under each hypothesis on its
-- counterparts, with its probability (those of a source may add up to less than 1); one row, with the accepted
-- counterpart, for best_match (default: as the run was made) and for a source without any
CREATE FUNCTION pub.hypotheses_of(source_id bigint, best_match boolean DEFAULT NULL, of_run integer DEFAULT NULL)
RETURNS TABLE (p_hypothesis double precision, properties jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
AS $$
DECLARE
    accepted boolean := coalesce(
        best_match,
        (SELECT r.best_match FROM pub.runs AS r WHERE r.run_id = coalesce(of_run, pub.published_run())),
        false);
    not_properties CONSTANT text[] := '{run_id, source_id, name, rank, p_hypothesis, p_i, match_flag, log_bayes_factor,
                                        catalogues, objects, has_properties}';
BEGIN
    PERFORM pub.model_of(of_run);  -- an error if there is nothing to read
    -- the run that the views show is put into the plan, which is kept; another one is looked up when it is asked for
    IF of_run IS NULL THEN
        RETURN QUERY
        SELECT coalesce(h.p_hypothesis, 1)::double precision,
               to_jsonb(s) || coalesce(to_jsonb(h) - not_properties, '{}')
        FROM pub.classified AS s
        LEFT JOIN pub.hypotheses AS h ON h.source_id = s.source_id AND h.has_properties AND NOT accepted
        WHERE s.source_id = hypotheses_of.source_id;
    ELSE
        RETURN QUERY
        SELECT coalesce(h.p_hypothesis, 1)::double precision,
               to_jsonb(s) || coalesce(to_jsonb(h) - not_properties, '{}')
        FROM pub.classified_runs AS s
        LEFT JOIN pub.hypotheses_runs AS h
            ON h.run_id = of_run AND h.source_id = s.source_id AND h.has_properties AND NOT accepted
        WHERE s.run_id = of_run AND s.source_id = hypotheses_of.source_id;
    END IF;
END
$$;

-- Probability of every class by the full model for a source of a published run (default: the one that the views show),
-- mean over its counterpart hypotheses, with some columns of pub.classified changed, as in '{"hr1": 0.2, "pm_mas_yr":
-- null}'; a property that needs a counterpart is changed in every hypothesis; best_match takes the accepted counterpart
-- for certain (default: as the run was made)
CREATE FUNCTION pub.posterior_of(
    source_id bigint, changes jsonb DEFAULT '{}', best_match boolean DEFAULT NULL, of_run integer DEFAULT NULL)
RETURNS TABLE (class text, p double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 4
AS $$
    SELECT q.class, sum(h.p_hypothesis * q.p) / sum(h.p_hypothesis)
    FROM pub.hypotheses_of(posterior_of.source_id, posterior_of.best_match, posterior_of.of_run) AS h
    CROSS JOIN LATERAL pub.posterior(pub.model_of(posterior_of.of_run), xcat.changed(h.properties, changes)) AS q
    GROUP BY q.class
$$;

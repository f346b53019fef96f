-- The posterior and the evidence of xcat/classifier/posterior.py, from the stored tables alone. Arguments called
-- properties are rows of xcat.property as jsonb, in the units of its columns: a number is the value; null is "searched
-- for and not found"; an absent key, "Infinity", or null where an observed_ column is false is "not searched for" and
-- contributes nothing.

-- The number of a fit run; an error if it made no model
CREATE FUNCTION xcat.checked_model(model_run_id integer)
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM xcat.model AS m WHERE m.run_id = model_run_id) THEN
        RAISE EXCEPTION 'run % made no model', model_run_id USING HINT = 'The runs that did: xcat models';
    END IF;
    RETURN model_run_id;
END
$$;

-- The properties of a source; an error if they are not a JSON object
CREATE FUNCTION xcat.checked_properties(properties jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    -- without this check to_jsonb(p), the column p where a joined table has one, would give no evidence and no error
    IF jsonb_typeof(properties) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the properties are not a row of xcat.property, but %',
            left(coalesce(properties::text, 'NULL'), 60)
            USING HINT = 'Give the row: to_jsonb(s) FROM xcat.property AS s; p is a column of other tables.';
    END IF;
    RETURN properties;
END
$$;

-- A row of pub.classified with some columns changed; an error if a changed column is not one of its own
CREATE FUNCTION xcat.changed(properties jsonb, changes jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(key, ', ') INTO unknown FROM jsonb_object_keys(changes) AS key WHERE NOT properties ? key;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'no column % in pub.classified', unknown
            USING HINT = 'Its columns are the properties: \d pub.classified';
    END IF;
    RETURN properties || changes;
END
$$;

-- A value on the scale of its table: linear, log10 or asinh; NaN where that does not exist
CREATE FUNCTION xcat.on_scale(value double precision, scale text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- a flux of zero or less has no logarithm: it is missing. NaN is above every number here, so it stays NaN
    SELECT CASE scale
        WHEN 'linear' THEN value
        WHEN 'asinh' THEN asinh(value)
        ELSE log(CASE WHEN value > 0 THEN value ELSE 'NaN' END)
    END
$$;

-- A property on the scale of its table; NaN: searched for and not found; Infinity: not searched for
CREATE FUNCTION xcat.property_value(properties jsonb, name text, observed_column text, scale text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- text to real first: jsonb has the digits of the real, which are those of another double
    SELECT CASE
        WHEN coalesce((properties ->> name)::real, 'NaN') <> 'NaN'
            THEN xcat.on_scale((properties ->> name)::real, scale)
        WHEN properties ? name AND coalesce((properties ->> observed_column)::boolean, true) THEN 'NaN'
        ELSE 'Infinity'
    END
$$;

-- A hardness ratio shifted on its inverse hyperbolic tangent; on a wall, or beyond, it stays
CREATE FUNCTION xcat.between_walls(value double precision, shift double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN abs(value) < 1
        THEN least(greatest((value + tanh(shift)) / (1 + value * tanh(shift)), -1 + 1e-12::double precision),
                   1 - 1e-12::double precision)
        ELSE value END
$$;

-- One row per term, its arrays with the classes first. Joined, they are unpacked in memory once, however often a query
-- reads them.

-- The terms of a model, properties and pairs of them: tables [class][node], [class][level][node] of values with errors
CREATE FUNCTION xcat.terms_of(model_run_id integer)
RETURNS TABLE (
    property text, category text, classes text[], axes text[], scales text[],
    low double precision[], step double precision[], last_node integer[],
    log_density double precision[], log_smeared double precision[], log_atoms double precision[],
    log_above double precision[], log_present double precision[], log_missing double precision[], n_levels integer,
    tail_slope double precision, typical_error double precision, error_column text, limit_column text,
    observed_column text, centred double precision[], behind boolean[], column_shift double precision[],
    absence text[], limits_before_galaxy boolean)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
AS $$
    SELECT f.property, f.category, m.classes, f.axes, f.scales, ARRAY[f.grid[1], f.grid_2[1]],
           ARRAY[(f.grid[cardinality(f.grid)] - f.grid[1]) / (cardinality(f.grid) - 1),
                 (f.grid_2[cardinality(f.grid_2)] - f.grid_2[1]) / (cardinality(f.grid_2) - 1)],
           ARRAY[cardinality(f.grid) - 1, cardinality(f.grid_2) - 1],
           c.log_density, c.log_smeared, c.log_atoms, c.log_above, c.log_present, c.log_missing,
           coalesce(array_length(f.log_smeared, 1), 0), f.tail_slope, f.typical_error, f.error_column, f.limit_column,
           f.observed_column, c.centred, m.behind, f.column_shift,
           (SELECT array_agg(ARRAY[a.property, a.limit_column, a.observed_column])
            FROM xcat.likelihood_table AS a
            WHERE a.run_id = f.run_id AND a.class = f.class AND a.property = ANY (f.absence_columns)),
           o.limits_before_galaxy
    FROM (SELECT run_id, array_agg(class ORDER BY class_id) AS classes,
                 array_agg(behind_galaxy ORDER BY class_id) AS behind FROM xcat.model_class
          WHERE run_id = xcat.checked_model(model_run_id) GROUP BY run_id) AS m
    JOIN xcat.model AS o USING (run_id)
    JOIN xcat.likelihood_table AS f ON f.run_id = m.run_id AND f.class = m.classes[1]
    CROSS JOIN LATERAL (
        SELECT array_agg(t.log_density ORDER BY k) AS log_density,
               array_agg(t.log_smeared ORDER BY k) FILTER (WHERE t.log_smeared IS NOT NULL) AS log_smeared,
               array_agg(t.log_atoms ORDER BY k) FILTER (WHERE t.log_atoms IS NOT NULL) AS log_atoms,
               array_agg(t.log_above ORDER BY k) FILTER (WHERE t.log_above IS NOT NULL) AS log_above,
               array_agg(t.log_present ORDER BY k) AS log_present, array_agg(t.log_missing ORDER BY k) AS log_missing,
               -- centring the mixing row is equivalent to centring the log-likelihoods
               array_agg((SELECT array_agg(w - (SELECT avg(each) FROM unnest(t.mixing) AS each) ORDER BY i)
                          FROM unnest(t.mixing) WITH ORDINALITY AS u (w, i)) ORDER BY k) AS centred
        FROM xcat.likelihood_table AS t
        CROSS JOIN LATERAL (SELECT array_position(m.classes, t.class) AS k) AS number
        WHERE t.run_id = m.run_id AND t.property = f.property) AS c
$$;

-- What the Galaxy takes from a source behind it: 0 where it is not known
CREATE FUNCTION xcat.taken_away(
    properties jsonb, OUT ebv_mag double precision, OUT flux_dex double precision, OUT hr1 double precision,
    OUT hr2 double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(nullif((properties ->> 'ebv_mag')::real, 'NaN'), 0)::double precision,
           coalesce(nullif((properties ->> 'flux_absorbed_dex')::real, 'NaN'), 0)::double precision,
           coalesce(nullif((properties ->> 'hr1_absorbed')::real, 'NaN'), 0)::double precision,
           coalesce(nullif((properties ->> 'hr2_absorbed')::real, 'NaN'), 0)::double precision
$$;

-- Whether the limit of one of some flux ratios (each with the columns of its limit and coverage) tells that there is no
-- counterpart
CREATE FUNCTION xcat.is_absent(properties jsonb, ratios text[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ratios IS NOT NULL AND EXISTS (
        SELECT FROM generate_series(1, coalesce(array_length(ratios, 1), 0)) AS i
        WHERE xcat.property_value(properties, ratios[i][1], ratios[i][3], 'linear') = 'NaN'
          AND nullif((properties ->> ratios[i][2])::real, 'NaN') IS NOT NULL)
$$;

-- The evidence of every term of a model for every class, for one row of properties: natural-log likelihood (per unit of
-- the property's scale), and what it adds to the log score of the class
CREATE FUNCTION pub.evidence_of(model_run_id integer, properties jsonb)
RETURNS TABLE (property text, category text, class text, log_likelihood double precision, contribution double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 60
AS $$
    -- materialised, because both are named several times; the tables are read once for all rows of a query
    WITH terms AS MATERIALIZED (SELECT * FROM xcat.terms_of(model_run_id)),
         given AS MATERIALIZED (SELECT xcat.checked_properties(evidence_of.properties) AS properties)
    SELECT t.property, t.category, t.classes[c], l.log_likelihood[c],
           (SELECT sum(t.centred[c][k] * l.log_likelihood[k]) FROM generate_series(1, cardinality(t.classes)) AS k)
    FROM given AS g
    CROSS JOIN terms AS t
    CROSS JOIN LATERAL (
        SELECT CASE WHEN f.x = 'NaN' AND coalesce((g.properties ->> t.axes[1])::real, 'NaN') = 'NaN'
                         AND xcat.is_absent(g.properties, t.absence) THEN 'Infinity' ELSE f.x END AS x,
               CASE WHEN cardinality(t.axes) = 2
                   THEN xcat.property_value(g.properties, t.axes[2], NULL, t.scales[2]) END AS y,
               nullif((g.properties ->> t.error_column)::real::double precision, 'NaN') AS error,
               nullif((g.properties ->> t.limit_column)::real::double precision, 'NaN') AS beyond,
               t.low[1] + t.last_node[1] * t.step[1] AS high, h.ebv_mag, h.flux_dex, h.hr1, h.hr2
        FROM xcat.property_value(g.properties, t.axes[1], t.observed_column, t.scales[1]) AS f (x)
        CROSS JOIN xcat.taken_away(CASE WHEN t.column_shift IS NOT NULL THEN g.properties END) AS h
        OFFSET 0) AS v
    CROSS JOIN LATERAL (
        SELECT array_agg(
            CASE n.found
                WHEN 'nothing' THEN 0
                WHEN 'missing' THEN t.log_missing[k]
                WHEN 'limit' THEN t.log_present[k] + t.log_above[k][n.i]
                    + n.u * (t.log_above[k][n.i + 1] - t.log_above[k][n.i])
                WHEN 'low wall' THEN t.log_present[k] + t.log_atoms[k][1]
                WHEN 'high wall' THEN t.log_present[k] + t.log_atoms[k][2]
                WHEN 'noisy' THEN t.log_present[k] - n.tail + n.log_jacobian + t.log_smeared[k][n.level][n.i]
                    + n.u * (t.log_smeared[k][n.level][n.i + 1] - t.log_smeared[k][n.level][n.i])
                WHEN 'exact' THEN t.log_present[k] - n.tail + n.log_jacobian + t.log_density[k][n.i]
                    + n.u * (t.log_density[k][n.i + 1] - t.log_density[k][n.i])
                WHEN 'gas' THEN t.log_present[k] + (
                    -- the distribution before the gas, brought behind it and blurred, in twelve pieces
                    SELECT ln(greatest(
                        sum(greatest(a.above - a.next, 0) * CASE WHEN abs(v.x) = 1
                            THEN 1 / (1 + exp(1.702 * abs(a.z))) / t.step[1]
                            ELSE exp(-0.5 * a.z ^ 2) / (sqrt(2 * pi()) * a.sigma) END)
                        + CASE v.x WHEN -1 THEN exp(t.log_atoms[k][1]) WHEN 1 THEN exp(t.log_atoms[k][2]) ELSE 0 END,
                        0.5e-4))
                    FROM (
                        SELECT e.sigma, b.above, lead(b.above) OVER (ORDER BY j) AS next,
                               (e.edge + e.width / 24 - v.x) / e.sigma AS z
                        FROM generate_series(0, 12) AS j
                        CROSS JOIN LATERAL (
                            SELECT s.sigma, s.high - s.low AS width, s.low + (s.high - s.low) * (j / 12.0) AS edge
                            FROM (SELECT o.sigma, greatest(v.x - 3 * o.sigma, -1) AS low,
                                         least(v.x + 3 * o.sigma, 1) AS high
                                  FROM (SELECT greatest(coalesce(v.error, 0), t.step[1]) AS sigma) AS o) AS s) AS e
                        CROSS JOIN LATERAL (
                            SELECT least((xcat.between_walls(e.edge, n.by_1) - t.low[1]) / t.step[1], t.last_node[1])
                                   AS at) AS p
                        CROSS JOIN LATERAL (
                            SELECT least(floor(p.at)::integer, t.last_node[1] - 1) + 1 AS i,
                                   p.at - least(floor(p.at), t.last_node[1] - 1) AS u) AS q
                        CROSS JOIN LATERAL (
                            SELECT CASE WHEN e.edge >= 1 THEN 0
                                ELSE exp(t.log_above[k][q.i] + q.u * (t.log_above[k][q.i + 1] - t.log_above[k][q.i]))
                                END AS above) AS b) AS a
                    WHERE a.next IS NOT NULL)
                ELSE (1 - n.u) * ((1 - n.w) * t.log_density[k][(n.i - 1) * (t.last_node[2] + 1) + n.j]
                                  + n.w * t.log_density[k][(n.i - 1) * (t.last_node[2] + 1) + n.j + 1])
                    + n.u * ((1 - n.w) * t.log_density[k][n.i * (t.last_node[2] + 1) + n.j]
                             + n.w * t.log_density[k][n.i * (t.last_node[2] + 1) + n.j + 1])
                END ORDER BY k) AS log_likelihood
        FROM (
            SELECT f.is_behind, f.by_1, p.tail, p.log_jacobian,
                   least(floor(p.at_1)::integer, t.last_node[1] - 1) + 1 AS i,
                   p.at_1 - least(floor(p.at_1), t.last_node[1] - 1) AS u,
                   least(floor(p.at_2)::integer, t.last_node[2] - 1) + 1 AS j,
                   p.at_2 - least(floor(p.at_2), t.last_node[2] - 1) AS w,
                   CASE
                       WHEN cardinality(t.axes) = 2 THEN
                           CASE WHEN greatest(abs(v.x), abs(v.y)) < 'Infinity' THEN 'pair' ELSE 'nothing' END
                       WHEN v.x = 'Infinity' THEN 'nothing'
                       WHEN v.x = 'NaN' THEN
                           CASE WHEN t.log_above IS NOT NULL AND v.beyond IS NOT NULL THEN 'limit' ELSE 'missing' END
                       WHEN f.is_ratio_1 AND abs(f.by_1) >= 0.7 AND abs(v.x) <= 1 AND t.log_above IS NOT NULL THEN 'gas'
                       WHEN v.x = t.low[1] AND t.log_atoms[1][1] > '-Infinity' THEN 'low wall'
                       WHEN v.x = v.high AND t.log_atoms[1][2] > '-Infinity' THEN 'high wall'
                       WHEN p.level > 0 AND t.n_levels > 0 THEN 'noisy'
                       ELSE 'exact'
                   END AS found,
                   least(p.level, t.n_levels)::integer AS level
            FROM (
                -- classes behind the Galaxy are looked up before it, the others at what is observed, but limits before
                -- it; the numbers are those of xcat/classifier/sample.py and posterior.py
                SELECT is_behind, CASE WHEN is_behind THEN c.before ELSE 0 END AS by_1,
                       CASE WHEN is_behind OR t.limits_before_galaxy THEN coalesce(c.before, 0) ELSE 0 END AS by_limit,
                       CASE WHEN is_behind THEN s[5] * v.ebv_mag + s[6] * v.flux_dex + s[7] * v.hr1
                           + s[8] * v.hr2 ELSE 0 END AS by_2,
                       is_behind AND (s[3] <> 0 OR s[4] <> 0) AS is_ratio_1,
                       is_behind AND (s[7] <> 0 OR s[8] <> 0) AS is_ratio_2
                FROM unnest(CASE WHEN t.column_shift IS NULL THEN '{f}'::boolean[] ELSE '{f,t}' END) AS is_behind
                CROSS JOIN (SELECT t.column_shift AS s) AS per_unit
                CROSS JOIN LATERAL (
                    SELECT s[1] * v.ebv_mag + s[2] * v.flux_dex + s[3] * v.hr1 + s[4] * v.hr2 AS before) AS c
            ) AS f
            CROSS JOIN LATERAL (
                SELECT CASE WHEN f.is_ratio_1 THEN xcat.between_walls(v.x, f.by_1) ELSE v.x + f.by_1 END AS x,
                       CASE WHEN f.is_ratio_2 THEN xcat.between_walls(v.y, f.by_2) ELSE v.y + coalesce(f.by_2, 0)
                           END AS y,
                       CASE WHEN f.is_ratio_1 AND abs(v.x) < 1 THEN -2 * ln(cosh(f.by_1) * (1 + v.x * tanh(f.by_1)))
                           ELSE 0 END AS log_jacobian,
                       v.beyond + f.by_limit AS beyond
                OFFSET 0) AS b
            CROSS JOIN LATERAL (
                SELECT CASE WHEN f.is_ratio_1
                           THEN least(sqrt((coalesce(v.error, 0) * exp(b.log_jacobian)) ^ 2
                                           + (0.4 * (b.x - v.x)) ^ 2), 1)
                           ELSE sqrt(coalesce(v.error, 0) ^ 2 + (0.4 * f.by_1) ^ 2) END AS error) AS r
            CROSS JOIN LATERAL (
                SELECT least(greatest((CASE WHEN v.x = 'NaN' THEN b.beyond ELSE b.x END - t.low[1]) / t.step[1], 0),
                             t.last_node[1]) AS at_1,
                       least(greatest((b.y - t.low[2]) / t.step[2], 0), t.last_node[2]) AS at_2, b.log_jacobian,
                       round(1 + 2 * ln(greatest(sqrt(greatest(r.error ^ 2 - t.typical_error ^ 2, 0)) / t.step[1],
                                                 1e-9)) / ln(2)) AS level,
                       -- beyond the ends all classes fall alike; 100 lengths of the table out, or farther, count as
                       -- that far
                       t.tail_slope * least(greatest(t.low[1] - v.x, v.x - v.high, 0), 100 * (v.high - t.low[1]))
                       AS tail
                OFFSET 0) AS p
            OFFSET 0) AS n
        JOIN generate_series(1, cardinality(t.classes)) AS k
          ON n.is_behind = (t.column_shift IS NOT NULL AND t.behind[k])
        OFFSET 0) AS l
    CROSS JOIN LATERAL generate_series(1, cardinality(t.classes)) AS c
$$;

-- Probability of every class by the model of a fit run (of a class with kinds, their sum), for one row of properties:
-- to_jsonb(s) of xcat.property AS s, perhaps || '{"hr1": 0.2}'; units are those of the columns; a counterpart is taken
-- for certain
CREATE FUNCTION pub.posterior(model_run_id integer, properties jsonb)
RETURNS TABLE (class text, p double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 4
AS $$
    WITH start AS MATERIALIZED (
        SELECT k.class_id, k.class, coalesce(k.part_of, k.class) AS answer, ln(k.prior) + k.log_offset AS score
        FROM xcat.model_class AS k
        WHERE k.run_id = xcat.checked_model(model_run_id)
    ), scores AS (
        SELECT s.class_id, s.answer, s.score + e.score AS score
        FROM (SELECT class, sum(contribution) AS score
              FROM pub.evidence_of(model_run_id, properties) GROUP BY class) AS e
        JOIN start AS s ON s.class = e.class
    ), shares AS (
        -- below e^-600 the exponential would be an error here; nothing is lost
        SELECT class_id, answer, exp(greatest(score - max(score) OVER (), -600)) AS share FROM scores
    )
    SELECT answer, sum(share) / sum(sum(share)) OVER () FROM shares GROUP BY answer ORDER BY min(class_id)
$$;

-- Probability of every class in every replicate of a model: refits to the reweighted reference sample. Its standard
-- deviation is the error of the probability. Arguments as those of pub.posterior
CREATE FUNCTION pub.posterior_replicates(model_run_id integer, properties jsonb)
RETURNS TABLE (replicate integer, class text, p double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 80
AS $$
    WITH given AS MATERIALIZED (SELECT xcat.checked_properties(posterior_replicates.properties) AS properties),
    classes AS MATERIALIZED (
        SELECT k.class_id, k.class, coalesce(k.part_of, k.class) AS answer, ln(k.prior) + k.log_offset AS score,
               k.offset_changes
        FROM xcat.model_class AS k
        WHERE k.run_id = xcat.checked_model(model_run_id)
    ), of_model AS MATERIALIZED (
        SELECT k.class_id, k.score + e.score AS score
        FROM (SELECT class, sum(contribution) AS score
              FROM pub.evidence_of(model_run_id, properties) GROUP BY class) AS e
        JOIN classes AS k ON k.class = e.class
    ), places AS MATERIALIZED (
        -- numbered as in xcat/classifier/bootstrap.py: nodes 2 apart, levels of errors 3 apart
        SELECT t.property,
               CASE
                   WHEN cardinality(t.axes) = 2 THEN
                       CASE WHEN greatest(abs(v.x), abs(v.y)) < 'Infinity'
                           THEN 1 + round(least(greatest((v.x - t.low[1]) / t.step[1], 0), t.last_node[1]))
                                    * (t.last_node[2] + 1)
                                + round(least(greatest((v.y - t.low[2]) / t.step[2], 0), t.last_node[2]))
                           ELSE 0 END
                   WHEN v.x = 'Infinity' THEN 0
                   WHEN v.x = 'NaN' THEN
                       CASE WHEN t.log_above IS NOT NULL AND v.beyond IS NOT NULL
                           THEN 4 + CASE WHEN t.n_levels > 0 THEN 6 ELSE 1 END * n.nodes
                                + round(least(greatest((v.beyond - t.low[1]) / (2 * t.step[1]), 0), n.nodes - 1))
                           ELSE 1 END
                   WHEN v.x = t.low[1] AND t.log_atoms[1][1] > '-Infinity' THEN 2
                   WHEN v.x = t.low[1] + t.last_node[1] * t.step[1] AND t.log_atoms[1][2] > '-Infinity' THEN 3
                   ELSE 4 + round(least(greatest((v.x - t.low[1]) / (2 * t.step[1]), 0), n.nodes - 1))
                        + CASE WHEN t.n_levels > 0
                              THEN least(div((greatest(coalesce(n.level, 0), 0) + 1)::numeric, 3), 5) * n.nodes
                              ELSE 0 END
               END::integer AS place
        FROM given AS g
        CROSS JOIN xcat.terms_of(model_run_id) AS t
        CROSS JOIN LATERAL (
            SELECT CASE WHEN f.x = 'NaN' AND coalesce((g.properties ->> t.axes[1])::real, 'NaN') = 'NaN'
                             AND xcat.is_absent(g.properties, t.absence) THEN 'Infinity' ELSE f.x END AS x,
                   CASE WHEN cardinality(t.axes) = 2
                       THEN xcat.property_value(g.properties, t.axes[2], NULL, t.scales[2]) END AS y,
                   nullif((g.properties ->> t.error_column)::real::double precision, 'NaN') AS error,
                   nullif((g.properties ->> t.limit_column)::real::double precision, 'NaN') + coalesce(
                       s[1] * h.ebv_mag + s[2] * h.flux_dex + s[3] * h.hr1 + s[4] * h.hr2, 0) AS beyond
            FROM xcat.property_value(g.properties, t.axes[1], t.observed_column, t.scales[1]) AS f (x)
            CROSS JOIN (SELECT CASE WHEN t.limits_before_galaxy THEN t.column_shift END AS s) AS per_unit
            CROSS JOIN xcat.taken_away(CASE WHEN s IS NOT NULL THEN g.properties END) AS h
            OFFSET 0) AS v
        CROSS JOIN LATERAL (
            SELECT t.last_node[1] / 2 + 1 AS nodes,
                   least(round(1 + 2 * ln(greatest(sqrt(greatest(v.error ^ 2 - t.typical_error ^ 2, 0)) / t.step[1],
                                                   1e-9)) / ln(2)), 1000) AS level
            OFFSET 0) AS n
    ), changes AS (
        SELECT b.replicate, k.class_id,
               sum(r.changes[(k.class_id - 1) * cardinality(k.offset_changes) + b.replicate]) AS change
        FROM places AS s
        JOIN xcat.likelihood_replicate AS r
          ON r.run_id = model_run_id AND r.property = s.property AND r.place = s.place
        CROSS JOIN classes AS k
        CROSS JOIN LATERAL generate_series(1, cardinality(k.offset_changes)) AS b (replicate)
        GROUP BY b.replicate, k.class_id
    ), scores AS (
        SELECT c.replicate, k.class_id, k.answer, m.score + k.offset_changes[c.replicate] + c.change AS score
        FROM changes AS c JOIN classes AS k USING (class_id) JOIN of_model AS m USING (class_id)
    ), shares AS (
        SELECT replicate, class_id, answer,
               exp(greatest(score - max(score) OVER (PARTITION BY replicate), -600)) AS share
        FROM scores
    )
    SELECT replicate, answer, sum(share) / sum(sum(share)) OVER (PARTITION BY replicate)
    FROM shares GROUP BY replicate, answer ORDER BY replicate, min(class_id)
$$;

-- A model is what a fit run made, for ever: whoever compares two, or reads an old classification, must find it as it
-- was.

-- Trigger that refuses to change what a run has made
CREATE FUNCTION xcat.refuse_update()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'xcat.% is never changed', TG_TABLE_NAME
        USING HINT = 'Another model is another run: xcat run PIPELINE --only fit';
END
$$;
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.model FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.model_class FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.model_category FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.model_term FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.likelihood_table
    FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON xcat.likelihood_replicate
    FOR EACH STATEMENT EXECUTE FUNCTION xcat.refuse_update();

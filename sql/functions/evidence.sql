-- Reading the evidence array: property by property, in each the classes, or their kinds, in the model's order.

-- The classes that the answers of a model are about, in its order: those that its classes are kinds of, or themselves
CREATE FUNCTION xcat.answers_of(model_run_id integer)
RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT array_agg(c.answer ORDER BY c.class_id)
    FROM (SELECT coalesce(k.part_of, k.class) AS answer, min(k.class_id) AS class_id
          FROM xcat.model_class AS k WHERE k.run_id = answers_of.model_run_id GROUP BY 1) AS c
$$;

-- Share of each class in the likelihood of one category; a class with kinds has their mean, by their priors
CREATE FUNCTION xcat.category_probabilities(
    evidence real[], property_category text[], category text, of_answer integer[], prior double precision[])
RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    WITH total AS (
        SELECT k, sum(evidence[(p.i - 1) * cardinality(prior) + k]::double precision) AS log_likelihood
        FROM unnest(property_category) WITH ORDINALITY AS p (name, i), generate_series(1, cardinality(prior)) AS k
        WHERE p.name = category
        GROUP BY k
    ), scaled AS (
        SELECT k, exp(log_likelihood - max(log_likelihood) OVER ()) AS likelihood FROM total
    ), of_class AS (
        SELECT of_answer[k] AS answer, sum(likelihood * prior[k]) / sum(prior[k]) AS likelihood
        FROM scaled GROUP BY 1
    )
    SELECT array_agg(likelihood / sum ORDER BY answer)
    FROM of_class, (SELECT sum(likelihood) FROM of_class) AS all_classes
$$;

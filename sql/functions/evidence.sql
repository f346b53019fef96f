-- Reading the evidence array: property by property, in each the classes in the model's order.

-- Share of each class in the likelihood of one category
CREATE FUNCTION xcat.category_probabilities(
    evidence real[], property_category text[], category text, n_classes integer)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    WITH total AS (
        SELECT k, sum(evidence[(p.i - 1) * n_classes + k]::double precision) AS log_likelihood
        FROM unnest(property_category) WITH ORDINALITY AS p (name, i), generate_series(1, n_classes) AS k
        WHERE p.name = category
        GROUP BY k
    ), scaled AS (
        SELECT k, exp(log_likelihood - max(log_likelihood) OVER ()) AS likelihood FROM total
    )
    SELECT array_agg(likelihood / sum ORDER BY k)
    FROM scaled, (SELECT sum(likelihood) FROM scaled) AS all_classes
$$;

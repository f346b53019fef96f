-- Reading the evidence array: property by property, in each the classes in the model's order.
CREATE FUNCTION xcat.alternative(class_without smallint[], class_id smallint, categories text[], classes text[])
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT coalesce(string_agg(t.category || ':' || classes[t.class], ' ' ORDER BY t.i), '')
    FROM unnest(categories, class_without) WITH ORDINALITY AS t (category, class, i)
    WHERE t.class <> class_id
$$;
COMMENT ON FUNCTION xcat.alternative(smallint[], smallint, text[], text[]) IS
'Classes that win when a category is dropped, as category:class';

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
COMMENT ON FUNCTION xcat.category_probabilities(real[], text[], text, integer) IS
'Share of each class in the likelihood of one category';

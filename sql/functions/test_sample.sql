-- The one definition of the test sample.

-- Whether a source is in the test sample: classifiable by hand, and not labelled (known_class is that of a label with
-- the status used)
CREATE FUNCTION xcat.in_test_sample(is_classifiable boolean, known_class text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT is_classifiable AND known_class IS NULL
$$;

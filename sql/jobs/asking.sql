-- name: query
-- The list of candidates, as its page shows and asks it: in ADQL with TOP or OFFSET for one page of it, in SQL without.
SELECT{top} {columns}
FROM pub.classified
WHERE {conditions}
ORDER BY {sort} {direction}, source_id{offset};

-- name: count
-- How many rows the list has, in ADQL.
SELECT COUNT(*) AS n
FROM pub.classified
WHERE {conditions};

-- name: of_class
-- Sources of a class: the first of the conditions, which but for the cone are the same in ADQL and in SQL.
class = {class_name};

-- name: probable
-- With at least this probability.
p_class >= {least};

-- name: best
-- Each object once, as its best measured source.
is_best_of_master = TRUE;

-- name: not_known
-- Objects that are in no reference catalogue.
known_class_of_master IS NULL;

-- name: known
-- Objects of reference catalogues.
known_class_of_master IS NOT NULL;

-- name: no_outlier
-- Sources that look like others of their class.
is_outlier = FALSE;

-- name: bright
-- With at least this flux.
flux_cgs >= {least};

-- name: significant
-- With at least this signal to noise.
snr >= {least};

-- name: cone_adql
-- Around a position, in ADQL.
1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius_deg}));

-- name: cone_sql
-- Around a position, in SQL.
pub.in_cone(ra, dec, {ra}, {dec}, {radius_deg});

-- name: is_new
-- What a released run did not have.
source_id NOT IN (SELECT source_id FROM pub.classified_runs WHERE run_id = {run_id});

-- name: is_new_in_class
-- What a released run did not have in a class.
source_id NOT IN (SELECT source_id FROM pub.classified_runs WHERE run_id = {run_id} AND class = {class_name});

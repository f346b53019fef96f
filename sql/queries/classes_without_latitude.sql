-- name: classes_without_latitude
-- How would the most probable X-ray binaries be classified if their position in the Galaxy were unknown? One row per
-- source, computed in this query from the stored tables.
SELECT c.name, c.class, c.p_xrb, n.class AS class_without_latitude, n.p AS p_class_without_latitude
FROM (SELECT source_id, name, class, p_xrb FROM pub.classified ORDER BY p_xrb DESC, name LIMIT 100) AS c
CROSS JOIN LATERAL (
    SELECT q.class, q.p FROM pub.posterior_of(c.source_id, '{"abs_b": "Infinity"}') AS q ORDER BY q.p DESC LIMIT 1) AS n
ORDER BY c.p_xrb DESC;

-- name: labels_by_origin
-- How many sources has each reference catalogue labelled, by class, in the newest run of a pipeline? "used" is the
-- nearest of the references that agree, "duplicate" another of them; "conflict" is set aside since another reference
-- gives another class, and "unmapped" has a class that the pipeline does not have.
SELECT coalesce(class, '(none)') AS class, origin, count(*) FILTER (WHERE status = 'used') AS used,
       count(*) FILTER (WHERE status = 'duplicate') AS duplicate,
       count(*) FILTER (WHERE status = 'conflict') AS conflict,
       count(*) FILTER (WHERE status = 'unmapped') AS unmapped
FROM pub.labels
WHERE run_id = (SELECT max(run_id) FROM pub.labels)
GROUP BY 1, 2
ORDER BY class, used DESC, origin;

-- name: labels_by_origin
-- How many sources has each reference catalogue labelled, by class, in the newest run of a pipeline? "used" is the
-- nearest of the references that agree, "duplicate" another of them; "conflict" is set aside since another reference
-- gives another class, and "unmapped" has a class that the pipeline does not have.
SELECT COALESCE(class, '(none)') AS label, origin,
       SUM(CASE WHEN status = 'used' THEN 1 ELSE 0 END) AS used,
       SUM(CASE WHEN status = 'duplicate' THEN 1 ELSE 0 END) AS duplicate,
       SUM(CASE WHEN status = 'conflict' THEN 1 ELSE 0 END) AS conflict,
       SUM(CASE WHEN status = 'unmapped' THEN 1 ELSE 0 END) AS unmapped
FROM pub.labels
WHERE run_id = (SELECT MAX(run_id) FROM pub.labels)
GROUP BY class, origin
ORDER BY label, used DESC, origin

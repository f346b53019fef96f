-- name: master_changes
-- How has the membership of master sources changed since an earlier run? Put the number of a link run of your own
-- (pub.runs) in place of the subquery. A run after which nothing changed has no rows here.
SELECT c.run_id, c.started_at, c.change, c.source_id, s.name, c.old_master_id, c.new_master_id
FROM pub.master_changes AS c
LEFT JOIN pub.classified AS s ON s.source_id = c.source_id
WHERE c.run_id > (SELECT MIN(link_run_id) FROM pub.runs)
ORDER BY c.run_id, c.new_master_id, c.source_id

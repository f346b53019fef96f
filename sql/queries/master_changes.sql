-- name: master_changes
-- How has the membership of master sources changed since a link run? Put the number of a run of your own (xcat runs) in
-- place of the subquery, which takes the first link run. A run after which nothing changed has no rows here.
SELECT r.run_id, r.started_at, c.change, c.source_id, s.name, c.old_master_id, c.new_master_id
FROM xcat.master_change AS c
JOIN xcat.run AS r ON r.run_id = c.run_id
LEFT JOIN xcat.source AS s ON s.run_id = (SELECT source_run_id FROM xcat.published) AND s.source_id = c.source_id
WHERE c.run_id > (SELECT min(run_id) FROM xcat.run WHERE kind = 'link' AND status = 'done')
ORDER BY r.run_id, c.new_master_id, c.source_id;

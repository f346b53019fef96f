-- The classify run that the views show: the published one, or the one that SET xcat.run = ... asks for.
CREATE VIEW xcat.published AS
SELECT run_id, name, started_at, source_run_id, link_run_id, match_run_id, property_run_id, label_run_id, model_run_id
FROM xcat.run
WHERE kind = 'classify' AND status = 'done'
  AND run_id = coalesce(nullif(current_setting('xcat.run', true), '')::integer,
                        (SELECT run_id FROM xcat.publication WHERE active));
COMMENT ON VIEW xcat.published IS
'The classify run that the views show: the published one, or the one that SET xcat.run = n asks for';

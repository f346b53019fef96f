-- Every run that is in pub: the published one, and those that were published before and are kept.

-- Every run that can be read in pub: is_published marks the one that the views without a number show
CREATE VIEW pub.runs AS
SELECT r.run_id, r.name, r.ended_at, p.published_at,
       coalesce(r.run_id = pub.published_run(), false) AS is_published,
       coalesce((r.config ->> 'best_match')::boolean, false) AS best_match,
       xcat.answers_of(r.model_run_id) AS classes,
       r.pinned, r.source_run_id, r.link_run_id, r.match_run_id, r.property_run_id, r.label_run_id, r.model_run_id
FROM xcat.run AS r
JOIN (SELECT run_id, max(published_at) AS published_at FROM xcat.publication GROUP BY run_id) AS p
  USING (run_id);

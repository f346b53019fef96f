-- What changed with the last publication, and what was frozen.

-- Sources whose class the latest publication changed against the publication before, each with the cause
CREATE VIEW pub.class_change AS
SELECT c.name, c.catalogue, c.ra, c.dec, c.old_class, c.old_p_class, c.class, c.p_class, c.cause, c.property, c.push,
       c.old_property_value, c.property_value, c.old_counterpart, c.counterpart, c.source_id, c.old_source_id
FROM xcat.class_change AS c
JOIN xcat.publication AS p USING (publication_id)
WHERE p.active;

-- Published states that were frozen under a name, with the run whose tables they are
CREATE VIEW pub.releases AS
SELECT label, created_at, run_id, removed_at, removed_why FROM xcat.release;

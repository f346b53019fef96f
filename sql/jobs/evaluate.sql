-- name: objects
-- Master source of each labelled source (the negative source id if it has none), the reference object that labels it,
-- its flux and position; a missing flux is NaN, because COPY out needs fixed widths.
SELECT l.source_id, coalesce(m.master_id, -l.source_id) AS master_id, l.catalogue_id, l.object_id,
       coalesce(p.log_fx, 'NaN')::real AS log_fx, s.ra, s.dec
FROM xcat.label AS l
JOIN xcat.source AS s ON s.run_id = %(source_run_id)s AND s.source_id = l.source_id
JOIN xcat.property AS p ON p.run_id = %(property_run_id)s AND p.source_id = l.source_id
LEFT JOIN xcat.master_source AS m ON m.run_id = %(link_run_id)s AND m.source_id = l.source_id
WHERE l.run_id = %(label_run_id)s AND l.status = 'used'
ORDER BY l.source_id;

-- name: origins
-- Literature source of each label: the reference catalogue, and the reference that it gives.
SELECT l.source_id, concat_ws(' ', l.origin, nullif(btrim(r.label_ref), '')) AS origin
FROM xcat.label AS l
JOIN xcat.reference_object AS r ON r.catalogue_id = l.catalogue_id AND r.object_id = l.object_id
WHERE l.run_id = %(label_run_id)s AND l.status = 'used'
ORDER BY l.source_id;

-- name: published
-- Published classes of labelled sources: those of the object with the same name in another reference catalogue.
SELECT l.source_id, a.class, btrim(a.class_native) AS class_native
FROM xcat.label AS l
JOIN xcat.reference_object AS r ON r.catalogue_id = l.catalogue_id AND r.object_id = l.object_id
JOIN xcat.reference_object AS a ON a.catalogue_id = %(answers_id)s AND btrim(a.native_id) = btrim(r.native_id)
WHERE l.run_id = %(label_run_id)s AND l.status = 'used'
ORDER BY l.source_id, a.native_id;

-- What went in, and what changed from one link run to the next.

-- Rows of the files that could not be used, with their reasons, of the current version of every catalogue
CREATE VIEW pub.rejected_rows AS
SELECT k.name AS catalogue, f.file_name, f.n_rows, f.n_rejected, r.row_number, r.column_name, r.value, r.reason
FROM xcat.reject AS r
JOIN xcat.catalogue_file AS f USING (file_id)
JOIN xcat.catalogue_content AS c USING (file_id)
JOIN xcat.catalogue AS k USING (catalogue_id)
WHERE k.is_current;

-- Sources found in reference catalogues, with what each of these says, by label run
CREATE VIEW pub.labels AS
SELECT l.run_id, l.source_id, s.name, s.ra, s.dec, l.class, l.class_native, l.origin, l.sep_arcsec, l.status
FROM xcat.label AS l
JOIN xcat.run AS r USING (run_id)
JOIN xcat.source AS s ON s.run_id = r.source_run_id AND s.source_id = l.source_id
WHERE r.status = 'done';

-- Every change of a source's membership in a master source, by link run
CREATE VIEW pub.master_changes AS
SELECT c.run_id, r.started_at, c.change, c.source_id, c.old_master_id, c.new_master_id
FROM xcat.master_change AS c
JOIN xcat.run AS r USING (run_id);

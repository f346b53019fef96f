-- name: rejected_rows
-- Which rows of the files could not be used, and why? With the first row and an example of each reason.
SELECT k.name AS catalogue, f.file_name, r.reason, r.column_name, count(*) AS rejected_rows,
       round(100.0 * count(*) / nullif(f.n_rows + f.n_rejected, 0), 3) AS percent, min(r.row_number) AS row_number,
       min(r.value) AS value
FROM xcat.reject AS r
JOIN xcat.catalogue_file AS f USING (file_id)
JOIN xcat.catalogue AS k USING (catalogue_id)
GROUP BY k.name, f.file_name, f.n_rows, f.n_rejected, r.reason, r.column_name
ORDER BY rejected_rows DESC;

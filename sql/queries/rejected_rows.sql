-- name: rejected_rows
-- Which rows of the files could not be used, and why? With the first row and an example of each reason.
SELECT catalogue, file_name, reason, column_name, count(*) AS rejected_rows,
       round(100.0 * count(*) / nullif(n_rows + n_rejected, 0), 3) AS percent, min(row_number) AS row_number,
       min(value) AS value
FROM pub.rejected_rows
GROUP BY catalogue, file_name, n_rows, n_rejected, reason, column_name
ORDER BY rejected_rows DESC;

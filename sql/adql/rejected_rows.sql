-- name: rejected_rows
-- Which rows of the files could not be used, and why? With the first row and an example of each reason.
SELECT catalogue, file_name, reason, column_name, COUNT(*) AS rejected_rows,
       CASE WHEN n_rows + n_rejected > 0 THEN ROUND(100.0 * COUNT(*) / (n_rows + n_rejected), 3) END AS percent,
       MIN(row_number) AS row_number, MIN("value") AS example
FROM pub.rejected_rows
GROUP BY catalogue, file_name, n_rows, n_rejected, reason, column_name
ORDER BY rejected_rows DESC

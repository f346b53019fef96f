-- name: fill
-- The rows of a query for a table, by the names of their columns.
INSERT INTO {table} ({columns}) SELECT {columns} FROM ({query}) AS query;

-- name: insert
-- Rows that are made in Python, in the order of the columns.
INSERT INTO {table} ({columns}) VALUES ({values});

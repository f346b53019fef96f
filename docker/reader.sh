#!/bin/sh
# PostgreSQL's image runs this once, in a new database: the role that queries run as gets the password of the other one.
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\getenv password POSTGRES_PASSWORD
CREATE ROLE xcat_reader LOGIN PASSWORD :'password';
SQL

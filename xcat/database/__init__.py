"""Everything that touches PostgreSQL: server, schema, registry of columns, binary COPY, runs."""

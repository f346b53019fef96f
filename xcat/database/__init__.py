"""Everything that touches PostgreSQL: server, schema, binary COPY, runs, retention."""

"""TAP: queries in ADQL over HTTP, with jobs, uploads, and what the service says of itself (IVOA TAP 1.1)."""

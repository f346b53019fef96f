"""The tables of xcat, in SQLAlchemy.

Three kinds of table. *Catalogue tables* (detection, counterpart, galaxy, reference_object) hold what was
ingested, one partition a catalogue. *Run tables* (source ... classification) hold what a stage made, one
partition a run, so that a reader touches one run only and dropping a run is instant. The rest is
bookkeeping. Partitions are made when a catalogue or a run is written (xcat/database/partitions.py).
"""

from xcat.database.schema import bookkeeping, learned
from xcat.database.schema.catalogue_tables import CATALOGUE_TABLES
from xcat.database.schema.parts import PUB, SCHEMA, SCHEMAS, metadata
from xcat.database.schema.run_tables import RUN_TABLES

__all__ = ["CATALOGUE_TABLES", "PUB", "RUN_TABLES", "SCHEMA", "SCHEMAS", "bookkeeping", "learned", "metadata"]

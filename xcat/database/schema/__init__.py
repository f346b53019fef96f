"""The tables of xcat, in SQLAlchemy.

Five kinds of table. *Catalogue tables* (detection, counterpart, galaxy, reference_object) hold what was
ingested, one partition for each version of a catalogue. *Run tables* (source ... classification) hold what a stage
made, one partition for each run. *Published tables*, in the schema ``pub``, are what people read: flat copies of the
published runs, one partition each. The schema ``people`` has accounts and votes. The rest is bookkeeping, with the
light curves and spectra of sources, by file. Partitions are made when a catalogue or a run is written
(xcat/database/partitions.py).
"""

from xcat.database.schema import bookkeeping, people, products
from xcat.database.schema.parts import PEOPLE, PUB, SCHEMA, SCHEMAS, metadata
from xcat.database.schema.pub_tables import ALL_RUNS, PUB_TABLES, USUAL_CLASSES
from xcat.database.schema.run_tables import CATALOGUE_TABLES, RUN_TABLES

__all__ = [
    "ALL_RUNS",
    "CATALOGUE_TABLES",
    "PEOPLE",
    "PUB",
    "PUB_TABLES",
    "RUN_TABLES",
    "SCHEMA",
    "SCHEMAS",
    "USUAL_CLASSES",
    "bookkeeping",
    "metadata",
    "people",
    "products",
]

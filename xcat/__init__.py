"""xcat: classifies the X-ray sources of survey catalogues inside PostgreSQL, and says why."""

__version__ = "0.1.0"

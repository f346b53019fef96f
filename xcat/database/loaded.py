"""A catalogue that is in the database, in the version that a run reads."""

from __future__ import annotations

from dataclasses import dataclass

from xcat.catalogues.definition import Definition
from xcat.database import partitions


@dataclass(frozen=True)
class Loaded:
    """A catalogue in the database."""

    catalogue_id: int
    definition: Definition

    @property
    def table(self) -> str:
        """Qualified name of its partition."""
        return partitions.qualified(self.definition.table_kind, self.catalogue_id)

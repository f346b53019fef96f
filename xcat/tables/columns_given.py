"""The columns of somebody's table while their meaning is being found out: what was said, and how one asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xcat.errors import InputError
from xcat.tables.facts import ColumnFacts, TableFacts
from xcat.tables.vocabulary import plain


@dataclass
class Columns:
    """A table, and the lines that say what was taken for what.

    Parameters
    ----------
    facts : TableFacts
    lines : list of str
        Grows with every choice.
    """

    facts: TableFacts
    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Tell a choice."""
        self.lines.append(f"{self.facts.label}: {text}")

    def given(self, name: str, option: str) -> ColumnFacts:
        """Column that the user named.

        Raises
        ------
        InputError
            The table has none of this name.
        """
        found = self.facts.column(name)
        if found is None:
            raise InputError(f"{self.facts.path}: there is no column '{name}' ({option}); it has: {self.names()}")
        return found

    def names(self, columns: Sequence[ColumnFacts] = ()) -> str:
        """Names of these columns, or of all, for a message."""
        names = [c.name for c in columns or self.facts.columns]
        return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")

    def first_named(self, names: Sequence[str]) -> ColumnFacts | None:
        """Column of the first of these names (without signs and case) that there is."""
        by_name = {plain(c.name): c for c in reversed(self.facts.columns)}
        return next((by_name[n] for n in names if n in by_name), None)

    def ambiguous(self, what: str, found: Sequence[str], option: str) -> InputError:
        """Error for columns that fit equally well."""
        return InputError(
            f"{self.facts.path}: several columns may be the {what}: {', '.join(found)}. Say which: {option}"
        )

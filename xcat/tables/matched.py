"""A table that has been matched already, by `xcat match` or by NWAY: whose columns are whose, which rows count.

Both write one row per hypothesis: the columns of the user's table, with its label before their names, those of each
counterpart table in the same way, then those of the match. Of the rows of a source exactly one has match_flag 1, its
best hypothesis. `xcat match` writes beside it whether that one is accepted; NWAY leaves the cutoff to the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from xcat.arrays import BoolArray
from xcat.catalogues.definition import Definition, ReadOptions
from xcat.catalogues.grammar import ColumnSpec
from xcat.errors import ConfigError, InputError
from xcat.ingest.opened import RawChunk
from xcat.ingest.rows import Rows, parse_flags
from xcat.tables.facts import TableFacts
from xcat.tables.vocabulary import NULLS, is_number

#: What a user gives to change the cutoff: ``--column p_any_cutoff=0.8``.
CUTOFF = "p_any_cutoff"
_DEFAULT_CUTOFF = 0.5
_OF_XCAT = ("sep_arcsec", "n_members", "p_any", "p_i", "match_flag", "accepted", "unusable")
_OLD_NAMES = {"prob_has_match": "p_any", "prob_this_match": "p_i"}  # NWAY before 4
_OF_NWAY = re.compile(r"separation_.+|ncat|dist_.+|bias_.+|p_single|p_any|p_i|match_flag|prob_.+", re.I)


@dataclass(frozen=True)
class Matched:
    """What is known of a table that has been matched.

    Parameters
    ----------
    by : str
        "xcat match" or "NWAY".
    label : str
        Label of the X-ray table: its columns are called ``<label>_<column>``.
    counterparts : tuple of str
        Labels of the counterpart tables.
    cutoff : float or None
        Smallest p_any that is accepted; None if the table itself says which rows are.
    columns : tuple of str
        Columns of the table that `rows` reads.
    """

    by: str
    label: str
    counterparts: tuple[str, ...]
    cutoff: float | None
    columns: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """What the names of the X-ray table's columns begin with."""
        return f"{self.label}_"

    def own_columns(self, facts: TableFacts) -> TableFacts:
        """The X-ray table's own columns, under their own names."""
        own = [c for c in facts.columns if c.name.startswith(self.prefix) and not self._is_of_others(c.name)]
        return replace(facts, columns=tuple(replace(c, name=c.name.removeprefix(self.prefix)) for c in own))

    def renamed(self, spec: ColumnSpec) -> ColumnSpec:
        """An entry of the own columns, with their names in the matched table."""
        return spec.model_copy(update={"from_": tuple(f"{self.prefix}{c}" for c in spec.from_)})

    def is_of_counterpart(self, name: str) -> bool:
        """Whether a column is one of a counterpart table, or of the match."""
        return not name.startswith(self.prefix) or self._is_of_others(name)

    def _is_of_others(self, name: str) -> bool:
        # "chandra_gaia_sep_arcsec"; or the label of a counterpart table that begins like the own one
        longer = [c for c in self.counterparts if c.startswith(self.prefix) and name.startswith(f"{c}_")]
        return (
            bool(longer)
            or name in self.columns
            or any(name == f"{self.prefix}{c}_sep_arcsec" for c in self.counterparts)
        )

    def rows(self, batch: pa.RecordBatch) -> tuple[BoolArray, BoolArray]:
        """Which rows stand for their source, one per source, and which of them have an accepted counterpart.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            Some rows of the table, with at least `columns`.

        Returns
        -------
        (n,) bool
            The best hypothesis of its source, or a row that could not be matched.
        (n,) bool
            True only where the first is.

        Raises
        ------
        InputError
            A column of the match holds something else.
        """
        read = ReadOptions()
        nulls = Definition.model_construct(nulls=NULLS, columns={}, position_error=None, read=read)
        rows = Rows(RawChunk(batch.select(list(self.columns))), nulls)
        values = {n: rows.numbers(n) for n in self.columns if n.casefold() != "accepted"}
        flag, p_any, n_tables = (values[n] for n in self.columns[:3])
        of_source = np.isnan(flag) | (flag == 1)
        if self.cutoff is None:
            accepted = rows.parsed(self.columns[3], parse_flags, "true or false") == 1
        else:
            accepted = p_any >= self.cutoff
        rejects = rows.rejects()
        if len(rejects):
            raise InputError(
                f"column '{rejects.column_name[0]}' of a table that was matched by {self.by}: "
                f"{rejects.value[0]!r} is {rejects.reason[0]}"
            )
        return of_source, np.asarray(accepted & (flag == 1) & (n_tables > 1))

    def __str__(self) -> str:
        tables = " and ".join([", ".join(self.counterparts[:-1]), self.counterparts[-1]]).removeprefix(" and ")
        how = "those that it accepted" if self.cutoff is None else f"p_any at {self.cutoff:g} or above"
        return f"the table was matched by {self.by} against {tables}; counterparts: {how}"


def recognise(facts: TableFacts, given: Mapping[str, str] | None = None) -> Matched | None:
    """What a table says about a match that it came from; None if it came from none.

    Parameters
    ----------
    given : mapping, optional
        May have `CUTOFF`, the smallest p_any to accept.

    Raises
    ------
    ConfigError
        The cutoff is not a probability, or the table has no p_any that it could be for.
    """
    text = (given or {}).get(CUTOFF)
    if text is not None and not (is_number(text) and 0 <= float(text) <= 1):
        raise ConfigError(f"--column {CUTOFF}={text}: give a probability, as in {CUTOFF}=0.8")
    names = {c.name: c.name for c in facts.columns}
    names |= {_OLD_NAMES.get(n.casefold(), n.casefold()): n for n in names if n.casefold() in (*_OLD_NAMES, "ncat")}
    cutoff = None if text is None else float(text)
    matched = None
    if set(_OF_XCAT) <= set(names):
        matched = _of_xcat(facts, cutoff)
    elif {"p_any", "p_i", "match_flag", "ncat"} <= set(names):
        matched = _of_nway(facts, names, _DEFAULT_CUTOFF if cutoff is None else cutoff)
    if matched is None and text is not None:
        raise ConfigError(f"--column {CUTOFF}={text}: {facts.name} is not the output of 'xcat match' or of NWAY")
    return matched


def _of_xcat(facts: TableFacts, cutoff: float | None) -> Matched | None:
    names = [c.name for c in facts.columns]
    data, of_match = names[: names.index("sep_arcsec")], names[names.index("sep_arcsec") :]
    pairs = [n.removesuffix("_sep_arcsec") for n in of_match if n.endswith("_sep_arcsec")]
    for label in _labels(names[0]):
        counterparts = [p.removeprefix(f"{label}_") for p in pairs if p.startswith(f"{label}_")]
        # the pair of two counterpart tables begins with the label only if theirs does: it has no columns of its own
        counterparts = [c for c in counterparts if any(n.startswith(f"{c}_") for n in data)]
        if counterparts and all(n.startswith(tuple(f"{x}_" for x in (label, *counterparts))) for n in data):
            columns = ("match_flag", "p_any", "n_members", *(() if cutoff is not None else ("accepted",)))
            return Matched("xcat match", label, tuple(counterparts), cutoff, columns)
    return None


def _of_nway(facts: TableFacts, names: Mapping[str, str], cutoff: float) -> Matched | None:
    all_names = [c.name for c in facts.columns]
    pairs = [n[len("Separation_") :] for n in all_names if n.startswith("Separation_") and n != "Separation_max"]
    for label in _labels(all_names[0]):
        counterparts = [p.removesuffix(f"_{label}") for p in pairs if p.endswith(f"_{label}")]
        data = [n for n in all_names if not _OF_NWAY.fullmatch(n)]
        if counterparts and all(any(n.startswith(f"{x}_") for n in data) for x in counterparts):
            columns = tuple(names[n] for n in ("match_flag", "p_any", "ncat"))
            return Matched("NWAY", label, tuple(counterparts), cutoff, columns)
    return None


def _labels(name: str) -> list[str]:
    """What may be the label of the table that a column is of, shortest first."""
    return [name[:k] for k, letter in enumerate(name) if letter == "_" and 0 < k < len(name) - 1]

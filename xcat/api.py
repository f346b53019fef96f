"""What ``import xcat`` gives: the answers of the command line as functions on tables.

Tables come in as astropy Tables, pandas DataFrames or paths of files, and go out as what came in: a DataFrame for a
DataFrame, else an astropy Table whose columns know their unit, UCD and meaning. The database is the one that the
command line uses (``XCAT_HOME``, ``XCAT_DATABASE_URL``). Nothing is written to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xcat.config import settings

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

    from xcat.database.connection import Connection
    from xcat.own.table_result import TableResult
    from xcat.report.explain.explanation import Explanation

    AnyTable: TypeAlias = Table | pd.DataFrame | Path | str

__all__ = ["Reasons", "candidates", "classify", "explain", "match", "sql"]


@contextmanager
def reading() -> Iterator[Connection]:
    """Open a session that reads and cannot write."""
    from xcat.database.connection import ready

    with ready(settings()) as conn:
        conn.read_only = True
        yield conn


def sql(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Table:
    """Run a query; what is published is in the schema ``pub``.

    Parameters
    ----------
    query : str
        A SELECT.
    params : mapping or sequence, optional
        Values for the places ``%(name)s`` or ``%s``.

    Returns
    -------
    Table
        NULL is masked.

    Raises
    ------
    XcatError
        The server refuses the query, it takes longer than ``XCAT_STATEMENT_TIMEOUT_S``, or it would change something.

    Examples
    --------
    >>> import xcat
    >>> table = xcat.sql("SELECT name, ra, dec, p_xrb FROM pub.classified WHERE class = 'XRB' LIMIT 3")
    >>> table["ra"].unit
    Unit("deg")
    """
    from xcat.output import results

    with reading() as conn:
        return results.query(conn, query, params)


def candidates(
    class_name: str,
    min_probability: float = 0.5,
    *,
    cone: tuple[float, float, float] | None = None,
    known: bool = False,
    run_id: int | None = None,
    limit: int | None = None,
) -> Table:
    """List the published sources of a class, the most probable first.

    Parameters
    ----------
    class_name : str
        A class of the model, in any case.
    min_probability : float
        Least probability of the class.
    cone : tuple of float, optional
        Right ascension, declination and radius, in degrees.
    known : bool
        Also sources that a reference catalogue knows.
    run_id : int, optional
        Another run than the published one.
    limit : int, optional
        Most rows; ``meta["total_rows"]`` says how many there are.

    Returns
    -------
    Table

    Raises
    ------
    XcatError
        Nothing is published, or there is no such class, run or cone.

    Examples
    --------
    >>> import xcat
    >>> table = xcat.candidates("XRB", 0.5, known=True)
    >>> bool((table["p_class"] >= 0.5).all())
    True
    """
    from xcat.report.candidates import candidates as find

    with reading() as conn:
        return find(conn, class_name, min_probability, cone, limit, known, run_id)


class Reasons:
    """Why a source has its class: `print` it for the text, or draw it.

    Attributes
    ----------
    explanation : Explanation
        The figures: posterior, the contribution of every property, counterparts, what would change the class.
    """

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation

    def __str__(self) -> str:
        from xcat.report.explain import gather

        return gather.text(self.explanation)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """The same as data that JSON can hold."""
        from xcat.report.explain import gather

        return gather.to_json(self.explanation)

    def draw(self, path: Path | str) -> Path:
        """Draw the evidence, property by property, to a .png, .pdf or .svg."""
        from xcat.report.explain import gather

        with reading() as conn:
            return gather.draw(self.explanation, conn, Path(path))


def explain(source: str | int, run_id: int | None = None) -> Reasons:
    """Say why a source has its class, property by property.

    Parameters
    ----------
    source : str or int
        Its number; or its name, or a part of the name that no other source has, whatever the case and the blanks.
    run_id : int, optional
        Another classify run than the published one.

    Returns
    -------
    Reasons

    Raises
    ------
    XcatError
        Nothing is published, or no source, or more than one, is meant.

    Examples
    --------
    >>> import xcat
    >>> name = xcat.sql("SELECT name FROM pub.classified ORDER BY p_xrb DESC LIMIT 1")["name"][0]
    >>> reasons = xcat.explain(name)
    >>> reasons.explanation.source["name"] == name
    True
    """
    from xcat.report.explain import gather

    with reading() as conn:
        return Reasons(gather.explain(conn, source, run_id))


def match(
    table: AnyTable,
    against: Sequence[str],
    *,
    radius_arcsec: float = 15.0,
    false_rate: float = 0.05,
    magnitudes: Sequence[str] = (),
    ra: str | None = None,
    dec: str | None = None,
    pos_err: str | None = None,
    epoch_yr: float | None = None,
    best: bool = True,
) -> Any:
    """Find the counterparts of the positions of a table in catalogues of the database.

    Parameters
    ----------
    table : Table, DataFrame or path
        Positions with errors; columns are recognised by UCD, unit and name.
    against : sequence of str
        Names of optical or infrared catalogues that are loaded (``xcat catalogues``).
    radius_arcsec : float
        No counterpart is farther away.
    false_rate : float
        A counterpart is accepted at a p_any that this share of shifted positions reaches.
    magnitudes : sequence of str
        ``CATALOGUE:COLUMN``: magnitudes that tell counterparts from other objects.
    ra, dec, pos_err : str, optional
        Columns, where the guess needs help.
    epoch_yr : float, optional
        Epoch of the positions, where no column says it.
    best : bool
        One row per position, with its most probable association; else one row per association.

    Returns
    -------
    Table or DataFrame
        All columns of the table in its order, then p_any, p_i, separations and the counterparts' columns.
        ``meta["messages"]`` (``attrs`` of a DataFrame) says which columns were taken for what.

    Raises
    ------
    InputError, ConfigError
        A column is missing or ambiguous, or a catalogue is not loaded.
    """
    from xcat.match.engine import MatchOptions
    from xcat.own import match_output
    from xcat.own.arguments import magnitude_spec
    from xcat.own.match_table import match_table
    from xcat.tables.guess import Wanted

    answer = match_table(
        settings(),
        table,
        list(against),
        MatchOptions(radius_arcsec=radius_arcsec, false_rate=false_rate),
        magnitudes=[magnitude_spec(text) for text in magnitudes],
        wanted=Wanted(ra, dec, pos_err, epoch_yr),
    )
    return _as_given(match_output.result(answer, best=best), table)


def classify(
    table: AnyTable,
    *,
    model: str = "published",
    band_kev: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Any:
    """Classify the rows of a table, from the model's properties or from raw fluxes, magnitudes and positions.

    Parameters
    ----------
    table : Table, DataFrame or path
        Columns are recognised by UCD, unit and name.
    model : str
        Number of a fit run, or "published".
    band_kev : tuple of float, optional
        Energies of the table's flux, where no column or header says them.
    columns : mapping, optional
        Property or quantity to column (``COLUMN@UNIT``), where the guess needs help; empty for none.

    Returns
    -------
    Table or DataFrame
        All columns of the table in its order, then class, probabilities, margin and outlier measure.
        ``meta["messages"]`` (``attrs`` of a DataFrame) says which columns were taken for what.

    Raises
    ------
    InputError, ConfigError
        The table has none of the model's properties, or a column is ambiguous.
    """
    from xcat.own.classify_table import classify_table, load_model

    with reading() as conn:
        run_id, loaded = load_model(conn, model)
    return _as_given(classify_table(table, run_id, loaded, band=band_kev, columns=columns), table)


def _as_given(result: TableResult, table: AnyTable) -> Any:
    """The result as a DataFrame if the user's table is one, with messages and summary."""
    import pandas as pd

    notes = {"messages": result.messages, "summary": result.summary}
    if isinstance(table, pd.DataFrame):
        frame = result.table.to_pandas(index=False)
        frame.index = table.index if len(frame) == len(table) else frame.index
        frame.attrs |= notes
        return frame
    result.table.meta |= notes
    return result.table

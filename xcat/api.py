"""What ``import xcat`` gives: the answers of the command line as functions on tables.

A table is an astropy Table, a pandas DataFrame or the path of a file. The answer to a DataFrame is a DataFrame with the
same index, else an astropy Table whose columns know their unit, UCD and meaning. The database is the one that the
command line uses (``XCAT_HOME``, ``XCAT_DATABASE_URL``). Nothing is written to it, and nothing is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcat.config import settings
from xcat.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table

    from xcat.database.connection import Connection
    from xcat.own.table_result import TableResult
    from xcat.report.explain.explanation import Explanation
    from xcat.tables.facts import TableLike

__all__ = ["Reasons", "candidates", "classify", "explain", "match", "sql"]


@contextmanager
def reading() -> Iterator[Connection]:
    """Open a connection that reads and cannot write."""
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
        Values for ``%(name)s`` or ``%s``; with these, a percent sign of the query is written ``%%``.

    Returns
    -------
    Table
        Columns have unit, description and ``meta["ucd"]`` where these are known. NULL is masked.

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
        table = results.query(conn, query, params)
        table.meta["provenance"] |= results.published(conn)
        return table


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
        Lowest probability of the class.
    cone : tuple of float, optional
        Right ascension, declination and radius, in degrees.
    known : bool
        Include sources of the reference sample.
    run_id : int, optional
        Classify run; the published one if not given.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.

    Returns
    -------
    Table

    Raises
    ------
    XcatError
        Nothing is published, or the class, the probability, the cone, the run or the limit is invalid.

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
    """Why a source has its class: ``print`` it for the text, or draw it.

    Attributes
    ----------
    explanation : Explanation
        Posterior, the contribution of every property, counterparts, what would change the class.
    """

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation

    def __str__(self) -> str:
        from xcat.report.explain import gather

        return gather.text(self.explanation)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Everything as data that JSON can hold."""
        from xcat.report.explain import gather

        return gather.to_json(self.explanation)

    def draw(self, path: Path | str) -> Path:
        """Draw the evidence, property by property, to a .png, .pdf or .svg; a file that exists is replaced."""
        from xcat.report.explain import gather

        with reading() as conn:
            return gather.draw(self.explanation, conn, Path(path))


def explain(source: str | int, run_id: int | None = None) -> Reasons:
    """Say why a source has its class, property by property.

    Parameters
    ----------
    source : str or int
        Its number; or its name, or a part of the name that no other source has; case and blanks do not matter.
    run_id : int, optional
        Classify run; the published one if not given.

    Returns
    -------
    Reasons

    Raises
    ------
    XcatError
        Nothing is published, no source or more than one matches, or the source was not classified.

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
    table: TableLike,
    against: str | Sequence[str],
    *,
    radius_arcsec: float = 15.0,
    false_rate: float = 0.05,
    magnitudes: str | Sequence[str] = (),
    ra: str | None = None,
    dec: str | None = None,
    pos_err: str | float | None = None,
    epoch_yr: float | None = None,
    best: bool = True,
) -> Any:
    """Find the counterparts of the positions of a table in catalogues of the database.

    Parameters
    ----------
    table : Table, DataFrame or path
        Positions with errors; columns are recognised by UCD, unit and name.
    against : str or sequence of str
        Names of optical or infrared catalogues that are loaded (``xcat catalogues``).
    radius_arcsec : float
        Search radius.
    false_rate : float
        Share of shifted positions that may be given a counterpart, from which the cutoff of p_any follows.
    magnitudes : str or sequence of str
        ``CATALOGUE:COLUMN``: magnitudes that tell counterparts from other objects.
    ra, dec, pos_err : str, optional
        Columns, where the guess needs help; for `pos_err` also ``COLUMN@UNIT`` or a number in arcsec.
    epoch_yr : float, optional
        Epoch of the positions, where no column gives it.
    best : bool
        One row per position, with its most probable association; else one row per association.

    Returns
    -------
    Table or DataFrame
        The columns of the table that hold one number or text per row, as ``LABEL_COLUMN`` and in its order of rows;
        then the columns of the counterparts, p_any, p_i and separations. ``meta["messages"]`` (``attrs`` of a
        DataFrame) says which columns were taken for what, ``meta["summary"]`` counts.

    Raises
    ------
    InputError, ConfigError
        A column is missing or ambiguous, a catalogue is not loaded, or an argument is invalid.

    Examples
    --------
    >>> import xcat
    >>> sources = xcat.sql("SELECT source_id, ra, dec, err_arcsec FROM pub.classified ORDER BY source_id LIMIT 9")
    >>> matched = xcat.match(sources, against="gaia_dr3", magnitudes="gaia_dr3:mag_gaia_g")
    >>> bool((matched["table_source_id"] == sources["source_id"]).all()), matched["sep_arcsec"].unit
    (True, Unit("arcsec"))
    """
    import numpy as np

    from xcat.match.engine import MatchOptions
    from xcat.own import match_output
    from xcat.own.arguments import magnitude_spec
    from xcat.own.match_table import match_table
    from xcat.tables.guess import Wanted

    if not 0 < false_rate < 1:
        raise ConfigError(f"false_rate must be between 0 and 1, got {false_rate:g}")
    if not 0 < radius_arcsec < np.inf:
        raise ConfigError(f"radius_arcsec must be above 0, got {radius_arcsec:g}")
    if not against:
        raise ConfigError("against: name one or more of the loaded catalogues, which xcat catalogues lists")
    answer = match_table(
        settings(),
        table,
        _listed(against),
        MatchOptions(radius_arcsec=radius_arcsec, false_rate=false_rate),
        magnitudes=[magnitude_spec(text) for text in _listed(magnitudes)],
        wanted=Wanted(ra, dec, pos_err, epoch_yr),
    )
    of_row = np.bincount(answer.hypotheses["row"] - 1, minlength=len(answer.table))
    return _as_given(match_output.result(answer, best=best), table, 1 if best else np.maximum(of_row, 1))


def classify(
    table: TableLike,
    *,
    model: str | int = "published",
    band_kev: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    hdu: int | str | None = None,
) -> Any:
    """Classify the rows of a table, from the model's properties or from raw fluxes, magnitudes and positions.

    Parameters
    ----------
    table : Table, DataFrame or path
        Columns are recognised by UCD, unit and name.
    model : str or int
        Number of a fit run, or "published".
    band_kev : tuple of float, optional
        Energies of the table's flux, where no column or header gives them.
    columns : mapping, optional
        Column (``COLUMN`` or ``COLUMN@UNIT``) by property or quantity (``ra``, ``dec`` ...), where the guess needs
        help; empty for none.
    hdu : int or str, optional
        Extension of a FITS file; its first table if not given.

    Returns
    -------
    Table or DataFrame
        The columns of the table that hold one number or text per row, in its order; then class, probabilities, margin
        and outlier measure. ``meta["messages"]`` (``attrs`` of a DataFrame) says which columns were taken for what,
        ``meta["summary"]`` counts.

    Raises
    ------
    InputError, ConfigError
        The table has none of the model's properties, or a column is ambiguous.

    Examples
    --------
    >>> import xcat
    >>> sources = xcat.sql("SELECT name, ra, dec, hr1, hr2 FROM pub.classified ORDER BY name LIMIT 9")
    >>> classified = xcat.classify(sources)
    >>> set(classified["class"]) <= {"AGN", "Star", "XRB", "CV"}
    True
    """
    return _as_given(classify_rows(table, str(model), band=band_kev, columns=columns, hdu=hdu), table)


def classify_rows(table: TableLike, model: str, **options: Any) -> TableResult:
    """What `classify` and the command line share; for the options see `xcat.own.classify_table.classify_table`."""
    from xcat.own.classify_table import classify_table, load_model

    with reading() as conn:
        run_id, loaded = load_model(conn, model)
    return classify_table(table, run_id, loaded, **options)


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _as_given(result: TableResult, table: TableLike, repeats: int | np.ndarray = 1) -> Any:
    """The result with messages and summary: as a DataFrame, each row `repeats` times, if the user's table is one."""
    import pandas as pd

    notes = {"messages": result.messages, "summary": result.summary}
    if not isinstance(table, pd.DataFrame):
        result.table.meta |= notes
        return result.table
    frame = result.table.to_pandas(index=False)
    frame.index = table.index.repeat(repeats)
    frame.attrs = table.attrs | notes
    return frame

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

    from xcat.client.remote import Remote
    from xcat.database.connection import Connection
    from xcat.own.classify_table import Classified, ClassifyOptions
    from xcat.own.table_result import TableResult
    from xcat.report.explain.explanation import Explanation
    from xcat.sky.skymap import SkyMap
    from xcat.tables.facts import TableLike

__all__ = ["Reasons", "candidates", "classify", "explain", "match", "remote", "skymap", "sql"]


@contextmanager
def reading() -> Iterator[Connection]:
    """Open a connection that reads and cannot write."""
    import psycopg

    from xcat.database.connection import ready
    from xcat.database.failures import explained

    with ready(settings()) as conn:
        conn.read_only = True
        try:
            yield conn
        except psycopg.Error as error:
            raise explained(error) or error from error


@contextmanager
def reader() -> Iterator[Connection]:
    """Open a connection for a statement that a user wrote; see `xcat.database.connection.reader`."""
    from xcat.database import connection

    with connection.reader(settings()) as conn:
        conn.read_only = True
        yield conn


def sql(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Table:
    """Run a query; what is published is in the schema ``pub``.

    Parameters
    ----------
    query : str
        One SELECT. It runs as a role that reads the schema ``pub`` and can do nothing else.
    params : mapping or sequence, optional
        Values for ``%(name)s`` or ``%s``; with these, a percent sign of the query is written ``%%``.

    Returns
    -------
    Table
        Columns have unit, description and ``meta["ucd"]`` where these are known. NULL is masked.

    Raises
    ------
    XcatError
        The server refuses the query, it takes longer than ``XCAT_STATEMENT_TIMEOUT_S``, its table would take more
        memory than ``XCAT_MAX_TABLE_MB``, or it would change something.

    Examples
    --------
    >>> import xcat
    >>> table = xcat.sql("SELECT name, ra, dec, p_xrb FROM pub.classified WHERE class = 'XRB' LIMIT 3")
    >>> table["ra"].unit
    Unit("deg")
    """
    from xcat.output import results

    with reader() as conn:
        published = results.published(conn)
        table = results.query(conn, query, params, settings().max_table_mb)
    table.meta["provenance"] |= published
    return table


def candidates(
    class_name: str,
    min_probability: float | None = None,
    *,
    cone: tuple[float, float, float] | None = None,
    known: bool = False,
    run_id: int | None = None,
    limit: int | None = None,
    every_mission: bool = False,
) -> Table:
    """List the published objects that may be of a class, the surest first: by probability times stability.

    An object that several missions have seen is listed once, as its best measured source. ``other_missions`` says what
    the others are.

    Parameters
    ----------
    class_name : str
        A class of the model, in any case.
    min_probability : float, optional
        Lowest probability of the class. If not given, the list is the one whose F1 should be best by the probabilities:
        for a rare class it goes below 0.5.
    cone : tuple of float, optional
        Right ascension, declination and radius, in degrees.
    known : bool
        Include objects of which a source, of whatever mission, is in the reference sample.
    run_id : int, optional
        Classify run; the published one if not given.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.
    every_mission : bool
        List every source, of every mission: one object may then have several rows.

    Returns
    -------
    Table
        ``meta["expected"]`` says how many members of the class the list should have, of how many altogether, and what
        purity, completeness and F1 that is.

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
        return find(conn, class_name, min_probability, cone, limit, known, run_id, every_mission)


def skymap(
    skymap: Path | str | Table | SkyMap,
    level: float = 0.9,
    *,
    class_name: str | None = None,
    min_probability: float | None = None,
    column: str = "",
    limit: int | None = None,
    run_id: int | None = None,
) -> Table:
    """List the published sources in the credible region of a sky map, by credible level.

    Parameters
    ----------
    skymap : Path, str, Table or SkyMap
        A FITS file, plain or packed: multi-order (column UNIQ) or flat HEALPix (RING or NESTED), with a column PROB,
        PROBABILITY or PROBDENSITY, and with or without DISTMU and DISTSIGMA; or a table with the columns and the header
        (``meta``) of one.
    level : float
        Probability that the region holds. The region of 0.5 is told as well.
    class_name : str, optional
        List sources of this class only, in any case.
    min_probability : float, optional
        Lowest probability: of that class, whichever class is most probable; or else of the source's own class.
    column : str
        Column of the probability, if it has another name.
    limit : int, optional
        Maximum number of rows; ``meta["total_rows"]`` is the number without it.
    run_id : int, optional
        Classify run; the published one if not given.

    Returns
    -------
    Table
        One row per source: what it is, the credible level and density of its place, the distance of the event there,
        that of the galaxy the source is in. ``meta["skymap"]`` has level, area and number of sources of each region,
        and the notes on the map: cells that are missing, a sum of probabilities that is not 1.

    Raises
    ------
    InputError
        The map cannot be read; the message names file, column and row.
    XcatError
        Nothing is published, or the level, the class, the probability, the run or the limit is invalid.

    Examples
    --------
    >>> import xcat
    >>> from astropy.table import Table
    >>> north = {"UNIQ": range(4, 16), "PROBDENSITY": [1.0] * 4 + [0.0] * 8}
    >>> table = xcat.skymap(Table(north, meta={"ORDERING": "NUNIQ", "COORDSYS": "C"}))
    >>> bool((table["dec"] >= 0).all()), round(table.meta["skymap"]["regions"][0]["area_deg2"])
    (True, 13751)
    """
    from xcat.report.skymap import skymap_sources

    opened = open_skymap(skymap, column)
    with reading() as conn:
        return skymap_sources(conn, opened, level, class_name, min_probability, limit, run_id)


def open_skymap(skymap: Path | str | Table | SkyMap, column: str = "") -> SkyMap:
    """Read a sky map as `skymap` takes it."""
    from xcat.ingest.skymap_file import read_skymap, read_skymap_table
    from xcat.sky.skymap import SkyMap

    if isinstance(skymap, SkyMap):
        return skymap
    if isinstance(skymap, Path | str):
        return read_skymap(Path(skymap), column)
    return read_skymap_table(skymap, column)


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


def remote(url: str, *, timeout_s: float = 120.0) -> Remote:
    """The same for a classification that is published elsewhere: the functions of a service of ``xcat serve``.

    Parameters
    ----------
    url : str
        Address of the service.
    timeout_s : float
        How long to wait for an answer to begin.

    Returns
    -------
    Remote
        With ``sql`` (in ADQL), ``cone``, ``candidates``, ``explain`` and ``near`` (sources near the positions of a
        table). Nothing is sent before one of them is called.

    Raises
    ------
    InputError
        It is not the address of a service.

    Examples
    --------
    >>> import xcat
    >>> service = xcat.remote("https://xcat.example.org/tap")
    >>> service.url
    'https://xcat.example.org'
    """
    from xcat.client.remote import Remote

    return Remote(url, timeout_s)


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
    run: int | None = None,
    mission: str = "",
    own_counterparts: bool = False,
    priors: str = "",
    band_kev: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    ra: str | None = None,
    dec: str | None = None,
    pos_err: str | float | None = None,
    epoch_yr: float | None = None,
    hdu: int | str | None = None,
) -> Any:
    """Classify X-ray sources: what are the rows of this table?

    Counterparts are searched for in the catalogues of the published run, with what that run learned of them; the
    properties and the posterior are computed as for its own sources. A table that was matched before (by `match` or by
    NWAY) keeps its accepted counterparts. For the properties that the table can have, the weights of the model are
    fitted anew on the reference sample; how accurate that model is, the messages say.

    Parameters
    ----------
    table : Table, DataFrame or path
        Positions with errors, fluxes and what else is known; columns are recognised by UCD, unit and name.
    run : int, optional
        Classify run whose catalogues, learning and model are used; the published one if not given.
    mission : str
        Mission of that run that the rows are like; by default that of the nearest positional error, row by row.
    own_counterparts : bool
        Use the magnitudes and motions of the table instead of searching for counterparts.
    priors : str
        Shares of the classes (``"AGN=.7,Star=.2,XRB=.08,CV=.02"``), a pipeline or run, "estimate" or "counts"; by
        default those of the model.
    band_kev : tuple of float, optional
        Energies of the table's flux, where no column or header gives them.
    columns : mapping, optional
        Column (``COLUMN`` or ``COLUMN@UNIT``) by property or quantity, where the guess needs help; empty for none.
    ra, dec, pos_err, epoch_yr
        As in `match`.
    hdu : int or str, optional
        Extension of a FITS file; its first table if not given.

    Returns
    -------
    Table or DataFrame
        The columns of the table that hold one number or text per row, in its order; then class, probabilities, reason,
        counterparts, published and known objects at the position. ``meta["messages"]`` (``attrs`` of a DataFrame) says
        which columns were taken for what, ``meta["summary"]`` counts.

    Raises
    ------
    InputError, ConfigError
        No position or error, a column is ambiguous, the energies of a flux are not known.
    XcatError
        Nothing is published.

    Examples
    --------
    >>> import xcat
    >>> sources = xcat.sql("SELECT name, ra, dec, err_arcsec FROM pub.classified ORDER BY name LIMIT 9")
    >>> classified = xcat.classify(sources)
    >>> bool((classified["name"] == sources["name"]).all()), classified["published_sep_arcsec"].unit
    (True, Unit("arcsec"))
    """
    from xcat.own.classify_table import ClassifyOptions
    from xcat.tables.guess import Wanted

    options = ClassifyOptions(
        run, mission, own_counterparts, priors, band_kev, columns or {}, Wanted(ra, dec, pos_err, epoch_yr), hdu
    )
    return _as_given(classify_rows(table, options).result(), table)


def classify_rows(table: TableLike, options: ClassifyOptions) -> Classified:
    """What `classify` and the command line share; see `xcat.own.classify_table.classify_table`."""
    from xcat.own.classify_table import classify_table

    return classify_table(settings(), table, options)


def explain_row(table: TableLike, row: int, options: ClassifyOptions, figure: Path | None = None) -> Reasons:
    """Say why a row of a user's table, numbered from 1, has its class; and draw it to a file, if one is given."""
    from xcat.own.mission import RELATIONS
    from xcat.own.row_evidence import row_evidence
    from xcat.report.explain import gather

    with row_evidence(settings(), table, row, options) as e:
        conn, run = e.mission.conn, e.mission.published.run
        of_row = e.source, e.model, e.model_run_id, e.sample, e.result
        explanation = gather.explain_row(conn, run, *of_row, RELATIONS, e.mission.labels())
        if figure is not None:
            gather.draw(explanation, conn, figure, e.model)
    return Reasons(explanation)


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

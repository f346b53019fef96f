"""A published classification elsewhere: the functions of `xcat.api` over the network, from a service of ``xcat serve``.

Queries go by TAP, the protocol of the Virtual Observatory, with the library pyvo. Nothing is kept here, and no database
is needed.
"""

from __future__ import annotations

import re
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pyvo
import requests
from astropy import units as u
from astropy.table import Table, hstack
from pyvo.dal import DALOverflowWarning
from pyvo.dal.exceptions import DALAccessError

from xcat.classifier.metrics import expected_f1
from xcat.client.answers import Session, degrees, spread, texts
from xcat.client.reasons import RemoteReasons
from xcat.database.published import class_column
from xcat.errors import InputError, UnreachableError, XcatError
from xcat.output.provenance import KEY, positions, provenance
from xcat.report.candidates import checked_cone

_ROW = "input_row"


class Remote:
    """A service, and what it can be asked for.

    Parameters
    ----------
    url : str
        Its address, as ``xcat serve`` prints it; with or without ``/tap`` at the end.
    timeout_s : float
        How long to wait for an answer to begin.
    """

    def __init__(self, url: str, timeout_s: float = 120.0) -> None:
        if not re.match(r"https?://[^/\s]+", url):
            raise InputError(f"the address of a service begins with http:// or https://, got {url!r}")
        self.url = url.rstrip("/").removesuffix("/tap")
        self._session = Session(timeout_s)
        weakref.finalize(self, self._session.close)
        self._tap = pyvo.dal.TAPService(f"{self.url}/tap", session=self._session)

    def __repr__(self) -> str:
        return f"xcat.remote({self.url!r})"

    def sql(
        self,
        query: str,
        *,
        uploads: Mapping[str, Table] | None = None,
        limit: int | None = None,
        as_job: bool = False,
    ) -> Table:
        """Run a query in ADQL, which is SQL with positions; what is published is in the schema ``pub``.

        Parameters
        ----------
        query : str
            One SELECT.
        uploads : mapping, optional
            Tables by name; in the query they are ``TAP_UPLOAD.name``.
        limit : int, optional
            Most rows to take; ``meta["is_cut"]`` says whether there are more.
        as_job : bool
            Run it as a job of the service, which may take longer than an answer that is waited for.

        Returns
        -------
        Table
            Columns have unit, description and ``meta["ucd"]``. NULL is masked, but for texts: a VOTable is read with
            NULL as an empty text.

        Raises
        ------
        UnreachableError
            Nobody answers at the address.
        XcatError
            The service refuses the query, or has cut its result by a limit of its own.
        """
        run = self._tap.run_async if as_job else self._tap.run_sync
        with self._explained(), warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)  # VOUnit deprecates erg, the unit of X-ray astronomy
            warnings.simplefilter("ignore", DALOverflowWarning)  # what it says is an error, or in the table
            result = run(query, maxrec=limit, uploads=dict(uploads) if uploads else None)
            table = result.to_table()
        is_cut = result.query_status == "OVERFLOW"
        if is_cut and (limit is None or len(table) < limit):
            raise XcatError(
                f"{self.url} gives {len(table):,} rows of this result, which has more. Ask for fewer rows or columns, "
                "or for more at once (limit=...), as far as the service allows it"
            )
        for name in table.colnames:
            table.replace_column(name, texts(table[name]))
        table.meta = {KEY: provenance("sql", query=query, service=self.url), "is_cut": is_cut}
        return table

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in xcat's words what went wrong."""
        try:
            yield
        except DALAccessError as error:
            cause = getattr(error, "cause", None) or error.__cause__
            response = getattr(cause, "response", None)
            text = " ".join(str(error).split())
            if response is None and isinstance(cause, requests.RequestException):
                raise UnreachableError(
                    f"{self.url} does not answer ({type(cause).__name__}). Is the address right, and does xcat serve "
                    "run there?"
                ) from None
            raise XcatError(f"{self.url} refused the query: {text}") from None
        except requests.RequestException as error:
            raise UnreachableError(f"the connection to {self.url} was lost ({type(error).__name__})") from None
        finally:
            self._session.end_answers()

    def cone(self, ra: float, dec: float, radius_deg: float, *, limit: int | None = None) -> Table:
        """Published sources around a position, ICRS, degrees; the nearest first, with ``sep_arcsec``.

        Raises
        ------
        XcatError
            As `sql`; or the cone is invalid.
        """
        distance, radius = _distance(ra, dec, radius_deg)
        table = self.sql(
            f"SELECT c.*, {distance} * 3600 AS sep_arcsec FROM pub.classified AS c"
            f" WHERE {distance} < {radius} ORDER BY sep_arcsec",
            limit=limit,
        )
        table["sep_arcsec"].unit = u.arcsec
        return table

    def candidates(
        self,
        class_name: str,
        min_probability: float | None = None,
        *,
        cone: tuple[float, float, float] | None = None,
        known: bool = False,
        limit: int | None = None,
        every_mission: bool = False,
    ) -> Table:
        """List the published objects that may be of a class, the surest first; as `xcat.candidates`.

        Returns
        -------
        Table
            All columns of ``pub.classified``. ``meta["expected"]`` says how many members of the class the list should
            have (``members``), of how many altogether (``of``), and from which probability it goes.

        Raises
        ------
        XcatError
            As `sql`; or the class, the probability or the cone is invalid.
        """
        if min_probability is not None and not 0 <= min_probability <= 1:
            raise XcatError(f"the probability must be between 0 and 1, got {min_probability:g}")
        name = self._class(class_name)
        p = f'c."{class_column(name)}"'
        conditions = ["" if every_mission else " AND c.is_best_of_master = TRUE"]
        conditions.append("" if known else " AND c.known_class_of_master IS NULL")
        if cone is not None:
            conditions.append(" AND {} < {}".format(*_distance(*cone)))
        also = "".join(conditions)
        steps = self.sql(
            f"SELECT s.step, COUNT(*) AS n, SUM(s.p) AS members FROM (SELECT FLOOR({p} * 1000) AS step,"
            f" CAST({p} AS DOUBLE PRECISION) AS p FROM pub.classified AS c WHERE {p} IS NOT NULL{also}) AS s"
            " GROUP BY s.step ORDER BY s.step DESC"
        )
        best = round(float(expected_f1(steps["n"], steps["members"]).max(initial=0.0)) / 2.0, 3)
        least = best if min_probability is None else min_probability
        sure = f"COALESCE(CASE WHEN c.class = {_quoted(name)} THEN c.stability ELSE 1 - c.stability END, 1)"
        table = self.sql(
            f"SELECT c.* FROM pub.classified AS c WHERE {p} >= {least!r}{also}"
            f" ORDER BY {p} * {sure} DESC, {p} DESC, c.margin DESC, c.catalogue, c.name, c.ra, c.dec, c.source_id",
            limit=limit,
        )
        members: np.ndarray = np.ma.filled(np.ma.asarray(table[class_column(name)], dtype=float), 0.0)
        table.meta |= {"class": name, "expected": {"members": float(members.sum()), "min_probability": least}}
        table.meta["expected"] |= {"of": float(np.sum(steps["members"])), "best_min_probability": best}
        return table

    def _classes(self) -> list[str]:
        """The classes of the published run."""
        found = self.sql("SELECT class, part_of FROM pub.model_class ORDER BY class_id")
        whole = np.ma.filled(np.ma.asarray(found["part_of"]).astype("U"), "").tolist()
        return list(dict.fromkeys(of or name for name, of in zip(found["class"].tolist(), whole, strict=True)))

    def _class(self, class_name: str) -> str:
        names = self._classes()
        found = {name.lower(): name for name in names}.get(class_name.lower())
        if found is None:
            raise XcatError(f"the published model of {self.url} has no class '{class_name}', only {', '.join(names)}")
        return str(found)

    def near(
        self,
        table: Table,
        radius_arcsec: float = 5.0,
        *,
        ra: str | None = None,
        dec: str | None = None,
        best: bool = True,
        limit: int | None = None,
    ) -> Table:
        """The published sources near the positions of a table, all in one request.

        Parameters
        ----------
        table : Table
            With positions, ICRS; a column without unit is in degrees.
        radius_arcsec : float
            How far to look.
        ra, dec : str, optional
            Its columns; if not given, they are found by UCD and name.
        best : bool
            One row per position, with the nearest source, masked where there is none; else one row per pair.
        limit : int, optional
            Most pairs to take, for lists that have more than the service gives unasked.

        Returns
        -------
        Table
            The columns of `table`, those of ``pub.classified``, and ``sep_arcsec``. A name that both have is
            ``published_NAME`` for the source.

        Raises
        ------
        XcatError
            As `sql`; or there is no position, or there are more pairs than `limit`.
        """
        if not 0 < radius_arcsec <= 3600:
            raise InputError(f"radius_arcsec must be above 0 and at most 3600, got {radius_arcsec:g}")
        if (ra is None) != (dec is None):
            raise InputError("say both columns of the position, ra=... and dec=..., or none of them")
        if ra is None or dec is None:
            place = next(iter(positions(table)), None)
            if place is None:
                raise InputError("no column is recognised as a position: say which (ra=..., dec=...)")
            ra, dec = place.ra, place.dec
        sent = Table({_ROW: np.arange(len(table)), "ra": degrees(table, ra), "dec": degrees(table, dec)})
        sent = sent[np.isfinite(sent["ra"]) & np.isfinite(sent["dec"])]
        distance = "DISTANCE(c.ra, c.dec, m.ra, m.dec)"
        pairs = self.sql(
            f"SELECT m.{_ROW}, c.*, {distance} * 3600 AS sep_arcsec FROM TAP_UPLOAD.mine AS m JOIN pub.classified AS c"
            f" ON {distance} < {radius_arcsec / 3600!r} ORDER BY m.{_ROW}, sep_arcsec, c.source_id",
            uploads={"mine": sent},
            limit=limit,
        )
        if pairs.meta["is_cut"]:
            raise XcatError(
                f"there are more than {limit:,} pairs: raise limit, look less far, or send the list in parts"
            )
        pairs["sep_arcsec"].unit = u.arcsec
        row = np.asarray(pairs[_ROW], dtype=np.int64)
        pairs.remove_column(_ROW)
        for name in set(pairs.colnames) & set(table.colnames):
            pairs.rename_column(name, f"published_{name}")
        if best:
            of_row, first = np.unique(row, return_index=True)
            pairs, row = spread(pairs[first], of_row, len(table)), np.arange(len(table))
        joined = hstack([table[row], pairs], metadata_conflicts="silent")
        joined.meta = {**table.meta, **pairs.meta}
        return joined

    def explain(self, source: str | int) -> RemoteReasons:
        """Say why a source has its class, property by property.

        Parameters
        ----------
        source : str or int
            Its number; or its name, or a part of the name that no other source has; case and blanks do not matter.

        Raises
        ------
        XcatError
            As `sql`; or no source or more than one matches.
        """
        found = self._source(source)
        source_id = int(found["source_id"][0])
        of_source = f"WHERE source_id = {source_id}"
        return RemoteReasons(
            found,
            {name: float(found[class_column(name)][0]) for name in self._classes()},
            self.sql(f"SELECT property, category, class, log_likelihood, advantage FROM pub.evidence {of_source}"),
            self.sql(f"SELECT * FROM pub.counterparts {of_source} ORDER BY catalogue"),
            self.sql(f"SELECT * FROM pub.hypotheses {of_source} ORDER BY rank"),
        )

    def _source(self, source: str | int) -> Table:
        """The row of a source."""
        if isinstance(source, int | np.integer):
            found = self.sql(f"SELECT * FROM pub.classified WHERE source_id = {int(source)}")
            if not len(found):
                raise XcatError(f"{self.url} has no source with the number {source}")
            return found
        key = "".join(source.split()).lower()
        if not key:
            raise InputError("the name of the source is empty")
        pattern = "%".join(["", *source.split(), ""])
        found = self.sql(f"SELECT * FROM pub.classified WHERE LOWER(name) LIKE LOWER({_quoted(pattern)})", limit=1000)
        names = ["".join(str(name).split()).lower() for name in found["name"]]
        found = found[[key in name for name in names]]
        if key in names:
            found = found[["".join(str(name).split()).lower() == key for name in found["name"]]]
        if len(found) != 1:
            some = ", ".join(found["name"][:5])
            raise XcatError(
                f"{len(found)} sources of {self.url} match '{source}': {some} ..." if len(found)
                else f"{self.url} has no source '{source}'"
            )  # fmt: skip
        return found


def _distance(ra: float, dec: float, radius_deg: float) -> tuple[str, str]:
    """The distance of a source from a position, in ADQL, and the radius of a cone around it."""
    place = {name: repr(float(value)) for name, value in checked_cone(ra, dec, radius_deg).items()}
    return f"DISTANCE(c.ra, c.dec, {place['ra']}, {place['dec']})", place["radius_deg"]


def _quoted(text: str) -> str:
    """A text of ADQL."""
    return "'" + text.replace("'", "''") + "'"

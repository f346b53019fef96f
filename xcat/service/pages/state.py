"""What is published, as every page needs it: read once for each publication, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from xcat.classifier.model import Model
from xcat.database.connection import Connection, connect
from xcat.database.failures import explained
from xcat.errors import XcatError
from xcat.models import store
from xcat.output.reading import Row, one
from xcat.report.run.summary import Report
from xcat.report.run.summary import report as report_of
from xcat.service.tap.pool import Pool
from xcat.service.tap.service import Service

_Value = TypeVar("_Value")
_LIMIT_S = 60.0


@dataclass
class Published:
    """One published state.

    Attributes
    ----------
    run_id, model_run_id : int
    classes : tuple of str
    facts : dict
        Row of `pages.published`.
    kept : dict
        What pages have made of it: drawings, counts; see `State.once`.
    """

    run_id: int
    model_run_id: int
    classes: tuple[str, ...]
    facts: Row
    kept: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def once(self, name: str, make: Callable[[], _Value]) -> _Value:
        """A value that is made when it is first asked for, by one thread."""
        with self.lock:
            if name not in self.kept:
                self.kept[name] = make()
            value: _Value = self.kept[name]
            return value


class State:
    """Gives pages their connections and what is published.

    Parameters
    ----------
    service : Service
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings = service.settings
        self._books = Pool(lambda: connect(service.settings))
        self._published: Published | None = None
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that reads pub and can do nothing else, in one transaction: no page mixes two publications."""
        with _told(), self.service.readers.connection(_LIMIT_S) as conn, conn.transaction():
            yield conn

    @contextmanager
    def books(self) -> Iterator[Connection]:
        """A connection that reads what runs wrote of themselves, too: evidence, matches, stages."""
        with _told(), self._books.connection(_LIMIT_S) as conn, conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            yield conn

    def close(self) -> None:
        """Close the connections."""
        self._books.close()

    def published(self, conn: Connection) -> Published:
        """What is published now.

        Raises
        ------
        XcatError
            Nothing is.
        """
        facts = one(conn, "pages.published")
        if facts is None:
            raise XcatError("nothing is published yet. Run a pipeline: xcat run, then xcat publish")
        with self._lock:
            known = self._published
            if known is None or known.facts != facts:
                numbers = (facts["run_id"], facts["model_run_id"])
                kept = {} if known is None or (known.run_id, known.model_run_id) != numbers else known.kept
                known = self._published = Published(*numbers, tuple(facts["classes"]), facts, kept)
            return known

    def model(self, published: Published) -> Model:
        """Its model."""

        def load() -> Model:
            with self.books() as conn:
                return store.load(conn, published.model_run_id)

        return published.once("model", load)

    def report(self, published: Published) -> Report:
        """Its two-part table and metrics."""

        def read() -> Report:
            with self.books() as conn:
                return report_of(conn, published.run_id)

        return published.once("report", read)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the server in words, as the command line has them."""
    try:
        yield
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise explained(error) or error from error

"""Files of the embedded server that belong to no table: what a transaction had written when the server crashed.

PostgreSQL makes the file of a table at once and its row in ``pg_class`` visible at the end of the transaction. If the
server dies between the two, the file stays for ever: no statement names it, no recovery removes it. It is removed here
when it is certain that nobody can still name it: it was last written before the last checkpoint, and before all
statements and transactions at work began that could have made it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xcat.config import Settings
from xcat.database.connection import Connection
from xcat.database.embedded import EmbeddedServer
from xcat.database.sqlfiles import job

# of a table or index, its maps, and what is beyond the first GB of each
_OF_RELATION = re.compile(r"(\d+)(?:_fsm|_vm|_init)?(?:\.\d+)?")
_MARGIN_S = 1.0  # the clock of a file system is a little behind


@dataclass(frozen=True)
class Orphan:
    """A file that belongs to no table."""

    path: Path
    n_bytes: int


def find(conn: Connection, data: Path) -> list[Orphan]:
    """Files in the folder of a database that certainly belong to no table.

    Parameters
    ----------
    conn : Connection
        To the database, by autocommit, as a role that may see the sessions of others.
    data : Path
        Folder of the server's data, on this machine.
    """
    ((number,),) = conn.execute(job("server.database_number").compose())
    files: dict[int, list[tuple[Path, float, int]]] = {}
    for path in (data / "base" / str(number)).iterdir():
        match = _OF_RELATION.fullmatch(path.name)
        if match is not None:
            try:
                facts = path.stat()
            except FileNotFoundError:  # of a table that was dropped just now
                continue
            files.setdefault(int(match[1]), []).append((path, facts.st_mtime, facts.st_size))
    # asked after the files, and before the tables: who had made a file by then has ended, or is at work now
    ((since,),) = conn.execute(job("server.nothing_older_at_work").compose())
    known = {row[0] for row in conn.execute(job("server.file_numbers").compose())}
    return [
        Orphan(path, n_bytes)
        for name, parts in files.items()
        if name not in known and max(written for _, written, _ in parts) < since - _MARGIN_S
        for path, _, n_bytes in parts
    ]


def of_embedded(config: Settings, conn: Connection) -> list[Orphan]:
    """Find the orphans of the embedded server; none are known of a server of the user's own."""
    return find(conn, EmbeddedServer(config.home).data) if config.database_url is None else []


def remove(config: Settings, conn: Connection) -> list[Orphan]:
    """Remove them, and say which these were."""
    found = of_embedded(config, conn)
    for orphan in found:
        orphan.path.unlink(missing_ok=True)
    return found

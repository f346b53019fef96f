"""Settings from the environment: where the embedded database lives, or which server to use instead."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xcat.errors import ConfigError

_LONGEST_TIMEOUT_S = 2_000_000


def _default_home() -> Path:
    # PostgreSQL refuses to run as root, and its user cannot enter /root; so root's cluster lives in /var/lib.
    if os.geteuid() == 0:
        return Path("/var/lib/xcat")
    import platformdirs

    return Path(platformdirs.user_data_dir("xcat"))


@dataclass(frozen=True)
class Settings:
    """Where the database is, and how long a statement may run; `settings` reads them from the environment.

    Attributes
    ----------
    home : Path
        Folder of the embedded database, ``XCAT_HOME``.
    database_url : str or None
        SQLAlchemy URL of a server to use instead of the embedded one, ``XCAT_DATABASE_URL``.
    statement_timeout_s : float
        No statement may run longer than this, ``XCAT_STATEMENT_TIMEOUT_S``; 0 is refused, because a wrong plan would
        run for days.
    max_table_mb, max_file_mb : float
        The most that the result of a query may take in memory and in a file, ``XCAT_MAX_TABLE_MB`` and
        ``XCAT_MAX_FILE_MB``; more is an error, never a shorter table.
    hook : str or None
        Command or address of the web that is told how runs without a hook of their own end, ``XCAT_HOOK``.
    keep_runs : int
        After a run of a schedule has ended well, this many of the newest runs of each stage of its pipeline are kept,
        besides what is published, was published before, is a release or is pinned, ``XCAT_KEEP_RUNS``; 0: all.
    tap_rows, tap_most_rows : int
        Rows that a query of TAP gives if its client asks for no number (MAXREC), and the most that it can ask for.
    tap_timeout_s, tap_job_timeout_s : float
        The longest that a query of TAP may run, and a job (asynchronous) can be let run.
    tap_upload_mb, tap_result_mb : float
        The most that a request with its uploads, and a result, may have.
    tap_client_queries, tap_queries : int
        Queries of one client, and of all, that run at once; each has a connection to the database.
    tap_jobs : int
        Jobs that run at once.
    tap_client_jobs : int
        Jobs of one client that are kept.
    tap_keep_days : float
        After so many days a job and its result are removed.
    webhook_hosts : tuple of str
        Hosts, with a port if it is not the usual one, that webhooks of watchlists may go to, ``XCAT_WEBHOOK_HOSTS``,
        separated by commas; by default none.
    """

    home: Path = field(default_factory=_default_home)
    database_url: str | None = field(default=None, repr=False)  # it may hold a password
    statement_timeout_s: float = 3600.0
    max_table_mb: float = 1000.0
    max_file_mb: float = 20_000.0
    hook: str | None = None
    keep_runs: int = 7
    tap_rows: int = 100_000
    tap_most_rows: int = 10_000_000
    tap_timeout_s: float = 60.0
    tap_job_timeout_s: float = 3600.0
    tap_upload_mb: float = 50.0
    tap_result_mb: float = 2000.0
    tap_client_queries: int = 8
    tap_queries: int = 16
    tap_jobs: int = 2
    tap_client_jobs: int = 100
    tap_keep_days: float = 7.0
    webhook_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (unit, most) in _NUMBERS.items():
            value = getattr(self, name)
            if not 0 < value <= most or (name in _WHOLE and value != int(value)):
                raise _wrong(name, f"{value:g}", unit, most)
            if name in _WHOLE:
                object.__setattr__(self, name, int(value))  # the variable is read as a float
        if self.keep_runs < 0:
            raise _wrong_number(str(self.keep_runs))


# numbers that variables of the same name give: unit and upper limit
_NUMBERS = {
    "statement_timeout_s": ("seconds", _LONGEST_TIMEOUT_S),
    "max_table_mb": ("MB", 1_000_000_000),
    "max_file_mb": ("MB", 1_000_000_000),
    "tap_rows": ("rows", 1_000_000_000),
    "tap_most_rows": ("rows", 1_000_000_000),
    "tap_timeout_s": ("seconds", _LONGEST_TIMEOUT_S),
    "tap_job_timeout_s": ("seconds", _LONGEST_TIMEOUT_S),
    "tap_upload_mb": ("MB", 10_000),
    "tap_result_mb": ("MB", 1_000_000),
    "tap_client_queries": ("queries", 10_000),
    "tap_queries": ("queries", 1000),
    "tap_jobs": ("jobs", 100),
    "tap_client_jobs": ("jobs", 1_000_000),
    "tap_keep_days": ("days", 3650),
}
_WHOLE = {"tap_rows", "tap_most_rows", "tap_client_queries", "tap_queries", "tap_jobs", "tap_client_jobs"}


def _wrong(name: str, text: str, unit: str, most: float) -> ConfigError:
    whole = "whole " if name in _WHOLE else ""
    return ConfigError(f"XCAT_{name.upper()}={text}: must be a {whole}number of {unit} above 0, at most {most:,}")


def _wrong_number(text: str) -> ConfigError:
    return ConfigError(f"XCAT_KEEP_RUNS={text}: must be a whole number of runs, or 0 to keep all")


def settings() -> Settings:
    """Settings as the environment has them now; an empty variable counts as not set.

    Raises
    ------
    ConfigError
        A variable has a value that cannot be used.
    """
    home, url = (os.environ.get(f"XCAT_{name}") for name in ("HOME", "DATABASE_URL"))
    numbers: dict[str, Any] = {}
    for name, (unit, most) in _NUMBERS.items():
        text = os.environ.get(f"XCAT_{name.upper()}")
        try:
            numbers[name] = float(text) if text else getattr(Settings, name)
        except ValueError:
            raise _wrong(name, str(text), unit, most) from None
    hook, keep = (os.environ.get(f"XCAT_{name}") or None for name in ("HOOK", "KEEP_RUNS"))
    if keep is not None and not keep.isdecimal():
        raise _wrong_number(keep)
    keep_runs = Settings.keep_runs if keep is None else int(keep)
    hosts = tuple(h.strip().lower() for h in os.environ.get("XCAT_WEBHOOK_HOSTS", "").split(",") if h.strip())
    folder = Path(home) if home else _default_home()
    return Settings(folder, url or None, **numbers, hook=hook, keep_runs=keep_runs, webhook_hosts=hosts)

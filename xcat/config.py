"""Settings from the environment: where the embedded database lives, or which server to use instead."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

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
    hook : str or None
        Command or address of the web that is told how the runs of schedules without a hook of their own end,
        ``XCAT_HOOK``.
    """

    home: Path = field(default_factory=_default_home)
    database_url: str | None = None
    statement_timeout_s: float = 3600.0
    hook: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.statement_timeout_s <= _LONGEST_TIMEOUT_S:
            raise _wrong_timeout(f"{self.statement_timeout_s:g}")


def _wrong_timeout(text: str) -> ConfigError:
    return ConfigError(
        f"XCAT_STATEMENT_TIMEOUT_S={text}: must be a number of seconds above 0, at most {_LONGEST_TIMEOUT_S:,}"
    )


def settings() -> Settings:
    """Settings as the environment has them now; an empty variable counts as not set.

    Raises
    ------
    ConfigError
        A variable has a value that cannot be used.
    """
    home, url, timeout = (os.environ.get(f"XCAT_{name}") for name in ("HOME", "DATABASE_URL", "STATEMENT_TIMEOUT_S"))
    try:
        seconds = float(timeout) if timeout else Settings.statement_timeout_s
    except ValueError:
        raise _wrong_timeout(str(timeout)) from None
    hook = os.environ.get("XCAT_HOOK") or None
    return Settings(Path(home) if home else _default_home(), url or None, seconds, hook)

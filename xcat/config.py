"""Settings from the environment: where the embedded database lives, or which server to use instead."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from xcat.errors import ConfigError


def _default_home() -> Path:
    # PostgreSQL refuses to run as root, and its user cannot enter /root; so root's cluster lives in /var/lib.
    if os.geteuid() == 0:
        return Path("/var/lib/xcat")
    return Path(platformdirs.user_data_dir("xcat"))


class Settings(BaseSettings):
    """Read from the environment variables ``XCAT_HOME``, ``XCAT_DATABASE_URL``, ``XCAT_STATEMENT_TIMEOUT_S``.

    Attributes
    ----------
    home : Path
        Folder of the embedded database.
    database_url : str or None
        SQLAlchemy URL of a server to use instead of the embedded one.
    statement_timeout_s : float
        No statement may run longer than this; 0 is refused, because a wrong plan would run for days.
    """

    model_config = SettingsConfigDict(env_prefix="XCAT_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default_factory=_default_home)
    database_url: str | None = None
    statement_timeout_s: float = Field(default=3600.0, gt=0, le=2_000_000)


def settings() -> Settings:
    """Settings as the environment has them now.

    Raises
    ------
    ConfigError
        A variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"XCAT_{str(e['loc'][0]).upper()}={e['input']}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(wrong)) from None

"""Settings from the environment: where the embedded database lives, or which server to use instead."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    model_config = SettingsConfigDict(env_prefix="XCAT_", extra="ignore")

    home: Path = Field(default_factory=_default_home)
    database_url: str | None = None
    statement_timeout_s: float = Field(default=3600.0, gt=0)


def settings() -> Settings:
    """Settings as the environment has them now."""
    return Settings()

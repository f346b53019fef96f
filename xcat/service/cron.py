"""Times of a cron line in a time zone."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime

from croniter import croniter

from xcat.errors import ConfigError

_MOST_COUNTED = 1000


def check(cron: str, time_zone: str) -> None:
    """Refuse a cron line or a time zone that cannot be used.

    Raises
    ------
    ConfigError
        Names what is wrong, with an example.
    """
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        raise ConfigError(
            f"{cron!r} is not a cron line of five fields: minute, hour, day of the month, month, day of the week. "
            "For example '30 4 * * *': every day at 4:30"
        )
    if time_zone not in zoneinfo.available_timezones():
        raise ConfigError(f"there is no time zone {time_zone!r}. For example: UTC, Europe/Berlin, America/New_York")


def following(cron: str, time_zone: str, moment: datetime) -> datetime:
    """First time of a cron line after a moment, in UTC.

    A time that a change to summer time skips is taken at its end; one that the change back repeats comes twice.
    """
    found: datetime = croniter(cron, moment.astimezone(zoneinfo.ZoneInfo(time_zone))).get_next(datetime)
    return found.astimezone(UTC)


def count(cron: str, time_zone: str, first: datetime, last: datetime) -> int:
    """How many times of a cron line there are from its time `first` to `last`; it stops at a thousand."""
    n = 0
    while first <= last and n < _MOST_COUNTED:
        n, first = n + 1, following(cron, time_zone, first)
    return n

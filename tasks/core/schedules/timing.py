"""When a schedule's ticks are: a cron expression in a time zone, or every so many seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tasks.core.errors import InputRejected

LONGEST_CRON = 100
MOST_EVERY_S = 366 * 86400

# How far to look back for the newest ticks, until there are enough: most schedules come often.
_LOOKS_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))
_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """The ticks of a schedule, all in UTC.

    Args:
        cron: five fields as Debian's cron reads them; None: ``every_s`` counts.
        time_zone: the IANA name of the zone that ``cron`` is meant in.
        anchor: where ``every_s`` counts from; never a tick itself.
    """

    cron: str | None
    time_zone: str
    every_s: int | None
    anchor: datetime

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick after ``moment``; None when there is none within fifty years."""
        return next(self._after(moment), None)

    def newest(self, after: datetime, until: datetime, *, most: int = 1) -> list[datetime]:
        """Return the newest ``most`` ticks that are later than ``after`` and not later than ``until``, oldest first."""
        found: list[datetime] = []
        for back in (*_LOOKS_BACK, until - after):
            begin = max(after, until - back)
            found = []
            for tick in self._after(begin):
                if tick > until:
                    break
                found.append(tick)
            if len(found) >= most or begin == after:
                break
        return found[-most:]

    def _after(self, moment: datetime) -> Iterator[datetime]:
        if self.every_s is not None:
            return self._regular(moment, self.every_s)
        return self._by_cron(moment)

    def _regular(self, moment: datetime, every_s: int) -> Iterator[datetime]:
        step = timedelta(seconds=every_s)
        number = max(0, (moment - self.anchor) // step) + 1
        while True:
            yield self.anchor + number * step
            number += 1

    def _by_cron(self, moment: datetime) -> Iterator[datetime]:
        # Where an hour comes twice, it takes a time of day for that of the first: it may so come before `moment`. Where
        # a day's times were skipped, several of them may come to one.
        newest = moment
        for local in _simulated(self.cron or "", self.time_zone, moment):
            tick = local.astimezone(UTC)
            if tick > newest:
                newest = tick
                yield tick


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """Return the time zone.

    Raises:
        InputRejected: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # such as the name of a folder
        raise InputRejected(
            f"No time zone {name[:64]!r}: use an IANA name, such as Africa/Maputo or UTC.", field="time_zone"
        ) from exc


def check_cron(cron: str, time_zone: str, *, at: datetime) -> None:
    """Refuse what is no cron expression, or never comes.

    Raises:
        InputRejected: saying what is wrong with it, or with the time zone.
    """
    if len(cron.split()) != _FIELDS:
        raise InputRejected(
            "A cron expression has five fields, minute, hour, day of month, month and day of week: `30 2 * * MON`.",
            field="cron",
        )
    if next(_simulated(cron, time_zone, at), None) is None:
        raise InputRejected("There is no such time within fifty years.", field="cron")


def _simulated(cron: str, time_zone: str, moment: datetime) -> CronSim:
    zone = zone_named(time_zone)
    try:
        return CronSim(cron, moment.astimezone(zone))
    except (CronSimError, ValueError) as exc:
        raise InputRejected(f"No cron expression: {exc}.", field="cron") from exc

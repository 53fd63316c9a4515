"""How a tenant stands against its quotas, and whether it may have more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from tasks.core.errors import OverQuota
from tasks.core.ledger.limits import Limit
from tasks.core.ledger.usage import Usage

LATER_S = 5
"""When to come back where nobody can know when there is room again."""
_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands against one quota. ``window_s``: it is filled up again every so often."""

    name: str
    most: int
    used: int
    retry_s: int
    window_s: int | None = None

    @property
    def left(self) -> int:
        """What is left of it."""
        return max(0, self.most - self.used)

    @property
    def policy(self) -> str:
        """The item of ``RateLimit-Policy``."""
        window = "" if self.window_s is None else f";w={self.window_s}"
        return f'"{self.name}";q={self.most}{window}'

    @property
    def state(self) -> str:
        """The item of ``RateLimit``."""
        until = f";t={self.retry_s}" if self.window_s is not None or not self.left else ""
        return f'"{self.name}";r={self.left}{until}'


def day_of(at: datetime) -> datetime:
    """Return when the day of ``at`` began: a day's quota begins anew then."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def standings(quotas: Limit, used: Usage, *, at: datetime) -> list[Standing]:
    """Tell how a tenant that uses ``used`` stands against each quota that it has."""
    until_midnight_s = ceil((day_of(at) + timedelta(days=1) - at).total_seconds())
    known = [
        ("queued", quotas.most_queued, used.queued, LATER_S, None),
        ("running", quotas.most_running, used.running, LATER_S, None),
        ("day", quotas.most_a_day, used.since, until_midnight_s, _DAY_S),
        ("artifact-bytes", quotas.most_artifact_bytes, used.artifact_bytes, 60 * LATER_S, None),
    ]
    return [
        Standing(name, most, count, retry_s, window_s)
        for name, most, count, retry_s, window_s in known
        if most is not None
    ]


def demand_room_for(count: int, found: Sequence[Standing]) -> None:
    """Go on only if a tenant that stands like this may have so many more jobs.

    Raises:
        OverQuota: it may not.
    """
    # What runs or is kept grows by itself; what is asked for adds to the other two.
    short = [one for one in found if one.left < (count if one.name in {"queued", "day"} else 1)]
    if short:
        worst = max(short, key=lambda one: one.retry_s)
        raise OverQuota(f"Over the quota {worst.name!r} of {worst.most}: {worst.used} are used. Nothing was accepted.")

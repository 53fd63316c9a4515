"""Quotas: how much of its own a tenant may have here, asked before a job is accepted.

A process counts again once a second, and counts what it accepts itself in between: with several of them a tenant may
get a little more than its quota in that second, and never more than that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from flask import Response, g

from tasks.core.clock import now
from tasks.core.errors import OverQuota
from tasks.core.ledger import Ledger
from tasks.core.ledger.limits import KnownLimits, Limit
from tasks.core.ledger.usage import Usage, usage

# How old a count may be, in seconds.
_FRESH_S = 1.0
# When to come back where nobody can know when there is room again.
_LATER_S = 5
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


@dataclass(slots=True)
class _Counted:
    usage: Usage
    day: datetime
    read_at: float


class Quotas:
    """What one process knows of its tenants' quotas."""

    def __init__(self, ledger: Ledger, limits: KnownLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._counted: dict[str, _Counted] = {}

    def standings(self, tenant_id: str) -> list[Standing]:
        """Tell how the tenant stands against each quota that it has.

        Raises:
            LedgerUnavailable: it could not be counted.
        """
        quotas = self._limits.quotas(tenant_id)
        if quotas is None:
            self._counted.pop(tenant_id, None)
            return []
        return _standings(quotas, self._count(tenant_id).usage, at=now())

    def add(self, tenant_id: str, count: int) -> None:
        """Note that the tenant had so many jobs accepted here."""
        counted = self._counted.get(tenant_id)
        if counted is not None:
            used = counted.usage
            counted.usage = replace(used, queued=used.queued + count, since=used.since + count)

    def _count(self, tenant_id: str) -> _Counted:
        at, day = self._clock(), now().replace(hour=0, minute=0, second=0, microsecond=0)
        counted = self._counted.get(tenant_id)
        if counted is None or counted.day != day or at - counted.read_at >= _FRESH_S:
            counted = self._counted[tenant_id] = _Counted(usage(self._ledger, tenant_id, since=day), day, at)
        return counted


def _standings(quotas: Limit, used: Usage, *, at: datetime) -> list[Standing]:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    until_midnight_s = ceil((midnight - at).total_seconds())
    known = [
        ("queued", quotas.most_queued, used.queued, _LATER_S, None),
        ("running", quotas.most_running, used.running, _LATER_S, None),
        ("day", quotas.most_a_day, used.since, until_midnight_s, _DAY_S),
        ("artifact-bytes", quotas.most_artifact_bytes, used.artifact_bytes, 60 * _LATER_S, None),
    ]
    return [
        Standing(name, most, count, retry_s, window_s)
        for name, most, count, retry_s, window_s in known
        if most is not None
    ]


def demand_quota(quotas: Quotas, tenant_id: str, count: int) -> None:
    """Go on only if the tenant may have so many more jobs; either way the answer will tell how it stands.

    Raises:
        OverQuota: it may not.
    """
    standings = quotas.standings(tenant_id)
    if not standings:
        return
    g.quotas = standings
    # What runs or is kept grows by itself; what is asked for adds to the other two.
    short = [one for one in standings if one.left < (count if one.name in {"queued", "day"} else 1)]
    if short:
        worst = max(short, key=lambda one: one.retry_s)
        raise OverQuota(f"Over the quota {worst.name!r} of {worst.most}: {worst.used} are used. Nothing was accepted.")


def tell_quotas(response: Response) -> None:
    """Say in the answer's headers how the tenant stands (draft-ietf-httpapi-ratelimit-headers-10)."""
    standings: list[Standing] = g.get("quotas", [])
    if not standings:
        return
    response.headers["RateLimit-Policy"] = ", ".join(one.policy for one in standings)
    response.headers["RateLimit"] = ", ".join(one.state for one in standings)
    if response.status_code == 429:
        response.headers["Retry-After"] = str(max([_LATER_S, *(one.retry_s for one in standings if not one.left)]))

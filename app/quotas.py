"""Quotas: how much of its own a tenant may have here, asked before a job is accepted.

A process counts again once a second, and counts what it accepts itself in between: with several of them a tenant may
get a little more than its quota in that second, and never more than that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Response, g

from tasks.core.clock import now
from tasks.core.ledger import Ledger
from tasks.core.ledger.limits import KnownLimits
from tasks.core.ledger.usage import Usage, usage
from tasks.core.quotas import LATER_S, Standing, day_of, demand_room_for, standings

# How old a count may be, in seconds.
_FRESH_S = 1.0


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
        return standings(quotas, self._count(tenant_id).usage, at=now())

    def add(self, tenant_id: str, count: int) -> None:
        """Note that the tenant had so many jobs accepted here."""
        counted = self._counted.get(tenant_id)
        if counted is not None:
            used = counted.usage
            counted.usage = replace(used, queued=used.queued + count, since=used.since + count)

    def _count(self, tenant_id: str) -> _Counted:
        at, day = self._clock(), day_of(now())
        counted = self._counted.get(tenant_id)
        if counted is None or counted.day != day or at - counted.read_at >= _FRESH_S:
            counted = self._counted[tenant_id] = _Counted(usage(self._ledger, tenant_id, since=day), day, at)
        return counted


def demand_quota(quotas: Quotas, tenant_id: str, count: int) -> None:
    """Go on only if the tenant may have so many more jobs; either way the answer will tell how it stands.

    Raises:
        OverQuota: it may not.
    """
    found = quotas.standings(tenant_id)
    if not found:
        return
    g.quotas = found
    demand_room_for(count, found)


def tell_quotas(response: Response) -> None:
    """Say in the answer's headers how the tenant stands (draft-ietf-httpapi-ratelimit-headers-10)."""
    found: list[Standing] = g.get("quotas", [])
    if not found:
        return
    response.headers["RateLimit-Policy"] = ", ".join(one.policy for one in found)
    response.headers["RateLimit"] = ", ".join(one.state for one in found)
    if response.status_code == 429:
        response.headers["Retry-After"] = str(max([LATER_S, *(one.retry_s for one in found if not one.left)]))

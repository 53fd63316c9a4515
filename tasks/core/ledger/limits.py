"""What tenants and kinds may use: rows that an operator sets, and that few are concerned by.

A limit on how many jobs are under way, or on how many begin in a second, has its jobs parked at accept: see
``parking``. Quotas refuse at accept. Weights divide a queue between the tenants that wait in it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.errors import NotFound
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.flow_tables import limits
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState

ALL = "*"
"""In place of a tenant or a kind: all of them together."""

# How old what a process knows of the limits may be.
_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of ``limits``, but for its tokens; None: no limit of that sort."""

    tenant_id: str
    kind: str
    most_at_once: int | None = None
    rate_per_s: float | None = None
    burst: int | None = None
    weight: int | None = None
    most_queued: int | None = None
    most_running: int | None = None
    most_a_day: int | None = None
    most_artifact_bytes: int | None = None

    @property
    def parks(self) -> bool:
        """Whether it keeps jobs back that were accepted."""
        return self.most_at_once is not None or self.rate_per_s is not None

    @property
    def has_quota(self) -> bool:
        """Whether it refuses jobs."""
        quotas = (self.most_queued, self.most_running, self.most_a_day, self.most_artifact_bytes)
        return any(quota is not None for quota in quotas)

    def concerns(self, tenant_id: str, kind: str) -> bool:
        """Tell whether it holds for a tenant's jobs of a kind."""
        return self.tenant_id in {ALL, tenant_id} and self.kind in {ALL, kind}


_ROWS = Prepared(
    sa.select(*(limits.c[field.name] for field in fields(Limit))).order_by(limits.c.tenant_id, limits.c.kind)
)


def all_limits(ledger: Ledger) -> list[Limit]:
    """List every limit."""
    with ledger.read_prepared() as driver:
        return [Limit(*row) for row in _ROWS.all(driver, {})]


def set_limit(ledger: Ledger, limit: Limit) -> None:
    """Set a limit in place of the one that this tenant and kind had; what waits already is kept back by it as well.

    What other processes accept within the next second may still go free of it, but counts nowhere either.
    """
    with ledger.write() as connection:
        _delete(connection, limit.tenant_id, limit.kind)
        connection.execute(limits.insert().values(asdict(limit)))
        if not limit.parks:
            return
        concerned: list[sa.ColumnElement[bool]] = [jobs.c.finished_at.is_(None)]
        if limit.tenant_id != ALL:
            concerned.append(jobs.c.tenant_id == limit.tenant_id)
        if limit.kind != ALL:
            concerned.append(jobs.c.kind == limit.kind)
        connection.execute(jobs.update().where(*concerned).values(limited=True))
        waits = (jobs.c.state == JobState.QUEUED) & jobs.c.published_at.is_(None)
        connection.execute(jobs.update().where(*concerned, waits).values(parked=True))


def remove_limit(ledger: Ledger, tenant_id: str, kind: str) -> None:
    """Remove a limit; what it kept back goes on.

    Raises:
        NotFound: there is none for this tenant and kind.
    """
    with ledger.write() as connection:
        if not _delete(connection, tenant_id, kind):
            raise NotFound(f"No limit for tenant {tenant_id} and kind {kind}.")


def _delete(connection: Connection, tenant_id: str, kind: str) -> int:
    mine = (limits.c.tenant_id == tenant_id) & (limits.c.kind == kind)
    return connection.execute(limits.delete().where(mine)).rowcount


class KnownLimits:
    """The limits as a process knows them: read again once a second, so that no job has to ask for them."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._read_at: float | None = None
        self._parking: list[Limit] = []
        self._of_tenants: Mapping[str, Limit] = {}

    def parks(self, tenant_id: str, kind: str) -> bool:
        """Tell whether a limit may keep this tenant's jobs of this kind back.

        Raises:
            LedgerUnavailable: they could not be read.
        """
        self._refresh()
        return any(limit.concerns(tenant_id, kind) for limit in self._parking)

    def quotas(self, tenant_id: str) -> Limit | None:
        """Return the tenant's limits, if it has quotas.

        Raises:
            LedgerUnavailable: they could not be read.
        """
        self._refresh()
        own = self._of_tenants.get(tenant_id)
        return own if own is not None and own.has_quota else None

    def weight(self, tenant_id: str) -> float:
        """Return the tenant's weight, 1 where none was set.

        Raises:
            LedgerUnavailable: they could not be read.
        """
        self._refresh()
        own = self._of_tenants.get(tenant_id)
        return 1.0 if own is None or own.weight is None else float(own.weight)

    def _refresh(self) -> None:
        at = self._clock()
        if self._read_at is not None and at - self._read_at < _FRESH_S:
            return
        found = all_limits(self._ledger)
        self._parking = [limit for limit in found if limit.parks]
        self._of_tenants = {limit.tenant_id: limit for limit in found if limit.kind == ALL}
        self._read_at = at

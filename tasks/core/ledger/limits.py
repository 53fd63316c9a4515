"""What tenants and kinds may use: rows that an operator sets, and that few are concerned by.

A limit on how many jobs are under way, or on how many begin in a second, has its jobs parked at accept: see
``parking``. Quotas refuse at accept. Weights divide a queue between the tenants that wait in it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.errors import InputRejected, NotFound
from tasks.core.ledger import control_tables
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.flow_tables import limits
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import jobs
from tasks.core.records import JobState

ALL = control_tables.ALL
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

    def set_ones(self) -> dict[str, float]:
        """Return what it limits, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)[2:]}
        return {name: value for name, value in named.items() if value is not None}

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


# Ways to limit one tenant with all its kinds, and nobody else.
_OF_A_TENANT = ("weight", "most_queued", "most_running", "most_a_day", "most_artifact_bytes")


def check(limit: Limit) -> None:
    """Refuse a limit that makes no sense.

    Raises:
        InputRejected: it limits nothing, or has a weight or quota for more or less than one tenant, or a burst alone.
    """
    if not limit.set_ones():
        raise InputRejected("Say what is limited; a limit that limits nothing is removed.")
    is_of_one = limit.tenant_id != ALL and limit.kind == ALL
    if not is_of_one and any(getattr(limit, name) is not None for name in _OF_A_TENANT):
        raise InputRejected("Weights and quotas are of one tenant and all kinds: name a tenant, and no kind.")
    if limit.burst is not None and limit.rate_per_s is None:
        raise InputRejected("A burst goes with a rate.", field="burst")


def set_limit(ledger: Ledger, limit: Limit, *, by: Actor = AT_THE_MACHINE) -> None:
    """Set a limit in place of the one that this tenant and kind had; what waits already is kept back by it as well.

    What other processes accept within the next second may still go free of it, but counts nowhere either.
    """
    with ledger.write() as connection:
        before = _delete(connection, limit.tenant_id, limit.kind)
        connection.execute(limits.insert().values(asdict(limit)))
        _write_down(connection, by, "limit.set", limit, before=before, after=limit)
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


def remove_limit(ledger: Ledger, tenant_id: str, kind: str, *, by: Actor = AT_THE_MACHINE) -> None:
    """Remove a limit; what it kept back goes on.

    Raises:
        NotFound: there is none for this tenant and kind.
    """
    with ledger.write() as connection:
        before = _delete(connection, tenant_id, kind)
        if before is None:
            raise NotFound(f"No limit for tenant {tenant_id} and kind {kind}.")
        _write_down(connection, by, "limit.removed", before, before=before, after=None)


def _delete(connection: Connection, tenant_id: str, kind: str) -> Limit | None:
    mine = (limits.c.tenant_id == tenant_id) & (limits.c.kind == kind)
    columns = [limits.c[field.name] for field in fields(Limit)]
    row = connection.execute(limits.delete().where(mine).returning(*columns)).one_or_none()
    return None if row is None else Limit(*row)


def _write_down(
    connection: Connection, by: Actor, what: str, limit: Limit, *, before: Limit | None, after: Limit | None
) -> None:
    tenant_id = None if limit.tenant_id == ALL else limit.tenant_id
    changed = {"before": before and before.set_ones(), "after": after and after.set_ones()}
    by.did(connection, what, f"tenant {limit.tenant_id}, kind {limit.kind}", tenant_id=tenant_id, **changed)


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

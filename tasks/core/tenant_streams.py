"""What wakes a tenant's readers: a short Redis stream per tenant that says which domain events there are.

An entry's id is ``<seq>-0`` and its fields name the type and the job; the event itself is read from the ledger. So
Redis stays small, a reader's place outlives a wiped Redis, and nothing that Redis loses is missed.
"""

from collections.abc import Mapping
from typing import Any

import redis

from tasks.core.domain_events import DomainEvent, EntryRefused
from tasks.core.events import EventsUnavailable
from tasks.core.redis_events import connect

# More would help nobody: a reader that was away reads the ledger.
_MAXLEN = 100
# Nobody reads on a stream that nothing was written to for so long without looking into the ledger, too.
_TTL_S = 24 * 3600
_LIMIT_S = 0.5
# Redis's own troubles, which say nothing about an entry, and for which redis-py has no class.
_OWN_TROUBLES = ("MISCONF", "BUSY", "NOREPLICAS")


def stream_key(tenant_id: str) -> str:
    """Return the Redis key of the tenant's stream."""
    return f"sy:{{tenant:{tenant_id}}}:domain"


class TenantStreams:
    """Tells the tenants' readers, wherever they are, of new events."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, max_connections=1)

    def tell(self, event: DomainEvent) -> None:
        """Wake the readers of the event's tenant; again is harmless.

        Raises:
            EventsUnavailable: Redis is away, or takes no writes at present.
            EntryRefused: it does not take this entry.
        """
        key = stream_key(event.tenant_id)
        fields: dict[str, str] = {"type": event.type, "job_id": event.job_id or ""}
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(key, fields, id=f"{event.seq}-0", maxlen=_MAXLEN, approximate=True)  # type: ignore[arg-type]  # a dict's types do not vary
                pipe.expire(key, _TTL_S)
                answer = pipe.execute(raise_on_error=False)[0]
        except redis.RedisError as exc:
            raise EventsUnavailable from exc
        if isinstance(answer, redis.RedisError):
            _judge(answer)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


def _judge(error: redis.RedisError) -> None:
    text = str(error)
    if "equal or smaller" in text:
        return  # told before, or a later event was: its readers look into the ledger from where they stand
    # Its subclasses are states of Redis, too: out of memory, a read-only replica, no permission …
    if type(error) is not redis.ResponseError or text.startswith(_OWN_TROUBLES):
        raise EventsUnavailable from error
    raise EntryRefused(text) from error


class TenantReader:
    """Waits for many tenants' events on one connection. For one thread."""

    def __init__(self, url: str, *, block_s: float = 0.5) -> None:
        self._redis = connect(url, timeout_s=block_s + _LIMIT_S, max_connections=1)
        self._block_ms = int(block_s * 1000)

    def wait(self, heard: Mapping[str, int]) -> dict[str, int]:
        """Wait until a tenant has an event after the number given; return the newest of each that has.

        Raises:
            EventsUnavailable: Redis is away.
        """
        tenants = {stream_key(tenant_id): tenant_id for tenant_id in heard}
        cursors = {stream_key(tenant_id): f"{seq}-0" for tenant_id, seq in heard.items()}
        try:
            answer: Any = self._redis.xread(cursors, count=_MAXLEN, block=self._block_ms)  # type: ignore[arg-type]  # a dict's types do not vary
        except redis.RedisError as exc:
            raise EventsUnavailable from exc
        return {tenants[key]: int(entries[-1][0].partition("-")[0]) for key, entries in answer or ()}

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

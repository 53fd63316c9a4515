"""Domain events on their way to Redis: numbered in any case, told once, dead only when Redis itself refuses them."""

from collections.abc import Iterator

import pytest

from tasks.core import outbox_relay
from tasks.core.domain_events import Emission
from tasks.core.kernel import Kernel
from tasks.core.ledger import audit, outbox, transitions
from tasks.core.ledger.schema import outbox as rows
from tasks.core.ledger.tenants import Tenant
from tasks.core.outbox_relay import OutboxRelay
from tasks.core.records import Cause, JobState
from tasks.core.tenant_streams import TenantReader, TenantStreams, stream_key
from tests.samples import running
from tests.servers import RedisServer


@pytest.fixture
def streams(redis_server: RedisServer) -> Iterator[TenantStreams]:
    streams = TenantStreams(redis_server.url)
    yield streams
    streams.close()


def emit(kernel: Kernel, tenant: Tenant, times: int = 1) -> None:
    for _ in range(times):
        job = running(kernel.ledger, tenant)
        emitted = [Emission("site.crawled", {"pages": 3})]
        transitions.finish(
            kernel.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, emitted=emitted
        )


def due_now(kernel: Kernel) -> None:
    with kernel.ledger.write() as connection:
        connection.execute(rows.update().values(next_try_at=None))


def test_readers_are_woken_with_the_event_s_number(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """An entry's id is the number; once told, an event is not told again."""
    emit(kernel, tenant, 2)
    relay = OutboxRelay(kernel.ledger, streams)
    assert (2, 0) == (relay.tick(), relay.tick())
    entries = redis_server.client.xrange(stream_key(tenant.id))
    assert ["1-0", "2-0"] == [id_ for id_, _ in entries]
    assert [] == outbox.pending(kernel.ledger)
    assert 0 < redis_server.client.ttl(stream_key(tenant.id)) <= 24 * 3600


def test_reader_waits_for_what_comes_after_its_place(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """Also after Redis was wiped: places are numbers of the ledger."""
    reader = TenantReader(redis_server.url, block_s=0.1)
    try:
        relay = OutboxRelay(kernel.ledger, streams)
        emit(kernel, tenant, 3)
        relay.tick()
        assert {tenant.id: 3} == reader.wait({tenant.id: 1, "another": 0})
        assert {} == reader.wait({tenant.id: 3})
        redis_server.client.flushall()
        emit(kernel, tenant)
        relay.tick()
        assert {tenant.id: 4} == reader.wait({tenant.id: 3})
    finally:
        reader.close()


def test_redis_that_is_away_counts_nothing(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """Events are numbered, hence readable, and wait for Redis without a mark."""
    emit(kernel, tenant)
    redis_server.stop()
    relay = OutboxRelay(kernel.ledger, streams)
    assert 1 == relay.tick()
    assert [(1, 0)] == [(due.event.seq, due.tries) for due in outbox.pending(kernel.ledger)]
    redis_server.start()
    OutboxRelay(kernel.ledger, streams).tick()
    assert [] == outbox.pending(kernel.ledger)


def test_redis_without_room_counts_nothing(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """Out of memory is a state of Redis, not of the event."""
    emit(kernel, tenant)
    redis_server.client.config_set("maxmemory", 1)
    try:
        OutboxRelay(kernel.ledger, streams).tick()
        assert [0] == [due.tries for due in outbox.pending(kernel.ledger)]
    finally:
        redis_server.client.config_set("maxmemory", 0)


def test_refused_entry_is_tried_again_later_then_dead_then_revived(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """Eight refusals with growing pauses; its tenant's readers have it from the ledger all the while."""
    emit(kernel, tenant)
    redis_server.client.set(stream_key(tenant.id), "somebody else's")
    relay = OutboxRelay(kernel.ledger, streams)
    relay.tick()
    assert [] == outbox.pending(kernel.ledger)  # not due yet
    for tries in range(1, outbox_relay._MOST_TRIES):
        due_now(kernel)
        assert [tries] == [due.tries for due in outbox.pending(kernel.ledger)]
        relay.tick()
    (dead,) = outbox.dead_letters(kernel.ledger)
    assert (8, True) == (dead.tries, "WRONGTYPE" in dead.error)
    assert (0, 1) == (outbox.standing(kernel.ledger).pending, outbox.standing(kernel.ledger).dead)
    assert [1] == [event.seq for event in outbox.events_after(kernel.ledger, tenant.id, 0)]
    redis_server.client.delete(stream_key(tenant.id))
    assert (0, 1) == (outbox.revive(kernel.ledger, [99]), outbox.revive(kernel.ledger))
    told = audit.entries(kernel.ledger, audit.Wanted(what="events.revived"), limit=5)
    assert [("command line", {"numbers": "all", "changed": 1})] == [(one.who, one.details) for one in told]
    relay.tick()
    assert ["1-0"] == [id_ for id_, _ in redis_server.client.xrange(stream_key(tenant.id))]


def test_refused_entry_does_not_hold_up_others(
    kernel: Kernel, tenant: Tenant, streams: TenantStreams, redis_server: RedisServer
) -> None:
    """Another tenant's events go on; an event whose turn is over counts as told."""
    emit(kernel, tenant, 2)
    relay = OutboxRelay(kernel.ledger, streams)
    outbox.number(kernel.ledger)
    redis_server.client.xadd(stream_key(tenant.id), {"type": "x"}, id="2-0")
    relay.tick()
    assert [] == outbox.pending(kernel.ledger)
    assert ["2-0"] == [id_ for id_, _ in redis_server.client.xrange(stream_key(tenant.id))]


def test_without_redis_events_are_numbered_and_done(kernel: Kernel, tenant: Tenant) -> None:
    """Where readers poll the ledger, there is nobody to wake."""
    emit(kernel, tenant)
    assert 1 == OutboxRelay(kernel.ledger, None).tick()
    assert [] == outbox.pending(kernel.ledger)

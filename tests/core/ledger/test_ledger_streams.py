"""Live streams in the ledger: caps, ends, expiry, reports, and writers that meet. Their common rules with Redis are
in ``test_core_events``."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.event_reader import OLDEST, Question
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import Ledger, aging, state_events, streams, transitions
from tasks.core.ledger.schema import stream_entries, stream_heads
from tasks.core.ledger.tenants import Tenant
from tasks.core.ledger_events import LedgerEvents
from tasks.core.records import Cause, JobState
from tests.samples import ledger_away, running


@pytest.fixture
def events(ledger: Ledger) -> LedgerEvents:
    return LedgerEvents(ledger, maxlen=10, ttl_s=60)


def tell(events: LedgerEvents, n: int, *, fence: int = 1) -> str | None:
    return events.append("job", "progress", {"n": n}, fence=fence, attempt=1)


def expire(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(stream_heads.update().values(expires_at=now() - timedelta(seconds=1)))


def rows(ledger: Ledger) -> tuple[int, int]:
    with ledger.read() as connection:
        counts = [sa.select(sa.func.count()).select_from(table) for table in (stream_heads, stream_entries)]
        heads, entries = (connection.execute(count).scalar_one() for count in counts)
        return heads, entries


def test_stream_is_capped_and_counts_on(events: LedgerEvents, ledger: Ledger) -> None:
    """Older entries go, the sequence does not begin again."""
    ids = [tell(events, n) for n in range(25)]
    assert [event.id for event in events.read("job")] == ids[15:]
    assert events.position("job") == (ids[15], ids[24])
    assert rows(ledger) == (1, 10)


def test_batch_is_one_transaction_in_order(events: LedgerEvents) -> None:
    """A chatty engine costs one commit a batch, and its stale lines are left out."""
    tell(events, 0, fence=2)
    events.append_all("job", [("log", {"line": "late"})], fence=1, attempt=1)
    events.append_all("job", [("log", {"line": str(n)}) for n in range(3)], fence=2, attempt=1)
    assert [event.data for event in events.read("job")] == [{"n": 0}, *({"line": str(n)} for n in range(3))]


def test_newest_report_is_told_with_its_fence(events: LedgerEvents) -> None:
    """What the record shows as live progress."""
    tell(events, 1)
    tell(events, 2, fence=3)
    assert {"job": (3, {"n": 2})} == events.progress(["job", "other"])
    assert {} == events.progress([])


def test_stream_lives_on_for_a_while_after_the_end(events: LedgerEvents, ledger: Ledger, tenant: Tenant) -> None:
    """Days while the job may still go on, then ``ttl_s``."""
    job = running(ledger, tenant)
    events.append_states(state_events.events_of(ledger, job.id))
    with ledger.read() as connection:
        unended = streams.heads(connection, [job.id])[job.id].expires_at
    done = transitions.finish(ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED)
    assert done is not None
    events.append_states([state_events.state_event_of(done)])
    with ledger.read() as connection:
        ended = streams.heads(connection, [job.id])[job.id].expires_at
    assert unended > now() + timedelta(days=6)
    assert now() < ended <= now() + timedelta(seconds=60)


def test_expired_stream_reads_as_none_and_is_born_anew(events: LedgerEvents, ledger: Ledger) -> None:
    """With another epoch, so that an old cursor is recognised as foreign."""
    old = tell(events, 1)
    expire(ledger)
    assert (events.read("job"), events.position("job"), events.progress(["job"])) == ([], (None, None), {})
    new = tell(events, 2)
    assert old is not None
    assert new is not None
    assert int(old.partition("-")[0]) < int(new.partition("-")[0])
    assert [event.data for event in events.read("job", after=old)] == [{"n": 2}]


def test_sweep_removes_what_has_expired(events: LedgerEvents, ledger: Ledger) -> None:
    """And nothing else."""
    tell(events, 1)
    expire(ledger)
    events.append("other", "progress", {}, fence=1, attempt=1)
    expired = aging.expired_streams(at=now())
    assert (expired.delete(ledger, limit=9), expired.delete(ledger, limit=9), rows(ledger)) == (1, 0, (1, 1))


def test_erased_stream_leaves_no_row(events: LedgerEvents, ledger: Ledger) -> None:
    """Entries go with their head."""
    tell(events, 1)
    events.erase("job")
    assert rows(ledger) == (0, 0)


def test_refused_event_leaves_no_row(events: LedgerEvents, ledger: Ledger, tenant: Tenant) -> None:
    """A stream is born with its first entry, not with the attempt at one."""
    job = running(ledger, tenant)
    assert events.append_states([state_events.state_event_of(job)]) == 0
    assert rows(ledger) == (0, 0)


def test_writers_that_meet_number_every_entry_once(events: LedgerEvents) -> None:
    """Also when they meet at the stream's birth."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(
            pool.map(lambda n: LedgerEvents.append(events, "job", "log", {"n": n}, fence=1, attempt=1), range(10))
        )
    assert sorted(int(str(entry_id).rpartition("-")[2]) for entry_id in ids) == list(range(1, 11))
    assert len({str(entry_id).partition("-")[0] for entry_id in ids}) == 1


def test_reader_follows_only_what_is_newer(events: LedgerEvents) -> None:
    """Several jobs with one look; a cursor of an older epoch gets all there is."""
    first = tell(events, 1)
    second = tell(events, 2)
    reader = events.reader()
    assert first is not None
    found = reader.follow({"job": first, "none": "0-0"})
    assert {"job": [second]} == {job_id: [event.id for event in some] for job_id, some in found.items()}
    assert [2] == [len(some) for some in reader.follow({"job": "0-0"}).values()]


def test_reader_answers_questions(events: LedgerEvents) -> None:
    """The ends, the newest state, and what was asked for."""
    ids = [tell(events, n) for n in range(3)]
    known, unknown, later = events.reader().positions(
        [Question("job", after=OLDEST), Question("none"), Question("job", after=ids[1])]
    )
    assert (known.oldest_id, known.newest and known.newest.id, known.n) == (ids[0], ids[2], 0)
    assert [ids, ids[2:]] == [[event.id for event in position.since] for position in (known, later)]
    assert (unknown.oldest_id, unknown.newest, unknown.since) == (None, None, [])


def test_waking_ends_a_wait(events: LedgerEvents) -> None:
    """Whoever comes to watch is looked after at once."""
    reader = events.reader()
    reader.wake()
    assert {} == reader.follow({"job": "0-0"})


def test_without_the_ledger_events_are_dropped(events: LedgerEvents, ledger: Ledger) -> None:
    """As they are without Redis."""
    reader = events.reader()
    with ledger_away(ledger):
        for attempt in (
            lambda: tell(events, 1),
            lambda: events.read("job"),
            lambda: events.position("job"),
            lambda: events.erase("job"),
            events.ping,
            lambda: reader.follow({"job": "0-0"}),
            lambda: reader.positions([Question("job")]),
        ):
            with pytest.raises(EventsUnavailable):
                attempt()
        assert {} == events.progress(["job"])
    events.ping()

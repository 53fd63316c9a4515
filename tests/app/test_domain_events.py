"""`GET /api/events`: a tenant's domain events as a stream and in pages, whatever Redis does."""

import threading
import time
from datetime import timedelta

import pytest

from app.services import Services
from app.streams.tenant_hub import TenantHub
from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.ledger import outbox
from tasks.core.ledger.aging import old_events
from tasks.core.ledger.outbox import Wanted
from tasks.core.ledger.schema import outbox as rows
from tasks.core.outbox_relay import OutboxRelay
from tests.app.conftest import Caller, claim, finish
from tests.app.desk import Desk
from tests.app.streams.house import EventSource, eventually
from tests.samples import ledger_away
from tests.servers import RedisServer


def seqs(source: EventSource, count: int) -> list[int]:
    """Read that many events."""
    found = [source.next() for _ in range(count)]
    return [event["data"]["seq"] for event in found if event is not None]


def test_stream_begins_now_and_shows_what_comes(desk: Desk) -> None:
    """An event is as design section 5 has it, and its id is its number."""
    desk.emit("site.crawled")
    with desk.follow() as source:
        source.until_comment()
        job_id = desk.emit("site.published")
        event = source.next()
    assert ("2", "site.published") == (event["id"], event["event"])
    assert {"id", "seq", "at", "type", "job_id", "data"} == set(event["data"])
    assert (job_id, {"of": "site.published"}) == (event["data"]["job_id"], event["data"]["data"])


def test_stream_goes_on_after_the_last_event_id(desk: Desk) -> None:
    """From the ledger what is past, then what comes: no gap, no repeat."""
    for _ in range(5):
        desk.emit("site.crawled")
    with desk.follow(last="2") as source:
        assert [3, 4, 5] == seqs(source, 3)
        desk.emit("site.crawled")
        assert [6] == seqs(source, 1)
    with desk.follow("?after=0") as source:
        assert [1, 2, 3, 4, 5, 6] == seqs(source, 6)


def test_cursor_outlives_a_wiped_redis(desk: Desk, redis_process: RedisServer) -> None:
    """A stream that is open and one that comes back both go on as if nothing had happened."""
    desk.emit("site.crawled")
    with desk.follow("?after=0") as source:
        assert [1] == seqs(source, 1)
        redis_process.client.flushall()
        desk.emit("site.crawled")
        assert [2] == seqs(source, 1)
    redis_process.client.flushall()
    desk.emit("site.crawled")
    with desk.follow(last="1") as source:
        assert [2, 3] == seqs(source, 2)


def test_stream_goes_on_without_redis(desk: Desk, redis_process: RedisServer) -> None:
    """The ledger is looked into every second."""
    with desk.follow("?after=0") as source:
        source.until_comment()
        redis_process.stop()
        desk.emit("site.crawled")
        assert [1] == seqs(source, 1)
        redis_process.start()
        desk.emit("site.crawled")
        assert [2] == seqs(source, 1)


def test_event_that_redis_was_never_told_is_seen_all_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is looked into now and then, also while Redis answers."""
    monkeypatch.setattr("app.streams.tenant_hub._SAFETY_S", 0.5)
    with desk.follow("?after=0") as source:
        source.until_comment()
        job = claim(desk.services.kernel, desk.alice.submit()["id"])
        finish(desk.services.kernel, job, emitted=[Emission("site.crawled", {})])
        OutboxRelay(desk.services.kernel.ledger, None).tick()
        assert eventually(lambda: next_comment(source) and seen(source) == "1", within_s=15)


def next_comment(source: EventSource) -> bool:
    source.until_comment()
    return True


def seen(source: EventSource) -> str | None:
    for line in source._lines:
        name, _, value = line.partition(": ")
        if name == "id":
            return str(value)
    return None


def test_filters_by_type_and_job(desk: Desk) -> None:
    """Types repeat, and a noun's star stands for its verbs; the cursor moves over what is left out."""
    first = desk.emit("site.crawled", "page.found")
    desk.emit("site.published", "job_sheet.made")
    with desk.follow("?after=0&type=site.*&type=page.lost") as source:
        assert [1, 3] == seqs(source, 2)
        desk.emit("page.found", "page.lost")
        assert [6] == seqs(source, 1)
    with desk.follow(f"?after=0&job_id={first}") as source:
        assert [1, 2] == seqs(source, 2)
    page = desk.page("?type=page.*&after=2")
    assert ([5, 6], "6") == ([event["seq"] for event in page["events"]], page["next_cursor"])


def test_heartbeats_carry_the_cursor_past_what_is_left_out(desk: Desk) -> None:
    """A client that comes back does not have it looked through again."""
    with desk.follow("?type=nobody.emits") as source:
        desk.emit("site.crawled", "site.crawled")
        assert eventually(lambda: next_comment(source) and seen(source) == "2")


def test_tenants_see_their_own_only(desk: Desk) -> None:
    """In the stream, in its past, and in pages, by job id, too."""
    with desk.follow("?after=0") as alices, desk.follow("?after=0", by=desk.bob) as bobs:
        job_id = desk.emit("site.crawled")
        desk.emit("site.crawled", by=desk.bob)
        desk.emit("site.published")
        assert ([1, 3], [2]) == (seqs(alices, 2), seqs(bobs, 1))
    with desk.follow("?after=0", by=desk.bob) as source:
        assert [2] == seqs(source, 1)
    assert [2] == [event["seq"] for event in desk.page(by=desk.bob)["events"]]
    assert [] == desk.page(f"?job_id={job_id}", by=desk.bob)["events"]


def test_pages_follow_each_other(desk: Desk) -> None:
    """Oldest first; the last page's cursor asks for what is still to come."""
    desk.emit(*["site.crawled"] * 5)
    first = desk.page("?limit=3")
    second = desk.page(f"?limit=3&after={first['next_cursor']}")
    third = desk.page(f"?limit=3&after={second['next_cursor']}")
    assert ([1, 2, 3], [4, 5], []) == tuple([e["seq"] for e in page["events"]] for page in (first, second, third))
    assert ("3", "5", "5") == (first["next_cursor"], second["next_cursor"], third["next_cursor"])
    assert first["events"][0]["id"] == "1"


def test_page_waits_for_an_event(desk: Desk) -> None:
    """And returns at once with it, with nothing when the time is over, and early when the server drains."""
    cursor = desk.page("?after=latest")["next_cursor"]
    threading.Timer(0.5, desk.emit, ("page.found", "site.crawled")).start()
    page = desk.page(f"?after={cursor}&wait=30&type=site.*")
    assert ([2], "2") == ([event["seq"] for event in page["events"]], page["next_cursor"])
    empty = desk.page("?after=2&wait=0.2")
    assert ([], "2") == (empty["events"], empty["next_cursor"])
    threading.Timer(0.3, desk.services.drain).start()
    began = time.monotonic()
    assert [] == desk.page("?after=2&wait=60")["events"]
    assert time.monotonic() - began < 30


def test_forgotten_events_are_announced(desk: Desk) -> None:
    """A cursor from before what is kept gets a `gap` and goes on; so does one from another ledger."""
    desk.emit(*["site.crawled"] * 4)
    ledger = desk.services.kernel.ledger
    with ledger.write() as connection:
        connection.execute(rows.update().where(rows.c.seq <= 2).values(at=now() - timedelta(days=60)))
    old_events(before=now() - timedelta(days=30)).delete(ledger, limit=9)
    with desk.follow(last="1") as source:
        gap = source.next()
        assert ("gap", "2", {"after": 1, "goes_on_after": 2}) == (gap["event"], gap["id"], gap["data"]["data"])
        assert [3, 4] == seqs(source, 2)
    with desk.follow(last="2") as source:
        assert [3, 4] == seqs(source, 2)
    with desk.follow(last="99") as source:
        gap = source.next()
        assert ("gap", "4") == (gap["event"], gap["id"])
    assert (True, False, False) == tuple(desk.page(query)["missed"] for query in ("?after=1", "?after=2", ""))
    began = time.monotonic()
    assert desk.page("?after=99&wait=30")["missed"]
    assert time.monotonic() - began < 20, "lost events are told at once, not after the wait"


def test_viewer_that_came_during_a_wait_is_shown_what_it_heard(desk: Desk) -> None:
    """The wait was begun for the viewers there were, and its news is also for one that came since."""
    kernel, alice = desk.services.kernel, desk.alice.tenant_id
    began, changed = threading.Event(), threading.Event()

    class Waiter:
        """Hears of the event in its first wait, during which the viewers change."""

        def __init__(self) -> None:
            self.heard: list[int] = []

        def wait(self, heard: dict[str, int]) -> dict[str, int]:
            self.heard.append(heard[alice])
            began.set()
            changed.wait(30)
            return {} if heard[alice] else {alice: 1}

        def close(self) -> None:
            """Hold nothing."""

    waiter = Waiter()
    hub = TenantHub(kernel.ledger, lambda: waiter)
    first = hub.view(alice, Wanted(types=[], job_id=None), after=0)
    assert began.wait(30)
    first.close()
    second = hub.view(alice, Wanted(types=[], job_id=None), after=0)
    desk.emit("site.crawled")
    changed.set()
    assert eventually(lambda: len(waiter.heard) >= 3)
    hub.close()
    assert [0, 0, 1] == waiter.heard[:3]
    assert [1] == [told.seq for told in second.take()]


def test_one_reader_serves_all_and_leaves_with_the_last(desk: Desk, redis_process: RedisServer) -> None:
    """Many streams of several tenants cost one connection to Redis, none costs none."""

    def blocked() -> int:
        return sum("b" in row["flags"] for row in redis_process.client.client_list())

    assert not desk.services.tenant_hub.is_reading
    with desk.follow() as one, desk.follow() as two, desk.follow(by=desk.bob) as three:
        for source in (one, two, three):
            source.until_comment()
        assert eventually(lambda: blocked() == 1)
        desk.emit("site.crawled")
        assert ([1], [1]) == (seqs(one, 1), seqs(two, 1))
    assert eventually(lambda: not desk.services.tenant_hub.is_reading and blocked() == 0)


def test_slow_viewer_is_filled_up_from_the_ledger(desk: Desk) -> None:
    """Who is further behind than the ring reads pages of the ledger, and misses nothing."""
    hub = desk.services.tenant_hub
    hub._ring_size = 10
    viewer = hub.view(desk.alice.tenant_id, outbox.Wanted(), after=0)
    try:
        for _ in range(5):
            desk.emit(*["site.crawled"] * 90)
        assert eventually(lambda: viewer._feed.position == 450)
        found: list[int] = []
        while told := viewer.take():
            found += [one.seq for one in told]
        assert list(range(1, 451)) == found
    finally:
        viewer.close()


def test_draining_ends_the_stream_with_a_pause(desk: Desk) -> None:
    """The client comes back elsewhere; one that comes now is sent on at once."""
    with desk.follow("?after=0") as source:
        source.until_comment()
        source.retry_ms = None
        desk.services.drain()
        assert source.next() is None
        assert source.retry_ms is not None
    with desk.follow("?after=0") as source:
        assert source.next() is None


def test_accept_header_and_format_choose(desk: Desk) -> None:
    """A stream unless JSON is asked for."""
    for accept in ("application/json", "application/json, text/plain;q=0.5"):
        answer = desk.alice.get("/api/events", headers={"Accept": accept})
        assert "application/json" == answer.mimetype
    desk.services.drain()  # so that a stream ends
    for accept in ("*/*", "text/event-stream", "text/html", ""):
        answer = desk.alice.get("/api/events", headers={"Accept": accept})
        assert (200, "text/event-stream") == (answer.status_code, answer.mimetype)
    assert "application/json" == desk.alice.get("/api/events?format=json").mimetype
    json_refused = {"Accept": "application/json"}
    assert "text/event-stream" == desk.alice.get("/api/events?format=sse", headers=json_refused).mimetype


@pytest.mark.parametrize(
    "query", ["type=site", "type=SITE.x", "after=x", "after=-1", "job_id=7", "limit=0", "format=x"]
)
def test_nonsense_is_refused(alice: Caller, query: str) -> None:
    """By field."""
    answer = alice.get(f"/api/events?{query}")
    assert (422, query.partition("=")[0]) == (answer.status_code, answer.json["errors"][0]["field"].partition(".")[0])


def test_without_a_key_or_a_ledger_there_is_a_problem(alice: Caller, services: Services) -> None:
    """401 and 503, before anything is streamed."""
    assert 401 == alice.client.get("/api/events").status_code
    with ledger_away(services.kernel.ledger):
        answer = alice.get("/api/events")
    assert (503, True) == (answer.status_code, "Retry-After" in answer.headers)


def test_outbox_is_in_the_metrics(desk: Desk) -> None:
    """What waits and what is dead."""
    job = claim(desk.services.kernel, desk.alice.submit()["id"])
    finish(desk.services.kernel, job, emitted=[Emission("site.crawled", {})])
    text = desk.alice.client.get("/metrics").text
    assert 'switchyard_domain_events{state="pending"} 1.0' in text
    assert 'switchyard_domain_events{state="dead"} 0.0' in text
    assert "switchyard_domain_events_oldest_seconds" in text

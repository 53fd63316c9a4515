"""The client's domain events, against the real front door: each event once, and waiting ends in time."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from client import AsyncSwitchyard, ConnectionFailed, EventNotSeen, Limits, Switchyard
from tests.app.desk import Desk
from tests.proxy import Proxy
from tests.servers import free_port

FAST = Limits(backoff_s=0.05, poll_gap_s=0.05, status_s=3.0, reconnects=40)


@pytest.fixture
def client(desk: Desk) -> Iterator[Switchyard]:
    with Switchyard(f"http://{desk.address}", desk.alice.key, limits=FAST) as client:
        yield client


def test_what_there_is_and_what_comes(desk: Desk, client: Switchyard) -> None:
    """Without following it ends; following goes on from a cursor."""
    job_id = desk.emit("site.crawled", "page.found")
    events = list(client.domain_events(follow=False))
    assert [("1", "site.crawled", job_id), ("2", "page.found", job_id)] == [(e.id, e.type, e.job_id) for e in events]
    assert ["1"] == [event.id for event in client.domain_events("site.*", follow=False)]
    following = client.domain_events(["site.*"], after=events[0].id)
    threading.Timer(0.3, desk.emit, ("site.published",)).start()
    assert {"of": "site.published"} == next(following).data


def test_following_through_cut_connections_sees_each_event_once(desk: Desk) -> None:
    """Resets at any moment: no gap and no repeat."""
    with (
        Proxy(int(desk.address.rpartition(":")[2])) as proxy,
        Switchyard(f"http://127.0.0.1:{proxy.port}", desk.alice.key, limits=FAST) as client,
    ):
        seen: list[int | None] = []
        reading = threading.Thread(
            target=lambda: seen.extend(e.seq for e in islice(client.domain_events(after="0"), 20))
        )
        reading.start()
        for _ in range(20):
            desk.emit("site.crawled")
            proxy.reset()
        reading.join(timeout=30)
    assert list(range(1, 21)) == seen


def test_waiting_for_an_event(desk: Desk, client: Switchyard) -> None:
    """The first of its type for which the predicate says yes, from a cursor on or of a job at any time."""
    cursor = client.event_cursor()
    first = desk.emit("site.crawled")
    second = desk.emit("site.crawled")
    assert first == client.wait_for_event("site.crawled", timeout_s=10, after=cursor).job_id
    assert second == client.wait_for_event("site.*", lambda e: e.job_id == second, 10, after=cursor).job_id
    assert second == client.wait_for_event("site.crawled", timeout_s=10, job_id=second).job_id
    with pytest.raises(EventNotSeen) as over:
        client.wait_for_event("site.crawled", timeout_s=0.3)
    threading.Timer(0.2, desk.emit, ("site.crawled",)).start()
    found = client.wait_for_event("site.crawled", timeout_s=10, after=over.value.cursor)
    assert "3" == found.id


def test_lost_events_are_announced_to_followers(desk: Desk, client: Switchyard) -> None:
    """A cursor of another ledger gives a gap, and goes on."""
    desk.emit("site.crawled")
    following = client.domain_events(after="99")
    assert ("gap", {"after": "99"}) == ((gap := next(following)).type, gap.data)
    threading.Timer(0.2, desk.emit, ("site.crawled",)).start()
    assert "2" == next(following).id


def test_server_that_never_answers_is_the_news() -> None:
    """Not that there was no event."""
    limits = Limits(backoff_s=0.05, reconnects=2)
    with (
        Switchyard(f"http://127.0.0.1:{free_port()}", "key", limits=limits) as client,
        pytest.raises(ConnectionFailed),
    ):
        client.wait_for_event("site.crawled", timeout_s=5)


def test_asyncio_client_does_the_same(desk: Desk) -> None:
    """Iterating, waiting, and giving up."""

    async def use() -> list[Any]:
        async with AsyncSwitchyard(f"http://{desk.address}", desk.alice.key, limits=FAST) as client:
            cursor = await client.event_cursor()
            desk.emit("site.crawled", "page.found")
            seen: list[Any] = [event.type async for event in client.domain_events(follow=False)]
            seen.append((await client.wait_for_event("page.*", timeout_s=10, after=cursor)).id)
            with pytest.raises(EventNotSeen):
                await client.wait_for_event("page.*", timeout_s=0.2)
            async for event in client.domain_events(after=cursor):
                seen.append(event.id)
                break
            return seen

    assert ["site.crawled", "page.found", "2", "1"] == asyncio.run(use())


def test_command_prints_events(desk: Desk) -> None:
    """A line each, or JSON."""
    job_id = desk.emit("site.crawled", "page.found")
    plain = command(desk, "events", "--type", "site.*")
    assert f'site.crawled {job_id} {{"of": "site.crawled"}}\n' == plain.split(" ", 2)[2]
    as_json = command(desk, "events", "--json", "--after", "1")
    assert ["page.found"] == [json.loads(line)["type"] for line in as_json.splitlines()]


def command(desk: Desk, *arguments: str) -> str:
    base = [sys.executable, "-m", "client.command", "--url", f"http://{desk.address}", "--key", desk.alice.key]
    return subprocess.run([*base, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout

"""Long-polls return when there is something to say, and not before."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.streams.waiter import HubWaiter
from tasks.core.ledger import drivers, queries, transitions
from tasks.core.records import JobState
from tests.app.streams.house import House, eventually
from tests.app.streams.redis_server import RedisServer

# A busy machine may need seconds; a wait that nothing wakes takes 40.
SOONER_S = 30


@contextmanager
def waiting(house: House, job_id: str, version_seen: int | None = None) -> Iterator[Callable[[], float]]:
    """Wait on a thread; the block gets a function that returns how long the wait took."""
    took: list[float] = []

    def wait() -> None:
        began = time.monotonic()
        HubWaiter(house.hub, house.kernel.ledger).wait(job_id, version_seen, 40)
        took.append(time.monotonic() - began)

    def join() -> float:
        thread.join()
        return took[0]

    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: any(feed.cursor for feed in house.hub._watchlist.feeds()) or not thread.is_alive())
    yield join
    thread.join()


def test_wait_for_end_returns_promptly(house: House) -> None:
    """Woken by the terminal event, not by a timer."""
    job = house.running()
    with waiting(house, job.id) as join:
        house.finish(job)
        assert join() < SOONER_S


def test_end_that_was_told_is_on_the_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who told it had waited for the disk, so who was woken by it need not."""
    asked: list[int] = []
    monkeypatch.setattr(drivers, "_sync_file", asked.append)
    # Who happens to look between an end and its telling must wait for the disk: not each time.
    assert 5 > max(_told_ends_until_none_waited(house, asked))


def _told_ends_until_none_waited(house: House, asked: list[int]) -> Iterator[int]:
    for number in range(6):
        asked.clear()
        job = house.running()
        with waiting(house, job.id) as join:
            house.finish(job)
            join()
        ended = queries.job(house.kernel.ledger, job.id)
        assert ended is not None
        assert ended.state is JobState.SUCCEEDED
        yield number
        if not asked:
            return


def test_wait_for_end_sleeps_through_progress(house: House) -> None:
    """Reports are none of its business."""
    job = house.running()
    with waiting(house, job.id) as join:
        house.report(job, 10)
        time.sleep(0.3)
        assert house.hub.watchers == 1
        house.finish(job)
        join()


def test_wait_for_end_of_ended_job_returns_at_once(house: House) -> None:
    """There is nothing to wait for."""
    job = house.finish(house.running())
    with waiting(house, job.id) as join:
        assert join() < SOONER_S


def test_wait_for_change_returns_at_report(house: House) -> None:
    """Progress counts."""
    job = house.running()
    with waiting(house, job.id, job.version) as join:
        house.report(job, 10)
        assert join() < SOONER_S


def test_wait_for_change_returns_at_once_for_stale_version(house: House) -> None:
    """The caller has missed a transition already."""
    job = house.running()
    with waiting(house, job.id, job.version - 1) as join:
        assert join() < SOONER_S


def test_wait_ends_although_redis_is_stopped(house: House, own_redis: RedisServer) -> None:
    """The ledger is asked once a second."""
    job = house.running()
    with waiting(house, job.id) as join:
        own_redis.stop()
        house.finish(job)
        assert join() < SOONER_S


def test_wait_for_change_sees_progress_in_ledger_without_redis(house: House, own_redis: RedisServer) -> None:
    """Reports that Redis could not take are in the row."""
    job = house.running()
    with waiting(house, job.id, job.version) as join:
        own_redis.stop()
        transitions.note_progress(house.kernel.ledger, job.id, fence=job.fence, progress={"percent": 50})
        assert join() < SOONER_S


def test_draining_ends_waits(house: House) -> None:
    """A restart does not wait for long-polls."""
    with waiting(house, house.running().id) as join:
        house.hub.drain()
        assert join() < SOONER_S


@pytest.mark.parametrize("version_seen", [None, 2])
def test_wait_times_out_and_leaves_nothing(house: House, version_seen: int | None) -> None:
    """No watcher stays."""
    job = house.running()
    began = time.monotonic()
    HubWaiter(house.hub, house.kernel.ledger).wait(job.id, version_seen, 0.2)
    assert 0.2 <= time.monotonic() - began < SOONER_S
    assert house.hub.watchers == 0


def test_wait_for_erased_job_returns(house: House) -> None:
    """What is gone cannot end."""
    with waiting(house, "00000000-0000-7000-8000-000000000000") as join:
        assert join() < SOONER_S

"""One thread, one connection, nothing left behind."""

import threading

from app.streams.feed import Bell
from tests.app.streams.house import House, eventually


def reader_connections(house: House) -> int:
    clients = house.kernel.events._redis.client_list()
    return sum(client["cmd"] in {"xread", "exec"} for client in clients)


def test_many_viewers_cost_one_reader_connection_and_thread(house: House) -> None:
    """However many jobs and viewers there are."""
    jobs = [house.running() for _ in range(5)]
    views = [house.watch(job) for job in jobs for _ in range(20)]
    house.report(jobs[0], 10)
    assert [views[0].next()["type"], views[0].next()["type"]] == ["snapshot", "progress"]
    assert reader_connections(house) == 1
    assert sum(thread.name == "stream-reader" for thread in threading.enumerate()) == 1


def test_concurrent_viewers_need_few_connections(house: House) -> None:
    """Fifty threads that subscribe at once do not open fifty connections."""
    job = house.running()
    threads = [threading.Thread(target=lambda: house.watch(job).next()) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(house.kernel.events._redis.client_list()) <= 4


def test_last_viewer_leaves_nothing_behind(house: House) -> None:
    """The feed goes with it."""
    views = [house.watch(house.running()) for _ in range(3)]
    assert (house.hub.watched, house.hub.watchers) == (3, 3)
    for view in views:
        view.close()
    assert (house.hub.watched, house.hub.watchers) == (0, 0)


def test_closing_twice_is_harmless(house: House) -> None:
    """And leaves another viewer of the job alone."""
    job = house.running()
    gone, other = house.watch(job), house.watch(job)
    gone.close()
    gone.close()
    assert house.hub.watchers == 1
    other.close()


def test_new_viewer_need_not_wait_for_blocked_reader(house: House) -> None:
    """The reader sits in Redis for half a second at a time; a newcomer interrupts it."""
    house.watch(house.running()).next()
    for _ in range(10):
        assert house.watch(house.running()).next(timeout_s=0.3)["data"]["reason"] == "start"


def test_two_viewers_get_the_same_frames(house: House) -> None:
    """Rendered once, shared."""
    job = house.running()
    one, two = house.watch(job), house.watch(job)
    one.next(), two.next()
    house.report(job, 10)
    assert one.subscription.frames(5)[0] is two.subscription.frames(5)[0]


def test_dead_reader_is_replaced(house: House) -> None:
    """Viewers do not depend on one thread's luck."""
    job = house.running()
    view = house.watch(job)
    view.next()
    house.hub._reader.stop()
    house.hub._thread.join(timeout=20)
    assert view.subscription.frames(0.05) == []
    house.report(job, 10)
    assert view.next()["type"] == "progress"


def test_hub_without_viewers_starts_nothing(house: House) -> None:
    """No thread and no connection before the first viewer, hence none before a fork."""
    assert house.hub._thread is None


def test_close_stops_reader_and_its_connection(house: House) -> None:
    """The owner's one call."""
    house.watch(house.running()).next()
    house.hub.close()
    assert not house.hub._thread.is_alive()
    assert eventually(lambda: reader_connections(house) == 0)


def test_bell_rung_before_waiting_is_heard() -> None:
    """And rung twice it is heard once."""
    bell = Bell()
    bell.ring()
    bell.ring()
    assert [bell.wait(0.01), bell.wait(0.01)] == [True, False]

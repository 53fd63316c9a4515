"""What counts as lost, and how soon the dispatcher looks again."""

import pytest

from tasks.core.ledger.carrying import Backlog, Carry
from tests.samples import FakeClock
from workers.broker import Losses
from workers.census import WatchedTime
from workers.pace import SHORTEST_S, Pace

PATIENCE_S = 20.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def losses(clock: FakeClock) -> Losses:
    return Losses(PATIENCE_S, clock=clock)


def lost(losses: Losses, published: set[Carry], held: set[Carry], *, wiped: bool = False) -> set[Carry]:
    return losses.lost("ai", published, held=lambda: held, wiped=wiped)


A, B = ("a", 1), ("b", 1)


def test_missing_message_is_lost_after_a_while(losses: Losses, clock: FakeClock) -> None:
    """Counted from when it was last there, or first heard of."""
    assert set() == lost(losses, {A, B}, {A})
    clock.at += PATIENCE_S - 1
    assert set() == lost(losses, {A, B}, {A})
    clock.at += 1
    assert {B} == lost(losses, {A, B}, {A})
    assert {B} == lost(losses, {A, B}, set())
    clock.at += PATIENCE_S
    assert {A} == lost(losses, {A}, set())


def test_newer_carry_is_watched_anew(losses: Losses, clock: FakeClock) -> None:
    """It is another message."""
    lost(losses, {A}, set())
    clock.at += PATIENCE_S
    assert set() == lost(losses, {("a", 2)}, set())


def test_redis_is_not_asked_about_what_has_just_been_published(losses: Losses) -> None:
    """A queue that flows costs nothing."""

    def fail() -> set[Carry]:
        raise AssertionError("asked")

    assert set() == losses.lost("ai", {A}, held=fail)
    assert set() == losses.lost("ai", {B}, held=fail)
    assert set() == losses.lost("ai", set(), held=fail, wiped=True)


def test_after_a_wipe_whatever_is_missing_is_lost_at_once(losses: Losses) -> None:
    """What was published since is there."""
    assert {A} == lost(losses, {A, B}, {B}, wiped=True)


def test_time_that_nobody_watched_does_not_count(clock: FakeClock) -> None:
    """A dispatcher that was frozen for an hour has seen nothing meanwhile."""
    watched = WatchedTime(2.0, clock=clock)
    began = watched()
    clock.at += 1.5
    assert watched() - began == 1.5
    clock.at += 3600
    assert watched() - began == 3.5


@pytest.fixture
def pace(clock: FakeClock) -> Pace:
    pace = Pace(1.0, clock=clock)
    assert 1.0 == pace.pause_s([])
    return pace


def test_backlog_is_looked_at_before_the_window_is_empty(pace: Pace, clock: FakeClock) -> None:
    """At the speed with which the workers take the jobs, whatever it was before."""
    full, half = Backlog("ai", window=32, room=32), Backlog("ai", window=32, room=16)
    assert SHORTEST_S == pace.pause_s([(full, 32)])
    clock.at += 0.03
    assert pytest.approx(0.03) == pace.pause_s([(half, 16)])
    clock.at += 0.03
    assert pytest.approx(0.06) == pace.pause_s([(Backlog("ai", window=32, room=8), 8)])


def test_backlog_of_long_jobs_is_looked_at_ever_more_seldom(pace: Pace, clock: FakeClock) -> None:
    """Down to once a second; as soon as they speed up, more often."""
    none = Backlog("ai", window=32, room=0)
    pauses = []
    for _ in range(8):
        pauses.append(pace.pause_s([(none, 0)]))
        clock.at += pauses[-1]
    assert sorted(pauses) == pauses
    assert 1.0 == pauses[-1]
    assert 0.5 > pace.pause_s([(Backlog("ai", window=32, room=32), 32)])


def test_broker_holds_what_quick_workers_take_in_a_tenth_of_a_second(pace: Pace, clock: FakeClock) -> None:
    """Twice as much from one look to the next at most; no more than the least once they are slow again."""

    def look(window: int, *, held: int) -> int:
        room = window - held
        pace.pause_s([(Backlog("ai", window=window, room=room), room)])
        return pace.windows["ai"]

    assert look(32, held=0) == 0  # nobody knows yet how quick they are
    clock.at += 0.05
    assert look(32, held=2) == 60
    clock.at += 0.05
    assert look(60, held=10) == 44
    clock.at += 0.02
    assert look(44, held=0) == 88
    clock.at += 0.02
    assert look(88, held=0) == 176
    clock.at += 0.02
    assert look(176, held=0) == 256
    clock.at += 10.0
    assert look(256, held=56) == 1


def test_broker_that_holds_more_than_it_may_by_now_tells_no_speed(pace: Pace, clock: FakeClock) -> None:
    """Long jobs came behind brief ones: what was carried for these is not gone because the window is small again."""
    pace.pause_s([(Backlog("ai", window=200, room=200), 200)])
    for _ in range(3):
        clock.at += 0.05
        pace.pause_s([(Backlog("ai", window=32, room=0), 0)])
        assert pace.windows["ai"] == 0


def test_what_is_taken_back_from_the_broker_is_no_speed(pace: Pace, clock: FakeClock) -> None:
    """Before a look, and because there was no room."""
    pace.pause_s([(Backlog("ai", window=32, room=32), 32)])
    for room in (32, 32):
        clock.at += 0.02
        pace.taken_back("ai", 32)
        pace.pause_s([(Backlog("ai", window=32, room=room), 32)])
        assert pace.windows["ai"] == 0
    clock.at += 0.02
    pace.pause_s([(Backlog("ai", window=32, room=32), 32)])
    assert pace.windows["ai"] == 64


def test_bell_is_enough_where_nothing_waits(pace: Pace) -> None:
    """All that waited was carried."""
    assert 1.0 == pace.pause_s([(Backlog("ai", window=32, room=32), 31)])

"""Who beats: judged by the dispatcher's own clock, and nobody too early."""

import pytest

from tasks.core.records import door_name
from tests.samples import FakeClock
from workers.census import Census

LEASE_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def census(clock: FakeClock) -> Census:
    """A census whose first lease is over."""
    census = Census(clock=clock)
    census.gone({}, set(), lease_s=LEASE_S)
    clock.at += LEASE_S
    return census


def gone(census: Census, beats: dict[str, int], holders: set[str] | None = None) -> set[str]:
    return census.gone(beats, holders or set(), lease_s=LEASE_S)


def test_beating_worker_is_never_gone(census: Census, clock: FakeClock) -> None:
    """However long it is watched."""
    for beat in range(30):
        assert gone(census, {"a": beat}) == set()
        clock.at += 5


def test_counter_that_stands_still_for_a_lease_is_gone(census: Census, clock: FakeClock) -> None:
    """Counted from its last change, worker by worker."""
    gone(census, {"a": 1, "b": 1})
    clock.at += 6
    gone(census, {"a": 1, "b": 2})
    clock.at += 4
    assert gone(census, {"a": 1, "b": 2}) == {"a"}
    clock.at += 6
    assert gone(census, {"a": 1, "b": 2}) == {"a", "b"}


def test_counter_that_moves_again_is_alive(census: Census, clock: FakeClock) -> None:
    """A frozen worker thawed."""
    gone(census, {"a": 1})
    clock.at += LEASE_S
    assert gone(census, {"a": 1}) == {"a"}
    assert gone(census, {"a": 2}) == set()


def test_counter_that_jumps_back_is_alive(census: Census, clock: FakeClock) -> None:
    """Any change is a sign of life; clocks and counts are not compared."""
    gone(census, {"a": 5})
    clock.at += LEASE_S
    assert gone(census, {"a": 1}) == set()


def test_first_lease_judges_nobody(clock: FakeClock) -> None:
    """A dispatcher that has just started knows nothing yet."""
    census = Census(clock=clock)
    for _ in range(4):
        assert gone(census, {"a": 1}, {"a", "rowless"}) == set()
        clock.at += 3
    assert gone(census, {"a": 1}, {"a", "rowless"}) == {"a", "rowless"}


def test_reset_judges_nobody_for_a_lease(census: Census, clock: FakeClock) -> None:
    """After an outage of the ledger no worker could beat."""
    gone(census, {"a": 1})
    clock.at += 60
    census.reset()
    assert gone(census, {"a": 1}, {"a", "b"}) == set()
    clock.at += LEASE_S - 1
    assert gone(census, {"a": 1}, {"a", "b"}) == set()
    clock.at += 1
    assert gone(census, {"a": 1}, {"a", "b"}) == {"a", "b"}


def test_holder_that_is_not_live_is_gone_soon(census: Census, clock: FakeClock) -> None:
    """It left, or never had a row, and still holds a job."""
    assert gone(census, {"a": 1}, {"a", "stopped"}) == set()
    clock.at += LEASE_S / 3
    assert gone(census, {"a": 2}, {"a", "stopped"}) == {"stopped"}


def test_holder_may_begin_to_beat_a_moment_late(census: Census, clock: FakeClock) -> None:
    """The ledger was busy when it would have registered, or it was taken for gone, thawed, and claimed at once."""
    assert gone(census, {}, {"late"}) == set()
    clock.at += LEASE_S / 4
    assert gone(census, {"late": 1}, {"late"}) == set()
    clock.at += LEASE_S / 4
    assert gone(census, {"late": 2}, {"late"}) == set()


def test_who_ends_a_job_as_it_is_accepted_has_a_lease_for_it(census: Census, clock: FakeClock) -> None:
    """It has no row, and is judged by when it was first seen."""
    door = door_name("host", "job-1", is_local=False)
    assert gone(census, {"a": 1}, {door}) == set()
    clock.at += LEASE_S - 1
    assert gone(census, {"a": 2}, {door}) == set()
    clock.at += 1
    assert gone(census, {"a": 3}, {door}) == {door}


def test_worker_that_left_is_forgotten(census: Census, clock: FakeClock) -> None:
    """One that comes back under its name is watched anew."""
    gone(census, {"a": 1})
    gone(census, {})
    clock.at += LEASE_S
    assert gone(census, {"a": 1}) == set()

"""Who leads, by each contender's own clock."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger
from tests.samples import FakeClock, ledger_away
from workers.leadership import Leadership

LEASE_S = 10.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def first(ledger: Ledger, clock: FakeClock) -> Leadership:
    """The leader."""
    first = Leadership(ledger, holder="first", lease_s=LEASE_S, clock=clock)
    assert first.holds()
    return first


@pytest.fixture
def second(ledger: Ledger, clock: FakeClock, first: Leadership) -> Leadership:
    """Stands by."""
    second = Leadership(ledger, holder="second", lease_s=LEASE_S, clock=clock)
    assert not second.holds()
    return second


def test_leader_that_beats_stays(first: Leadership, second: Leadership, clock: FakeClock) -> None:
    """However long the other waits."""
    for _ in range(10):
        clock.at += 5
        assert (True, False) == (first.holds(), second.holds())
    assert (1, None) == (first.term, second.term)


def test_leader_that_stands_still_for_a_lease_is_succeeded(
    first: Leadership, second: Leadership, clock: FakeClock
) -> None:
    """Not sooner; when it comes back it finds out and stands by."""
    clock.at += LEASE_S - 1
    assert not second.holds()
    clock.at += 1
    assert second.holds()
    assert (False, None, 2) == (first.holds(), first.term, second.term)
    assert not first.holds()


def test_released_lease_is_taken_at_once(first: Leadership, second: Leadership) -> None:
    """A leader that stops in order makes nobody wait."""
    first.resign()
    assert second.holds()


def test_resigning_without_the_lease_changes_nothing(first: Leadership, second: Leadership, clock: FakeClock) -> None:
    """Neither of one who never had it, nor of one who lost it."""
    second.resign()
    assert first.holds()
    clock.at += LEASE_S
    assert second.holds()
    first.resign()
    clock.at += 1
    assert second.holds()


def test_ledger_outage_gives_the_leader_a_whole_lease(
    ledger: Ledger, first: Leadership, second: Leadership, clock: FakeClock
) -> None:
    """It could not beat either."""
    clock.at += LEASE_S
    with ledger_away(ledger), pytest.raises(LedgerUnavailable):
        second.holds()
    assert not second.holds()
    assert first.holds()


def test_renewal_whose_answer_was_lost_is_found_again(
    ledger: Ledger, first: Leadership, second: Leadership, clock: FakeClock
) -> None:
    """The ledger committed and the connection broke: the lease is ours, and nobody waits for it."""
    held = first._held
    clock.at += 2
    assert first.holds()
    first._held = held
    clock.at += 2
    assert not first.holds()
    assert first.holds()
    assert first.term == 2

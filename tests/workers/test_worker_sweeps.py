"""The clock that has ``maintenance.sweep`` run."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from tasks.core.kernel import Kernel
from tasks.core.ledger import queries, tenants
from tasks.core.ledger.queries import Filter
from tasks.core.records import Job
from tests.samples import ledger_away
from workers import sweeps
from workers.sweeps import SweepTimer


class Wall:
    """A wall clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wall]:
    wall = Wall()
    monkeypatch.setattr(sweeps, "now", wall)
    with capture_logs():
        yield wall


def submitted(kernel: Kernel) -> list[Job]:
    system = tenants.named(kernel.ledger, tenants.SYSTEM)
    return queries.listing(kernel.ledger, Filter(system.id), limit=50).jobs


def test_sweep_is_submitted_when_a_period_begins(kernel: Kernel, wall: Wall) -> None:
    """Once an hour, as an ordinary job of lowest priority."""
    timer = SweepTimer(kernel)
    for minutes in (0, 20, 20, 10):
        wall.move(minutes=minutes)
        timer.tick()
    [job] = submitted(kernel)
    assert (job.kind, job.queue, job.priority, job.request["dry_run"]) == ("maintenance.sweep", "maintenance", 0, False)
    wall.move(hours=1)
    timer.tick()
    assert len(submitted(kernel)) == 2


def test_two_dispatchers_submit_one_sweep(kernel: Kernel, wall: Wall) -> None:
    """The period's number is the idempotency key."""
    timers = [SweepTimer(kernel), SweepTimer(kernel)]
    for _ in range(2):
        for timer in timers:
            timer.tick()
        wall.move(hours=1)
    assert len(submitted(kernel)) == 1


def test_standby_that_takes_over_sweeps_for_the_period_that_began_meanwhile(kernel: Kernel, wall: Wall) -> None:
    """It did not tick while another led, and knows all the same when it started."""
    standby = SweepTimer(kernel)
    wall.move(hours=1)
    standby.tick()
    assert len(submitted(kernel)) == 1


def test_ledger_outage_puts_the_sweep_off(kernel: Kernel, wall: Wall) -> None:
    """The period is not ticked off before its sweep is accepted."""
    timer = SweepTimer(kernel)
    timer.tick()
    wall.move(hours=1)
    with ledger_away(kernel.ledger), pytest.raises(Exception, match="ledger"):
        timer.tick()
    timer.tick()
    assert len(submitted(kernel)) == 1


def test_clock_that_jumps_back_submits_nothing(kernel: Kernel, wall: Wall) -> None:
    """A period that was swept is not swept again."""
    timer = SweepTimer(kernel)
    timer.tick()
    wall.move(hours=-3)
    timer.tick()
    assert submitted(kernel) == []


def test_sweeping_can_be_off(kernel: Kernel, wall: Wall) -> None:
    """With a period of 0."""
    timer = SweepTimer(replace(kernel, settings=kernel.settings.model_copy(update={"sweep_every_s": 0})))
    for _ in range(3):
        timer.tick()
        wall.move(days=1)
    assert submitted(kernel) == []

"""Whether a server that clients started is still needed."""

import fcntl
from contextlib import closing
from pathlib import Path

import pytest

from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tests.samples import ledger_away, running
from workers.usage import Usage


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


class Moments:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_it_is_over_once_nobody_was_there_for_a_while(ledger: Ledger, tmp_path: Path) -> None:
    """Counted from when the last client went; the lock stays with the server then."""
    clock, path = Moments(), tmp_path / "clients.lock"
    with closing(Usage(path, ledger, idle_s=10.0, clock=clock)) as usage:
        with path.open("ab") as client:
            fcntl.flock(client, fcntl.LOCK_SH)
            for clock.at in (0.0, 100.0):
                assert not usage.is_over()
        for clock.at, expected in ((109.0, False), (109.1, False), (110.0, True)):
            assert expected == usage.is_over()
        with path.open("ab") as late, pytest.raises(BlockingIOError):
            fcntl.flock(late, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_it_is_not_over_while_a_job_runs(ledger: Ledger, tenant: Tenant, tmp_path: Path) -> None:
    """Nor while nobody can tell."""
    clock = Moments()
    with closing(Usage(tmp_path / "clients.lock", ledger, idle_s=0.0, clock=clock)) as usage:
        with ledger_away(ledger):
            assert not usage.is_over()
        running(ledger, tenant)
        clock.at = 1.0
        assert not usage.is_over()

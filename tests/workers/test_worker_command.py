"""``python -m workers`` as a person meets it."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tasks.core.domain_events import Emission
from tasks.core.ledger import Ledger, fleet, outbox, queries, tenants, transitions
from tasks.core.ledger.fleet import WorkerState
from tasks.core.records import Cause, JobState
from tests.samples import a_worker, ago, running
from workers.__main__ import main


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("workers.__main__.configure_logging", lambda _settings: None)
    return tmp_path


def test_unknown_queue_is_refused_with_the_known_ones() -> None:
    """Before anything is started."""
    answer = CliRunner().invoke(main, ["-Q", "ai,crawlr"])
    assert 2 == answer.exit_code
    assert "crawlr" in answer.output
    assert "critical" in answer.output


def test_migrate_brings_the_ledger_up_to_date(state_dir: Path) -> None:
    """Also where starting processes may not."""
    answer = CliRunner().invoke(main, ["migrate"])
    assert (0, "The ledger is up to date.\n") == (answer.exit_code, answer.output)
    ledger = Ledger(f"sqlite:///{state_dir / 'ledger.db'}", auto_migrate=False)
    ledger.prepare()
    assert queries.job(ledger, "none") is None
    ledger.close()


def test_bad_settings_are_listed_without_a_traceback() -> None:
    """Exit code 2, which the supervisor takes for final."""
    answer = subprocess.run(
        [sys.executable, "-m", "workers", "migrate"],
        env={"SWITCHYARD_PORT": "x", "SWITCHYARD_BEAT_S": "99"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == answer.returncode
    assert ["Refused to start:", "SWITCHYARD_PORT", "SWITCHYARD_BEAT_S"] == [
        line.partition(": ")[0] for line in answer.stderr.splitlines()
    ]


@pytest.fixture
def ledger(state_dir: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{state_dir / 'ledger.db'}")
    ledger.prepare()
    yield ledger
    ledger.close()


def ready(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(main, ["ready", *arguments])
    return answer.exit_code, answer.output.strip()


def test_ready_says_whether_the_workers_here_take_jobs(ledger: Ledger) -> None:
    """Each of them must be up; one that drains, or has not begun to listen, is not."""
    assert (1, "no such worker beats here") == ready()
    fleet.register(ledger, a_worker("one", host=platform.node(), pid=1))
    fleet.register(ledger, a_worker("two", host=platform.node(), pid=2))
    fleet.register(ledger, a_worker("elsewhere", host="elsewhere", state=WorkerState.DRAINING))
    assert (0, "one is up, two is up") == ready()
    for state in (WorkerState.DRAINING, WorkerState.STARTING):
        fleet.set_state(ledger, "two", state)
        assert (1, f"one is up, two is {state}") == ready()
        assert (0, 1) == (ready("--name", "one")[0], ready("--pid", "2")[0])
    fleet.set_state(ledger, "two", WorkerState.STOPPED)
    assert (0, "one is up") == ready()


def test_worker_that_died_is_not_ready(ledger: Ledger) -> None:
    """Its row stays up until somebody notices, but does not beat."""
    fleet.register(ledger, a_worker("one", host=platform.node(), beat_at=ago(60)))
    assert 1 == ready()[0]


def test_outbox_lists_and_retries_dead_events(ledger: Ledger) -> None:
    """By number, or all."""
    tenant = tenants.tenant_of(ledger, tenants.create_key(ledger, tenant="acme", name="test"))
    assert tenant is not None
    for _ in range(2):
        job = running(ledger, tenant)
        emitted = [Emission("site.crawled", {})]
        transitions.finish(
            ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, emitted=emitted
        )
    outbox.number(ledger)
    for seq in (1, 2):
        outbox.note_refusal(ledger, seq, error="WRONGTYPE", next_try_at=None)
    lines = CliRunner().invoke(main, ["outbox", "list"]).output.splitlines()
    assert [["2", "site.crawled", "WRONGTYPE"], ["1", "site.crawled", "WRONGTYPE"]] == [
        [line.split("\t")[place] for place in (0, 2, 5)] for line in lines
    ]
    assert "1 will be tried again.\n" == CliRunner().invoke(main, ["outbox", "retry", "2"]).output
    assert [1] == [letter.event.seq for letter in outbox.dead_letters(ledger)]
    assert "1 will be tried again.\n" == CliRunner().invoke(main, ["outbox", "retry"]).output
    assert [1, 2] == [due.event.seq for due in outbox.pending(ledger)]

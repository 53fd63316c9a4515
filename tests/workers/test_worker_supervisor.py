"""The supervisor: restarts with growing pauses, respects a refusal, passes a stop on."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.samples import eventually
from workers import supervisor
from workers.supervisor import Supervised, Supervisor, worker_command

DIE = [sys.executable, "-c", "raise SystemExit(1)"]
REFUSE = [sys.executable, "-c", "raise SystemExit(2)"]
STAY = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


@pytest.fixture(autouse=True)
def signals_restored():  # a fixture
    """The supervisor is meant to own its process; here it must give the handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with capture_logs():
        yield
    for number, handler in before.items():
        signal.signal(number, handler)


def die_once(child: Supervised) -> float:
    """Let it start and die; return how long it then waits."""
    child.start_after = 0.0
    child.look_after()
    assert child.process is not None
    child.process.wait()
    at = time.monotonic()
    child.look_after()
    return round(child.start_after - at)


def test_process_that_dies_young_waits_longer_each_time() -> None:
    """One second, doubled, at most thirty."""
    child = Supervised("dies", DIE)
    assert [1, 2, 4] == [die_once(child) for _ in range(3)]
    child.restarts = 9
    assert 30 == die_once(child)


def test_process_that_lived_is_restarted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its pauses begin anew."""
    monkeypatch.setattr(supervisor, "_HEALTHY_AFTER_S", 0.0)
    child = Supervised("lived", DIE, restarts=5)
    assert (0, 0) == (die_once(child), child.restarts)


def test_pause_is_kept() -> None:
    """Not due, not started."""
    child = Supervised("dies", DIE)
    die_once(child)
    child.look_after()
    assert child.process is None


def test_refusal_is_final() -> None:
    """Starting again cannot help; when all refuse, so does the supervisor."""
    children = [Supervised(name, REFUSE) for name in ("a", "b")]
    assert 2 == Supervisor(children, stop_limit_s=1).run()
    assert [True, True] == [child.refused for child in children]
    children[0].look_after()
    assert children[0].process is None


def test_stop_is_passed_on_to_those_that_run() -> None:
    """One refused, one runs: SIGTERM ends the one and then the supervisor."""
    children = [Supervised("runs", STAY), Supervised("refuses", REFUSE)]

    def stop_when_up() -> None:
        assert eventually(lambda: children[0].process is not None and children[1].refused)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_up).start()
    assert 0 == Supervisor(children, stop_limit_s=5).run()
    assert children[0].process is not None
    assert -signal.SIGTERM == children[0].process.returncode


def test_process_that_does_not_stop_is_killed() -> None:
    """After the limit, with its group."""
    child = Supervised("stubborn", STUBBORN)
    with subprocess.Popen(STUBBORN, process_group=0, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        child.process = process
        Supervisor([child], stop_limit_s=0.2)._stop_all()
        assert -signal.SIGKILL == process.returncode


def test_dead_process_comes_back(tmp_path: Path) -> None:
    """While supervised, a kill is an interruption."""
    child = Supervised("runs", STAY, restarts=-1)  # so that the first pause is none
    guard = Supervisor([child], stop_limit_s=5)
    pids = set()

    def kill_twice() -> None:
        for _ in range(2):
            assert eventually(lambda: child.process is not None and child.process.pid not in pids)
            pids.add(child.process.pid)
            child.process.kill()
        guard._stopping.set()

    threading.Thread(target=kill_twice).start()
    assert 0 == guard.run()
    assert 2 == len(pids)


def test_worker_command_is_the_one_a_person_types() -> None:
    """``celery -A tasks worker -Q crawler``."""
    assert "-m celery -A tasks worker -Q crawler" in " ".join(worker_command("crawler"))

"""The sweep kills what a dead child left behind, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.samples import eventually
from workers.orphans import CHILD_MARK, WORKER_MARK, is_own_child, kill_group, kill_orphans

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that sleeps, with these marks; it is stopped after the test."""
    started = []

    def start(**marks: str) -> "subprocess.Popen[bytes]":
        clean = {key: value for key, value in os.environ.items() if key not in {WORKER_MARK, CHILD_MARK}}
        started.append(subprocess.Popen(["sleep", "100"], env=clean | marks, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_process_of_a_dead_child_is_killed(start: Start) -> None:
    """A process whose mark names a dead child goes, although it leads a session of its own."""
    orphan = start(**{CHILD_MARK: f"b00t:{dead_pid()}"})

    assert orphan.pid in kill_orphans()
    assert -signal.SIGKILL == orphan.wait(timeout=10)


def test_process_of_a_dead_worker_is_killed(start: Start) -> None:
    """A pool child whose worker is dead goes as well."""
    orphan = start(**{WORKER_MARK: f"b00t:{dead_pid()}"})

    assert orphan.pid in kill_orphans()


def test_process_of_a_zombie_is_killed(start: Start) -> None:
    """A child that is dead but not yet waited for owns nothing."""
    owner = start()
    orphan = start(**{CHILD_MARK: f"b00t:{owner.pid}"})
    owner.kill()

    assert eventually(lambda: orphan.pid in kill_orphans())


def test_process_of_a_living_child_is_spared(start: Start) -> None:
    """While the child lives, what it started lives."""
    owner = start()
    owned = start(**{CHILD_MARK: f"b00t:{owner.pid}"})

    assert owned.pid not in kill_orphans()
    assert owned.poll() is None


def test_unmarked_process_is_spared(start: Start) -> None:
    """A process without a mark is none of our business."""
    stranger = start()

    assert stranger.pid not in kill_orphans()


def test_owner_younger_than_what_it_owns_is_another_process(start: Start) -> None:
    """When a dead child's number was given to a new process, what the dead one left is still an orphan."""
    # The mark must stand in the environment that exec leaves in /proc, so a shell waits for the number it is to carry.
    script = f"read pid; {CHILD_MARK}=b00t:$pid exec sleep 100"
    orphan = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)
    time.sleep(0.1)  # the kernel counts start times in hundredths of a second
    later = start()

    assert orphan.stdin is not None
    with orphan.stdin:
        orphan.stdin.write(f"{later.pid}\n".encode())

    assert eventually(lambda: orphan.pid in kill_orphans())
    orphan.wait()


def test_only_our_own_children_are_killed_by_pid(start: Start) -> None:
    """A pid from the ledger that is not a child of ours belongs to a stranger by now."""
    own = start()
    script = "import subprocess; print(subprocess.Popen(['sleep', '100']).pid)"
    stranger = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)

    assert (True, False) == (is_own_child(own.pid), is_own_child(stranger))
    kill_group(stranger)
    kill_group(own.pid)

    assert -signal.SIGKILL == own.wait(timeout=10)
    os.kill(stranger, signal.SIGKILL)

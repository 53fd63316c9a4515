"""Orphans: real processes with our marks, killed when whoever their mark names is dead, and only then."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.samples import eventually
from workers.orphans import CHILD_MARK, WORKER_MARK, is_own_child, kill_group, kill_group_if, kill_orphans

_SLEEP = "import time; time.sleep(60)"
# Starts a process in a session of its own, which outlives the kill of this one's group, then says its pid.
_LEAVE_BEHIND = f"""
import subprocess, sys, time
left = subprocess.Popen([sys.executable, "-c", {_SLEEP!r}], start_new_session=True, stdout=subprocess.DEVNULL)
print(left.pid, flush=True)
time.sleep(60)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Pids of this test's processes, the only ones it sees: other test runs share the machine."""
    ours: set[int] = set()
    monkeypatch.setattr(psutil, "pids", lambda: sorted(ours))
    yield ours
    for pid in ours:
        if is_alive(pid):
            psutil.Process(pid).kill()


@pytest.fixture
def start(started: set[int]) -> Iterator[Start]:
    processes = []

    def start(code: str = _SLEEP, **marks: str) -> subprocess.Popen[str]:
        environ = {**os.environ, **marks}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True, process_group=0
        )
        processes.append(process)
        started.add(process.pid)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def dead_pid(start: Start) -> int:
    process = start("")
    process.wait()
    return process.pid


def assert_swept(orphan: subprocess.Popen[str]) -> None:
    """A real worker on this machine may sweep first, so its end counts and not who brought it.

    More than one sweep, because a process that has only just begun shows no environment yet.
    """
    assert eventually(lambda: bool(kill_orphans()) or orphan.poll() is not None)
    assert orphan.wait(timeout=5) == -9


def test_process_of_a_dead_child_is_killed(start: Start) -> None:
    """Whatever a killed child had started."""
    orphan = start(**{CHILD_MARK: f"boot:{dead_pid(start)}"})
    assert_swept(orphan)


def test_child_of_a_dead_worker_is_killed(start: Start) -> None:
    """A pool child whose parent was killed would go on working unheard."""
    orphan = start(**{WORKER_MARK: f"boot:{dead_pid(start)}"})
    assert_swept(orphan)


def test_group_that_an_orphan_leads_is_killed_with_it(start: Start) -> None:
    """A browser's processes overwrite their environment; the first of them, which leads the others, keeps the mark."""
    code = f"""
import os, subprocess, sys, time
unmarked = subprocess.Popen([sys.executable, "-c", {_SLEEP!r}], env={{}})
print(unmarked.pid, flush=True)
time.sleep(60)
"""
    owner = start()  # lives until the group is there, because a real worker on this machine may sweep at any time
    orphan = start(code, **{CHILD_MARK: f"boot:{owner.pid}"})
    assert orphan.stdout is not None
    unmarked = int(orphan.stdout.readline())
    owner.kill()
    owner.wait()
    assert_swept(orphan)
    assert eventually(lambda: not is_alive(unmarked))


def test_process_of_a_living_child_is_left_alone(start: Start) -> None:
    """Marked, and owned."""
    owner = start()
    start(**{CHILD_MARK: f"boot:{owner.pid}", WORKER_MARK: f"boot:{os.getpid()}"})
    assert [] == kill_orphans()


def test_unmarked_process_is_left_alone(start: Start) -> None:
    """Nothing of ours, whoever's it is."""
    other, garbled = start(), start(**{CHILD_MARK: "nonsense", WORKER_MARK: "boot:x1"})
    assert [] == kill_orphans()
    assert [True, True] == [is_alive(other.pid), is_alive(garbled.pid)]


def test_process_that_is_marked_with_itself_is_left_alone(start: Start) -> None:
    """A child carries its own mark, so that what it starts inherits it."""
    mark = f"{{**os.environ, {CHILD_MARK!r}: f'boot:{{os.getpid()}}'}}"
    child = start(f"import os, sys; os.execve(sys.executable, [sys.executable, '-c', {_SLEEP!r}], {mark})")
    assert eventually(lambda: CHILD_MARK in psutil.Process(child.pid).environ())
    assert [] == kill_orphans()


def test_number_that_was_given_out_again_is_no_owner(start: Start) -> None:
    """The pid lives, but it is a process of another boot."""
    newcomer = start(**{WORKER_MARK: f"later:{os.getpid()}"})
    orphan = start(**{CHILD_MARK: f"earlier:{newcomer.pid}", WORKER_MARK: f"earlier:{os.getpid()}"})
    assert_swept(orphan)


def test_process_younger_than_what_it_would_own_is_no_owner(start: Start, started: set[int]) -> None:
    """The pid lives, but it was given out again after the owner's death, to a process without any mark."""
    # The mark must stand in the environment that exec leaves in /proc, so a shell waits for the number it is to carry.
    script = f"read pid; {CHILD_MARK}=boot:$pid exec sleep 60"
    orphan = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, text=True)
    started.add(orphan.pid)
    time.sleep(0.1)  # the kernel counts start times in hundredths of a second
    newcomer = start()
    with orphan.stdin as stdin:
        stdin.write(f"{newcomer.pid}\n")
    assert_swept(orphan)


def test_grandchild_in_its_own_session_does_not_escape(start: Start, started: set[int]) -> None:
    """Killing the child's group does not reach it; its inherited mark does."""
    owner = start(_LEAVE_BEHIND)
    worker_mark = f"boot:{os.getpid()}"
    child = start(_LEAVE_BEHIND, **{WORKER_MARK: worker_mark, CHILD_MARK: f"boot:{owner.pid}"})
    started |= {grandchild := int(child.stdout.readline()), int(owner.stdout.readline())}
    kill_group(child.pid)
    child.wait(timeout=5)
    assert is_alive(grandchild)
    kill_group(owner.pid)
    owner.wait(timeout=5)
    assert eventually(lambda: bool(kill_orphans()) or not is_alive(grandchild))
    assert eventually(lambda: not is_alive(grandchild))


def test_group_of_a_child_is_killed_with_it(start: Start, started: set[int]) -> None:
    """An engine's tools go with their engine."""
    code = _LEAVE_BEHIND.replace("start_new_session=True, ", "")
    child = start(code)
    started.add(tool := int(child.stdout.readline()))
    kill_group(child.pid)
    assert child.wait(timeout=5) == -9
    assert eventually(lambda: not is_alive(tool))


def test_strangers_group_is_not_killed(start: Start, started: set[int]) -> None:
    """A dead child's number may belong to somebody else by now."""
    child = start(_LEAVE_BEHIND)
    started.add(stranger := int(child.stdout.readline()))
    kill_group(stranger)
    kill_group(dead_pid(start))
    assert [True, False, True] == [is_own_child(child.pid), is_own_child(stranger), is_alive(stranger)]


def test_child_is_killed_only_if_it_still_is_where_it_was(started: set[int]) -> None:
    """It stands still while that is looked at, and goes on where the answer is no."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0) as child:
        started.add(child.pid)
        seen: list[str] = []

        def look(answer: bool) -> bool:
            seen.append(psutil.Process(child.pid).status())
            return answer

        assert not kill_group_if(child.pid, lambda: look(False))
        assert eventually(lambda: psutil.Process(child.pid).status() != psutil.STATUS_STOPPED)
        assert kill_group_if(child.pid, lambda: look(True))
        assert child.wait(timeout=5) == -9
    assert [psutil.STATUS_STOPPED] * 2 == seen


def test_stranger_is_never_stopped() -> None:
    """Only children of this process are."""
    assert not kill_group_if(1, lambda: True)

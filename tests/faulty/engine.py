"""The misbehaviour itself."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.core.errors import Permanent, Transient
from tasks.core.job import JobContext
from tests.faulty.contract import ActRequest, ActResult


def act(request: ActRequest, job: JobContext) -> ActResult:
    """Leave a trace of this start, then behave as asked."""
    with Path(request.effects).open("a", encoding="utf-8") as effects:
        effects.write(f"{job.id} {job.attempt} {job.fence}\n")
    if job.attempt <= request.until_attempt:
        _ACTS[request.act](request, job)
    return ActResult(attempt=job.attempt, fence=job.fence)


def _succeed(request: ActRequest, job: JobContext) -> None:
    job.checkpoint()


def _fail(request: ActRequest, job: JobContext) -> None:
    raise Permanent("This cannot work.", code="hopeless")


def _transient(request: ActRequest, job: JobContext) -> None:
    raise Transient("Try again.")


def _exit(request: ActRequest, job: JobContext) -> None:
    (job.workdir / "left").write_text("behind")
    os._exit(3)


def _segfault(request: ActRequest, job: JobContext) -> None:
    ctypes.string_at(0)


def _kill(request: ActRequest, job: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _gobble(request: ActRequest, job: JobContext) -> None:
    hoard = bytearray()
    for _ in range(request.mebibytes):
        hoard += b"x" * (1 << 20)
    _sleep(request, job)


def _unmemorable(request: ActRequest, job: JobContext) -> None:
    bytearray(1 << 60)


def _sleep(request: ActRequest, job: JobContext) -> None:
    until = time.monotonic() + request.seconds
    while time.monotonic() < until:
        job.checkpoint()
        time.sleep(0.05)


def _stubborn(request: ActRequest, job: JobContext) -> None:
    (job.workdir / "left").write_text("behind")
    until = time.monotonic() + request.seconds
    while time.monotonic() < until:
        with suppress(BaseException):
            job.checkpoint()
            time.sleep(0.05)


def _hang(request: ActRequest, job: JobContext) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    subprocess.Popen(["sleep", "1000"])
    ctypes.PyDLL(None).sleep(int(request.seconds))  # PyDLL, unlike CDLL, keeps the interpreter locked


def _grandchild(request: ActRequest, job: JobContext) -> None:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    _stubborn(request, job)


def _mute(request: ActRequest, job: JobContext) -> None:
    until = time.monotonic() + request.seconds
    while time.monotonic() < until:
        with suppress(BaseException):
            time.sleep(0.05)


def _browse(request: ActRequest, job: JobContext) -> None:
    async def wait(visit: Any) -> None:
        await visit.open(await visit.context.new_page(), request.url, timeout_s=request.seconds)

    job.browser.visit(wait, timeout_s=request.seconds)


def _tell(request: ActRequest, job: JobContext) -> None:
    for done in range(1, 4):
        job.report("telling", done, 3)
    job.log("told")
    job.save("tale.txt", b"once", "text/plain")


_ACTS: Mapping[str, Callable[[ActRequest, JobContext], None]] = {
    "succeed": _succeed,
    "fail": _fail,
    "transient": _transient,
    "exit": _exit,
    "segfault": _segfault,
    "kill": _kill,
    "gobble": _gobble,
    "unmemorable": _unmemorable,
    "sleep": _sleep,
    "stubborn": _stubborn,
    "hang": _hang,
    "grandchild": _grandchild,
    "mute": _mute,
    "browse": _browse,
    "tell": _tell,
}

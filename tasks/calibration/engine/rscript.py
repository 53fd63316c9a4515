"""R as a process of its own, one for each job."""

import os
import queue
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO

import psutil

from tasks.calibration.engine.bridge import Run, check_library, r_failed
from tasks.core.errors import EngineFailed, EngineUnavailable, Permanent, Transient

_POLL_S = 0.1
_ERROR_LINES = 5


def run_rscript(run: Run) -> None:
    """Run R until it is done; what it prints arrives live, in the calling thread.

    Raises:
        EngineUnavailable: no Rscript, or not our package.
        EngineFailed: R failed.
        JobInterrupted: from ``run.checkpoint``; R was killed.
    """
    program = shutil.which("Rscript")
    if program is None:
        raise EngineUnavailable("There is no Rscript on the path: install R (r-base-core).")
    check_library(run.library)
    code = f"invisible(({run.code})(commandArgs(TRUE)[1], commandArgs(TRUE)[2]))"
    process = subprocess.Popen(
        [program, "--vanilla", "-e", code, str(run.library.absolute()), str(run.folder.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=run.folder,
        env={**os.environ, "TMPDIR": str(run.folder.absolute()), "LC_ALL": "C.UTF-8"},
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    last: list[str] = []
    try:
        _relay(process, run, last)
    finally:
        _kill(process)
    if process.returncode < 0:
        raise _ended_by(signal.Signals(-process.returncode))
    if process.returncode != 0:
        words = [line for line in last if line != "Execution halted"]
        raise r_failed(" ".join(words[-_ERROR_LINES:]) or f"exit status {process.returncode}")


def _kill(process: "subprocess.Popen[str]") -> None:
    # R may have started a compiler or another shell; they would go on by themselves.
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def _ended_by(number: signal.Signals) -> EngineFailed:
    if number is signal.SIGKILL:
        return Transient(f"R was killed from outside ({number.name}), perhaps for want of memory.")
    return Permanent(f"R crashed ({number.name}); the job's log has its last words.")


def _relay(process: "subprocess.Popen[str]", run: Run, last: list[str]) -> None:
    fragments: queue.Queue[tuple[bool, str | None]] = queue.Queue()
    assert process.stdout is not None  # noqa: S101  # both are pipes
    assert process.stderr is not None  # noqa: S101  # it was started with a pipe
    for is_error, stream in ((False, process.stdout), (True, process.stderr)):
        threading.Thread(target=_read, args=(stream, is_error, fragments), daemon=True).start()
    open_streams = 2
    while open_streams:
        run.checkpoint()
        try:
            is_error, text = fragments.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if text is None:
            open_streams -= 1
            continue
        (run.console.errors if is_error else run.console.output).feed(text)
        if is_error:
            last.append(text.strip())
    run.console.close()
    while process.poll() is None:
        run.checkpoint()
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue


def _read(stream: IO[str], is_error: bool, fragments: "queue.Queue[tuple[bool, str | None]]") -> None:
    with stream:
        for line in stream:
            fragments.put((is_error, line))
    fragments.put((is_error, None))

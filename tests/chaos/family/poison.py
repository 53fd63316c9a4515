"""Ways to ruin the process that runs a job. None of them returns, unless nobody stops it."""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from tasks.core.errors import Permanent

_BLOCK_BYTES = 16 * 1024 * 1024
# Where nothing limits a job's memory, the machine's is not used up for that.
_MOST_BLOCKS = 64
_LONG_S = 1000


def engine_command() -> list[str]:
    """Return the command of a program that a real engine would start: a browser, R, or something that only waits."""
    if browser := shutil.which("chromium"):
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        return [browser, *options, "about:blank"]
    if rscript := shutil.which("Rscript"):
        return [rscript, "-e", f"Sys.sleep({_LONG_S})"]
    return ["sleep", f"{_LONG_S}"]


def _exit() -> None:
    os._exit(3)


def _segfault() -> None:
    ctypes.string_at(0)


def _hog() -> None:
    taken = []
    for _ in range(_MOST_BLOCKS):
        taken.append(b"x" * _BLOCK_BYTES)
        time.sleep(0.05)
    time.sleep(5)
    raise Permanent(f"Nobody minded {len(taken) * _BLOCK_BYTES} bytes.", code="unlimited")


def _spin() -> None:
    while True:
        pass


def _hung_engine() -> None:
    subprocess.Popen(engine_command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Killing the child's process group does not reach this one.
    subprocess.Popen(["sleep", f"{_LONG_S}"], start_new_session=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    ctypes.PyDLL(None).sleep(_LONG_S)  # PyDLL, unlike CDLL, keeps the interpreter locked


POISONS: Mapping[str, Callable[[], None]] = {
    "exit": _exit,
    "segfault": _segfault,
    "hog": _hog,
    "spin": _spin,
    "hung_engine": _hung_engine,
}

"""R inside this process, by rpy2: started at the first job, then used again by the next ones."""

import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.calibration.engine.bridge import Run, check_library, r_failed
from tasks.calibration.engine.watchdog import Watchdog
from tasks.core.errors import EngineUnavailable, JobInterrupted

# R without anybody's profile, history or saved workspace.
_OPTIONS = ("rpy2", "--quiet", "--no-save", "--vanilla")


def run_embedded(run: Run) -> None:
    """Run R in this thread until it is done; what it prints arrives live.

    Raises:
        EngineUnavailable: rpy2, R or our package is missing, or this is not the main thread.
        EngineFailed: R failed.
        JobInterrupted: from ``run.checkpoint``; R was interrupted and can be used again.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EngineUnavailable("R by rpy2 runs in a process's main thread only: use the prefork pool.")
    check_library(run.library)
    r = _started(run.folder)
    watchdog = Watchdog(run.checkpoint, r.interrupt)
    before = r.callbacks.consolewrite_print, r.callbacks.consolewrite_warnerror
    r.callbacks.consolewrite_print = _careful(run.console.output.feed, watchdog)
    r.callbacks.consolewrite_warnerror = _careful(run.console.errors.feed, watchdog)
    try:
        with watchdog:
            try:
                _call(r, run)
            finally:
                run.console.close()
    finally:
        # An interrupt that came too late must not meet the next job.
        r.rlib.R_interrupts_pending = 0
        r.callbacks.consolewrite_print, r.callbacks.consolewrite_warnerror = before


@dataclass(frozen=True, slots=True)
class _R:
    """The parts of rpy2's low-level interface that are used here."""

    rinterface: Any
    callbacks: Any
    embedded: Any
    rlib: Any

    def interrupt(self) -> None:
        self.rlib.R_interrupts_pending = 1


def _started(folder: Path) -> _R:
    """Return R, running; what it keeps in temporary files begins in ``folder``."""
    os.environ.setdefault("RPY2_CFFI_MODE", "ABI")
    try:
        from rpy2 import rinterface  # noqa: PLC0415  # looks for R
        from rpy2.rinterface_lib import callbacks, embedded, openrlib  # noqa: PLC0415  # R starts with it
    except (ImportError, OSError, ValueError) as exc:
        raise EngineUnavailable(
            f"rpy2 cannot be loaded ({exc}): install the extra r and R itself, or set SWITCHYARD_R_BRIDGE=rscript."
        ) from exc
    if not embedded.isinitialized():
        _start(rinterface, embedded, folder)
    return _R(rinterface, callbacks, embedded, openrlib.rlib)


def _start(rinterface: Any, embedded: Any, folder: Path) -> None:
    before = dict(os.environ)
    # Python keeps the first answer for good: it must not be the folder of a job whose start of R failed.
    tempfile.gettempdir()
    os.environ["TMPDIR"] = str(folder.absolute())
    try:
        embedded.set_initoptions(_OPTIONS)
        rinterface.initr(interactive=False)
    finally:
        # R brings the environment of its launcher, whose library path makes other programs fail.
        for name in [name for name in os.environ if not name.startswith("R_")]:
            if name not in before:
                del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def _careful(feed: Callable[[str], None], watchdog: Watchdog) -> Callable[[str], None]:
    """Keep what must stop the job from being lost: nothing can be raised through R."""

    def write(text: str) -> None:
        try:
            feed(text)
        except JobInterrupted as reason:
            watchdog.stop_for(reason)

    return write


def _call(r: _R, run: Run) -> None:
    error: type[Exception] = r.embedded.RRuntimeError
    text = r.rinterface.StrSexpVector
    try:
        r.rinterface.evalr(run.code.strip())(text([str(run.library.absolute())]), text([str(run.folder.absolute())]))
    except error as exc:
        raise r_failed(str(exc)) from exc

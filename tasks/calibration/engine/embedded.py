"""R inside this process, by rpy2: started at the first job, then used again by the next ones."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.calibration.engine.bridge import CODE, Run, check_library, r_failed
from tasks.calibration.engine.watchdog import Watchdog
from tasks.core.errors import EngineUnavailable, JobInterrupted

# R without anybody's profile, history or saved workspace.
_OPTIONS = ("rpy2", "--quiet", "--no-save", "--vanilla")


def run_embedded(run: Run) -> None:
    """Run R in this thread until it is done; what it prints arrives live.

    Raises:
        EngineUnavailable: rpy2, R or our package is missing, or this is not the main thread.
        Permanent: R failed.
        JobInterrupted: from ``run.checkpoint``; R was interrupted and can be used again.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EngineUnavailable("R by rpy2 runs in a process's main thread only: use the prefork pool.")
    check_library(run.library)
    rinterface = _started(run.folder)
    rlib = rinterface.openrlib.rlib
    watchdog = Watchdog(run.checkpoint, lambda: setattr(rlib, "R_interrupts_pending", 1))
    callbacks = rinterface.callbacks
    before = callbacks.consolewrite_print, callbacks.consolewrite_warnerror
    callbacks.consolewrite_print = _careful(run.console.output.feed, watchdog)
    callbacks.consolewrite_warnerror = _careful(run.console.errors.feed, watchdog)
    try:
        with watchdog:
            try:
                _call(rinterface, run)
            finally:
                # An interrupt that came too late must not meet the next job.
                rlib.R_interrupts_pending = 0
                run.console.close()
    finally:
        rlib.R_interrupts_pending = 0
        callbacks.consolewrite_print, callbacks.consolewrite_warnerror = before


def _started(folder: Path) -> Any:
    """Return rpy2's low-level interface with R running; its temporary folder lies in ``folder``."""
    os.environ.setdefault("RPY2_CFFI_MODE", "ABI")
    try:
        from rpy2 import rinterface  # noqa: PLC0415  # starts looking for R
        from rpy2.rinterface_lib import embedded  # noqa: PLC0415
    except (ImportError, OSError, ValueError) as exc:
        raise EngineUnavailable(
            f"rpy2 cannot be loaded ({exc}): install the extra r and R itself, or set SWITCHYARD_R_BRIDGE=rscript."
        ) from exc
    if not embedded.isinitialized():
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(folder.absolute())
        interrupt_handler = signal.getsignal(signal.SIGINT)
        try:
            embedded.set_initoptions(_OPTIONS)
            rinterface.initr(interactive=False)
        finally:
            signal.signal(signal.SIGINT, interrupt_handler)
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
    return rinterface


def _careful(feed: Callable[[str], None], watchdog: Watchdog) -> Callable[[str], None]:
    """Keep what must stop the job from being lost: nothing can be raised through R."""

    def write(text: str) -> None:
        try:
            feed(text)
        except JobInterrupted as reason:
            watchdog.stop_for(reason)

    return write


def _call(rinterface: Any, run: Run) -> None:
    error: type[Exception] = rinterface.embedded.RRuntimeError
    try:
        function = rinterface.evalr(CODE.strip())
        function(
            rinterface.StrSexpVector([str(run.library.absolute())]),
            rinterface.StrSexpVector([str(run.folder.absolute())]),
        )
    except error as exc:
        raise r_failed(str(exc)) from exc

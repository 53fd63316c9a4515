"""Stops R from the outside while it works in the job's own thread, where no Python runs."""

import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType

from tasks.core.errors import JobInterrupted

_LOOK_S = 0.2
# R may be where it does not look for interrupts, so it is told again.
_AGAIN_S = 0.05
_SOFT_LIMIT = signal.SIGUSR1
# Wakes the main thread where R waits for the system, as in Sys.sleep, so that it looks for interrupts. Free otherwise.
_WAKE = signal.SIGURG


class Watchdog:
    """Asks a thread of its own whether the job must stop, and interrupts R when it must.

    Celery's soft limit comes as a signal whose handler would raise inside one of R's callbacks, where exceptions are
    lost. So while R runs the signal is only noted: the C half of Python's handling writes its number into a pipe at
    once, whatever the main thread does. Leaving the block raises what stopped R.

    Use it in the process's main thread only.
    """

    def __init__(self, checkpoint: Callable[[], None], interrupt: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._interrupt = interrupt
        self._stopped_by: JobInterrupted | None = None
        self._is_over_limit = False
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="r-watchdog", daemon=True)

    def stop_for(self, reason: JobInterrupted) -> None:
        """Stop R because of ``reason``, which a callback met and cannot raise."""
        self._stopped_by = self._stopped_by or reason

    @property
    def has_stopped(self) -> bool:
        """Whether R was told to stop."""
        return self._stopped_by is not None or self._is_over_limit

    def __enter__(self) -> "Watchdog":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._handler_before = signal.signal(_SOFT_LIMIT, self._note)
        self._wake_before = signal.signal(_WAKE, lambda *_: None)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_done.set()
        with suppress(BlockingIOError):  # full, so that nobody waits for it
            os.write(self._writer, b"\0")  # no signal has this number
        self._thread.join()
        signal.signal(_WAKE, self._wake_before)
        signal.signal(_SOFT_LIMIT, self._handler_before)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._writer)
        os.close(self._reader)
        if self._stopped_by is not None:
            raise self._stopped_by from error
        if self._is_over_limit and callable(self._handler_before):
            self._handler_before(_SOFT_LIMIT, None)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_over_limit = True

    def _watch(self) -> None:
        while not self._is_done.is_set():
            if not self.has_stopped:
                self._look()
            if not self.has_stopped:
                self._wait(_LOOK_S)
            elif not self._is_done.is_set():
                self._interrupt()
                signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)
                # Not by the pipe, where each of these signals is noted as well.
                self._is_done.wait(_AGAIN_S)

    def _look(self) -> None:
        try:
            self._checkpoint()
        except JobInterrupted as reason:
            self.stop_for(reason)

    def _wait(self, seconds: float) -> None:
        readable, _, _ = select.select([self._reader], [], [], seconds)
        if readable and _SOFT_LIMIT in os.read(self._reader, 64):
            self._is_over_limit = True

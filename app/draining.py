"""How the server leaves: it says so first, goes on answering until balancers have noticed, and only then stops."""

import os
import signal
import time
from collections.abc import Callable
from threading import Thread
from types import FrameType
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

log = structlog.get_logger()


class DrainCall:
    """Tells every process of the server to drain: a pipe that is never written to, and whose end is the call.

    A process that is started after the call hears it at once; all hear it, too, when the main process was killed.
    """

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        self._is_open = True

    def make(self) -> None:
        """Call, from the main process; again is harmless."""
        if self._is_open:
            self._is_open = False
            os.close(self._writes)

    def listen(self) -> None:
        """Give up the calling end, in a process that was forked off; without this the call would never be heard."""
        self.make()

    def answer_with(self, act: Callable[[], object]) -> None:
        """Have ``act`` called when the call comes, on a thread of its own."""

        def hear() -> None:
            os.read(self._reads, 1)
            act()

        Thread(target=hear, name="drain-call", daemon=True).start()


class DrainingArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's main process. SIGTERM or SIGINT: drain for ``drain_s``, then stop; a second one stops at once."""

    def __init__(self, server: BaseApplication, call: DrainCall, *, drain_s: float) -> None:
        self._call = call
        self._drain_s = drain_s
        self._stop_at: float | None = None
        super().__init__(server)

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """Queue a signal; while it drains, each that asks to stop means: now."""
        if self._stop_at is not None and sig in {signal.SIGTERM, signal.SIGINT}:
            sig = signal.SIGQUIT
        super().signal(sig, frame)

    def handle_term(self) -> None:
        """Begin to drain."""
        if self._stop_at is not None:  # two that came together
            self.handle_quit()
        self._stop_at = time.monotonic() + self._drain_s
        log.info("server_draining", seconds=self._drain_s)
        self._call.make()

    handle_int = handle_term

    def wait_for_signals(self, timeout: float = 1.0) -> list[Any]:
        """Wait for signals, no longer than the draining lasts.

        Raises:
            StopIteration: it is over; gunicorn stops then.
        """
        if self._stop_at is not None:
            left_s = self._stop_at - time.monotonic()
            if left_s <= 0:
                raise StopIteration
            timeout = min(timeout, left_s)
        signals: list[Any] = super().wait_for_signals(timeout=timeout)
        return signals

"""Calls that are made a moment later, on one thread of the process, unless somebody was faster."""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread


class Soon:
    """Makes calls, one after the other, ``delay_s`` to twice as long after each was left here.

    The thread starts with the first. A call must find out by itself whether it is still wanted: nothing is taken back.
    One that raises ends the thread, which says so, and the next call starts another.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._wakes = Condition()
        self._sleeps = False
        self._closing = False
        self._thread: Thread | None = None

    def call(self, function: Callable[[], None]) -> None:
        """Call ``function`` soon; returns at once."""
        with self._wakes:
            self._due.append((time.monotonic() + self._delay_s, function))
            if self._thread is None or not self._thread.is_alive():
                self._sleeps = False
                self._thread = Thread(target=self._run, name="soon", daemon=True)
                self._thread.start()
            elif self._sleeps:
                self._wakes.notify()

    def close(self) -> None:
        """Forget what was not called yet, and wait for a call that is being made."""
        with self._wakes:
            self._due.clear()
            self._closing = True
            self._wakes.notify()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._closing:
            for function in self._take():
                function()

    def _take(self) -> list[Callable[[], None]]:
        with self._wakes:
            while not self._due and not self._closing:
                self._sleeps = True
                self._wakes.wait()
            self._sleeps = False
        # Not on the condition, nor until the first is due: whoever leaves calls meanwhile need not wake this thread for
        # each, and each time that it wakes, it takes the interpreter from whoever works.
        if not self._closing:
            time.sleep(self._delay_s)
        taken = []
        with self._wakes:
            while self._due and self._due[0][0] <= time.monotonic():
                taken.append(self._due.popleft()[1])
        return taken

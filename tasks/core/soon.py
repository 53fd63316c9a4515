"""Calls that are made a moment later, on one thread of the process, unless somebody was faster."""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread


class Soon:
    """Makes each call ``delay_s`` after it was left here, one after the other; starts its thread with the first.

    A call must not raise, and must find out by itself whether it is still wanted: nothing is taken back.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._wakes = Condition()
        self._sleeps = False
        self._thread: Thread | None = None

    def call(self, function: Callable[[], None]) -> None:
        """Call ``function`` soon; returns at once."""
        with self._wakes:
            self._due.append((time.monotonic() + self._delay_s, function))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="soon", daemon=True)
                self._thread.start()
            elif self._sleeps:
                self._wakes.notify()

    def _run(self) -> None:
        while True:
            for function in self._take():
                function()

    def _take(self) -> list[Callable[[], None]]:
        with self._wakes:
            while not self._due:
                self._sleeps = True
                self._wakes.wait()
            self._sleeps = False
            due_at = self._due[0][0]
        # Not on the condition: whoever leaves calls meanwhile need not wake this thread for each.
        time.sleep(max(0.0, due_at - time.monotonic()))
        taken = []
        with self._wakes:
            while self._due and self._due[0][0] <= time.monotonic():
                taken.append(self._due.popleft()[1])
        return taken

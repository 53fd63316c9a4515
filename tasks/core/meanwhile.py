"""Calls that another thread of the process makes at once, while who wants them made goes on."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread


class Meanwhile:
    """Makes calls one after the other, in the order in which they were left here.

    The thread starts with the first and lives as long as the process. A call that raises ends it, which says so; the
    next call starts another, which also makes those that were left.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._thread: Thread | None = None

    def call(self, function: Callable[[], object]) -> None:
        """Have ``function`` called; returns at once. For one thread at a time."""
        self._calls.put(function)
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="meanwhile", daemon=True)
            self._thread.start()

    def close(self, *, limit_s: float = 2.0) -> None:
        """Wait until every call was made, for ``limit_s`` at most."""
        if self._thread is not None:
            done = Event()
            self.call(done.set)
            done.wait(limit_s)

    def _run(self) -> None:
        while True:
            self._calls.get()()

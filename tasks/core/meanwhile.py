"""What another thread of the process does with what is left to it, while who leaves it goes on."""

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")

# For so long whatever need not be dealt with at once is collected: a thread that wakes for each item takes the
# interpreter from whoever works each time, and several things are told in one go at the price of one.
_COLLECTED_S = 0.005


class Meanwhile(Generic[Item]):
    """Deals with what is left here, in that order, several at a time where several wait.

    The thread starts with the first and lives as long as the process. An error ends it, which says so; the next item
    starts another, which also deals with what was left.

    Args:
        deal: is given what waits, at least one item.
    """

    def __init__(self, deal: Callable[[list[Item]], object]) -> None:
        self._deal = deal
        self._left: SimpleQueue[tuple[Item | Event, bool]] = SimpleQueue()
        self._thread: Thread | None = None

    def leave(self, item: Item, *, may_wait: bool = False) -> None:
        """Have ``item`` dealt with; returns at once. For one thread at a time.

        Args:
            may_wait: for a few milliseconds, since more will be left here.
        """
        self._leave(item, may_wait=may_wait)

    def _leave(self, item: Item | Event, *, may_wait: bool) -> None:
        self._left.put((item, may_wait))
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="meanwhile", daemon=True)
            self._thread.start()

    def close(self, *, limit_s: float = 2.0) -> None:
        """Wait until everything was dealt with, for ``limit_s`` at most."""
        if self._thread is not None:
            done = Event()
            self._leave(done, may_wait=False)
            done.wait(limit_s)

    def _run(self) -> None:
        while True:
            taken = self._take()
            items = [item for item in taken if not isinstance(item, Event)]
            if items:
                self._deal(items)
            for done in taken:
                if isinstance(done, Event):
                    done.set()

    def _take(self) -> list[Item | Event]:
        item, may_wait = self._left.get()
        taken = [item]
        if may_wait:
            time.sleep(_COLLECTED_S)
        with suppress(Empty):
            while True:
                taken.append(self._left.get_nowait()[0])
        return taken

"""An event loop in a thread of its own, for a program whose main thread must stay free for signals and checkpoints."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

# How often the waiting thread looks after what it is asked to look after.
_LOOK_EVERY_S = 0.1
_JOIN_LIMIT_S = 5.0


class LoopThread:
    """Runs coroutines for other threads until it is closed."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(
        self,
        coroutine: Coroutine[Any, Any, T],
        *,
        meanwhile: Callable[[], None] = lambda: None,
        cleanup_s: float,
        give_up: Callable[[], None] = lambda: None,
    ) -> T:
        """Return the coroutine's result.

        Args:
            meanwhile: called ten times a second while it runs. What it raises, or a signal's handler raises in this
                thread, cancels the coroutine and is raised here once that has cleaned up.
            cleanup_s: what the coroutine has for that; ``give_up`` is called when it is not enough.
        """
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_telling(coroutine, ended), self._loop)
        try:
            return _result(future, meanwhile)
        finally:
            if not future.done():
                future.cancel()
                if not ended.wait(cleanup_s):
                    give_up()

    def close(self) -> None:
        """End the loop and the thread; coroutines under way are dropped, and one that never awaits is left behind."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_LIMIT_S)
        if not self._thread.is_alive():
            self._loop.close()


def _result(future: Future[T], meanwhile: Callable[[], None]) -> T:
    while not future.done():
        wait([future], timeout=_LOOK_EVERY_S)
        if not future.done():
            meanwhile()
    return future.result()


async def _telling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()

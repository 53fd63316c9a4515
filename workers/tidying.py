"""A worker's parent lets go of what its event loop holds for nothing, so that it stays as large as it is."""

import heapq
from collections.abc import Callable
from multiprocessing import util
from typing import Any

from celery import bootsteps
from kombu.transport.virtual import QoS

_LOOK_EVERY_S = 5.0
# So few are not worth building the heap anew.
_FEW = 100
_TRANSPORTS = "kombu.transport."


class TidyTimerStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Drops the time limits of jobs that have ended.

    Celery marks such a limit as cancelled and leaves it in the loop's heap until its time has come (celery/concurrency/
    asynpool.py, kombu/asynchronous/timer.py, 5.7): half a kilobyte for each job of the last hour, if the limit is one.
    """

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, _parent: Any, hub: Any) -> None:
        """Look from now on; Celery calls this for each loop that it begins, and ends what was begun for the last."""
        hub.call_repeatedly(_LOOK_EVERY_S, drop_cancelled, hub.timer)


def drop_cancelled(timer: Any) -> int:
    """Take the cancelled entries out of a timer of Kombu's once they are most of it; return how many."""
    queue = timer._queue  # it has no other way to them
    kept = [one for one in queue if not one.entry.canceled]
    dropped = len(queue) - len(kept)
    if dropped < max(_FEW, len(kept)):
        return 0
    queue[:] = kept  # in place: the loop holds this very list
    heapq.heapify(queue)
    return dropped


class TidyConnectionStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Drops what is left of connections to the broker that broke, a hundred kilobytes each.

    Two things keep one (Kombu 5.7): the call at every turn of the loop for which it asked and which it never takes back
    (kombu/transport/redis.py, register_with_event_loop), and, where its channels could not say goodbye because nobody
    answered, what they wanted to be done at the end of the process (kombu/transport/virtual/base.py, QoS).
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._calls: set[Callable[[], None]] = set()

    def start(self, parent: Any) -> None:
        """Drop what is of the connection before; Celery calls this for each one, when it stands."""
        if parent.hub is not None:
            parent.hub.on_tick -= self._calls
            self._calls = {call for call in parent.hub.on_tick if _module_of(call).startswith(_TRANSPORTS)}
        forget_dead_channels()

    def stop(self, parent: Any) -> None:
        """Do nothing: the next ``start`` does."""


def forget_dead_channels() -> int:
    """Take back what channels of closed connections want to be done when this process ends; return how many there were.

    It is to give back messages that were taken and not acknowledged, of which ours have none: what a worker has taken
    and has not claimed the dispatcher carries again.
    """
    wishes = list(vars(util)["_finalizer_registry"].values())  # it has no other way to them
    dead = [wish for wish in wishes if _is_of_dead_channel(wish)]
    for wish in dead:
        wish.cancel()
    return len(dead)


def _is_of_dead_channel(wish: Any) -> bool:
    qos = getattr(wish._callback, "__self__", None)
    if not isinstance(qos, QoS):
        return False
    transport = qos.channel.connection
    # A connection takes its leave of its transport when it is closed, also when its channels could not be.
    return qos.channel.closed or transport is None or transport.client is None


def _module_of(call: object) -> str:
    return getattr(call, "__module__", None) or ""

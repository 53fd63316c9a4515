"""A worker's parent notices soon that a child of its pool has died."""

from typing import Any

from celery import bootsteps

# Celery looks every five seconds, and when a child closes its end of a pipe; but that comes before the kernel lets the
# parent know of the death (celery/concurrency/asynpool.py, _event_process_exit, Celery 5.7), so this look finds a
# living child. Until the next one the pool may hand the dead child a job, which waits there while others are free.
_LOOK_EVERY_S = 0.25


class ReapStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Lets the pool look for dead children four times a second."""

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Look from now on; Celery calls this for each loop that it begins, beside its own."""
        hub.call_repeatedly(_LOOK_EVERY_S, parent.pool._pool.maintain_pool)

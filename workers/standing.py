"""A worker takes no more jobs than children stand ready for."""

from types import MethodType
from typing import Any

from celery import bootsteps
from celery.worker import state


class StandingStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Counts the children that have said that they stand, where Celery counts those that were asked for.

    A child is a fresh interpreter, which takes a second or more to load; until then the job that was taken for it would
    wait while children of other workers are free (``worker_disable_prefetch``: celery/worker/consumer/tasks.py, 5.7).
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Look before each job is asked for; Celery calls this for each connection."""
        pool, qos = parent.pool._pool, parent.task_consumer.channel.qos
        celerys = qos.can_consume

        def can_consume(_: Any) -> bool:
            # One process of the pool, one pipe for its jobs, which counts from the child's first word until its end.
            return len(state.reserved_requests) < len(pool._all_inqueues) and celerys()

        qos.can_consume = MethodType(can_consume, qos)

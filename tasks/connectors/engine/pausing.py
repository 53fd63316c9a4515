"""Waiting that a cancel ends."""

import time

from tasks.core.job import JobContext

_LOOK_EVERY_S = 0.1


def pause(job: JobContext, seconds: float) -> None:
    """Wait, with a checkpoint ten times a second."""
    until = time.monotonic() + seconds
    job.checkpoint()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(_LOOK_EVERY_S, left))
        job.checkpoint()

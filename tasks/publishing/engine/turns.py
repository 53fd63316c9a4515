"""One job at a time works on a site; others wait here, older ones first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.job import JobContext
from tasks.publishing.contract import Stage
from tasks.publishing.release import Records

_PAUSE_S = 0.25


@contextmanager
def turn_of(records: Records, job: JobContext, site: str) -> Iterator[None]:
    """Wait until the site is this job's, and give it back at the end."""
    is_told = False
    while not records.take_turn(job, site):
        if not is_told:
            job.report(Stage.WAITING, 0, message=f"another job is publishing {site}")
            is_told = True
        job.checkpoint()
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        records.leave(job, site)

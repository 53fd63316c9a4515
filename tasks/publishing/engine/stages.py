"""The stages of a publication as viewers see them, and how long each took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.core.job import JobContext
from tasks.publishing.contract import Stage


class Stages:
    """Times stages; ``seconds`` has those that are over."""

    def __init__(self, job: JobContext) -> None:
        self._job = job
        self.seconds: dict[Stage, float] = {}

    @contextmanager
    def stage(self, name: Stage, message: str = "") -> Iterator[Callable[[int, int], None]]:
        """Run a stage; what it yields reports how many things are done, and of how many."""
        began = time.monotonic()
        self._job.report(name, 0, message=message)
        yield lambda done, total: self._job.report(name, done, total)
        self.seconds[name] = round(time.monotonic() - began, 3)

"""The browser as an engine sees it: ``job.browser``."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from tasks.core.browser.options import VisitOptions
from tasks.core.browser.visits import Visit
from tasks.core.browser.warm import WarmBrowser

if TYPE_CHECKING:
    from tasks.core.job import JobContext

T = TypeVar("T")


class JobBrowser:
    """The worker child's warm browser, for one job.

    Attributes:
        seconds: how long the job has used it.
        bytes_carried: what went over the network for it, both directions.
        refused: how often each ``host:port`` was refused to it.
    """

    def __init__(self, warm: WarmBrowser, job: "JobContext") -> None:
        self.seconds = 0.0
        self.bytes_carried = 0
        self.refused: dict[str, int] = {}
        self._warm = warm
        self._job = job

    def visit(
        self, work: Callable[[Visit], Awaitable[T]], *, timeout_s: float, options: VisitOptions | None = None
    ) -> T:
        """Await ``work`` on a fresh browser context and return its result; a cancellation point all the while.

        ``work`` runs on the event loop that also serves the browser's connections: it awaits, and computes little.

        Raises:
            EngineUnavailable: this machine has no Chromium.
            EgressRefused: ``Visit.open`` was given an address that is not allowed, or led to one.
            TooLarge: the pages sent more than a visit may fetch.
            Transient: ``work`` took longer than ``timeout_s``, or the browser failed.
            JobCancelled, JobSuperseded: control flow, not to be caught.
        """
        began = time.monotonic()
        ended: list[Visit] = []
        try:
            return self._warm.run(
                work, timeout_s=timeout_s, checkpoint=self._job.checkpoint, told=ended.append, visit=options
            )
        finally:
            self.seconds += time.monotonic() - began
            for visit in ended:
                self._note(visit)

    def _note(self, visit: Visit) -> None:
        self.bytes_carried += visit.bytes_carried
        for name, times in visit.refused.items():
            self.refused[name] = self.refused.get(name, 0) + times
            self._job.log(f"The browser was not allowed to reach {name} ({times}x).", level="warning", stream="browser")

"""The work of the maintenance kinds."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tasks.core.job import JobContext
from tasks.maintenance.contract import Freed, PingRequest, PingResult, SweepRequest, SweepResult


def ping(request: PingRequest, job: JobContext) -> PingResult:
    """Return the message as it came."""
    job.checkpoint()
    return PingResult(message=request.message)


class Shelf(Protocol):
    """Where one sort of old things lies."""

    @property
    def name(self) -> str:
        """What is kept there."""

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """Remove what is old, or with ``dry_run`` only tell of it; yield after each bounded piece of the work."""


# Finds the shelves that a job may clear, given its id and an age in hours that overrides those of the kinds.
Shelves = Callable[[str, float | None], Sequence[Shelf]]


def sweep(request: SweepRequest, job: JobContext, *, shelves: Shelves) -> SweepResult:
    """Clear one shelf after the other until all are clear or the time is over.

    Each piece of the work is whole, so that a sweep that ends early, or runs twice, does no harm.
    """
    began_at = time.monotonic()
    freed: dict[str, Freed] = {}
    more = False
    found = shelves(job.id, request.older_than_hours)
    for number, shelf in enumerate(found):
        freed[shelf.name] = Freed()
        job.report(shelf.name, number, len(found))
        for piece in shelf.clear(batch=request.batch, dry_run=request.dry_run):
            freed[shelf.name] = _sum(freed[shelf.name], piece)
            job.report(shelf.name, number, len(found))
            if time.monotonic() - began_at >= request.max_seconds:
                more = True
                break
        if more:
            break
    seconds = round(time.monotonic() - began_at, 3)
    return SweepResult(freed=freed, more=more, dry_run=request.dry_run, seconds=seconds)


def _sum(one: Freed, other: Freed) -> Freed:
    return Freed(
        rows=one.rows + other.rows, files=one.files + other.files, size_bytes=one.size_bytes + other.size_bytes
    )

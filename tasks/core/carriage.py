"""What brings an accepted job to a worker: what the front door asks of it, and how a house without a broker does it."""

from collections.abc import Callable
from typing import Protocol

from tasks.core.records import Job

Errand = Callable[[], None]


class Carriage(Protocol):
    """Takes jobs on their way without keeping a request waiting."""

    @property
    def is_open(self) -> bool:
        """Whether a job accepted now may be carried here, rather than by the dispatcher."""

    def offer(self, job: Job) -> None:
        """Publish a job whose carry the caller has taken; returns at once."""

    def soon(self, errand: Errand) -> None:
        """Run ``errand`` in the background, unless too much waits; returns at once."""

    def close(self) -> None:
        """Publish what is left, for a short time, then stop."""


class NoCarriage:
    """For profile ``local``: an accepted job is where it has to be, because the local runner reads the ledger."""

    is_open = False

    def offer(self, job: Job) -> None:
        """Refuse: without a broker no carry is ever taken."""
        raise AssertionError(f"job {job.id} was carried in a house without a broker")

    def soon(self, errand: Errand) -> None:
        """Run it at once: it can wait for nothing but the ledger, which has just answered."""
        errand()

    def close(self) -> None:
        """Do nothing."""

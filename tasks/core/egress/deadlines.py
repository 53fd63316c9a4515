"""The moment by which a whole request must be over."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from tasks.core.errors import Transient

# Two timers set for the same moment fire in either order; this much early still counts as the deadline.
_SLACK_S = 0.005

# httpcore hands a stream one timeout for many reads, so a server that drips bytes would never be late.
# The stream asks here, at every read, what is left to the request that the calling thread is working for.
_in_force: ContextVar["Deadline | None"] = ContextVar("egress_deadline", default=None)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the moment that lies ``seconds`` ahead."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining_s(self) -> float:
        """Seconds left, 0 once it is past."""
        return max(self.at - time.monotonic(), 0.0)

    @property
    def is_past(self) -> bool:
        """Whether the time is used up."""
        return self.remaining_s <= _SLACK_S

    def demand(self) -> None:
        """Go on only if time is left.

        Raises:
            Transient: the time is used up.
        """
        if self.is_past:
            raise Transient("The server took too long to answer. Try again later, or raise the time limit.")

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Bound every read and write that this thread does inside.

        Raises:
            Transient: the time is used up already.
        """
        self.demand()
        token = _in_force.set(self)
        try:
            yield
        finally:
            _in_force.reset(token)

    @asynccontextmanager
    async def in_force_async(self) -> AsyncIterator[None]:
        """Bound everything that this task awaits inside.

        Raises:
            Transient: the time is used up, before or while.
        """
        self.demand()
        try:
            async with asyncio.timeout(self.remaining_s) as bound:
                yield
        except TimeoutError:
            if bound.expired():
                self.demand()
            raise


def seconds_allowed(timeout_s: float | None) -> float | None:
    """Return ``timeout_s``, or less where the deadline in force is nearer; 0 once it is past."""
    deadline = _in_force.get()
    if deadline is None:
        return timeout_s
    return deadline.remaining_s if timeout_s is None else min(timeout_s, deadline.remaining_s)

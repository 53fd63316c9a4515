"""How soon the dispatcher must look again: workers that empty the broker's window ring no bell."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tasks.core.ledger.carrying import Backlog

# Looking more often than this would cost the ledger more than it saves the workers.
SHORTEST_S = 0.02


@dataclass(slots=True)
class Pace:
    """Adapts to the workers: with a backlog, look again when they will have emptied half of the window.

    Without one the bell is enough. A backlog of long jobs is soon looked at as seldom as none.
    """

    longest_s: float
    clock: Callable[[], float] = time.monotonic
    _filled_at: float | None = None
    _pauses: dict[str, float] = field(default_factory=dict)

    def pause_s(self, filled: Sequence[tuple[Backlog, int]]) -> float:
        """Return how long the dispatcher may wait for its bell.

        Args:
            filled: each queue in which jobs waited, with how many of them were carried just now.
        """
        at = self.clock()
        took_s = self.longest_s if self._filled_at is None else at - self._filled_at
        self._filled_at = at
        self._pauses = {
            backlog.queue: self._pause_of(backlog, taken, took_s=took_s)
            for backlog, taken in filled
            if taken >= backlog.room  # else nothing waits any more
        }
        return min([self.longest_s, *self._pauses.values()])

    def _pause_of(self, backlog: Backlog, taken: int, *, took_s: float) -> float:
        before = self._pauses.get(backlog.queue, SHORTEST_S)
        if taken >= backlog.window:
            return SHORTEST_S  # they were idle, for who knows how long
        until_half_empty_s = took_s * (backlog.window / 2) / taken if taken else self.longest_s
        return min(self.longest_s, 2 * before, max(SHORTEST_S, until_half_empty_s))

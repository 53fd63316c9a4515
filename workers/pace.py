"""How soon the dispatcher must look again, and how much the broker may hold: workers that empty it ring no bell."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tasks.core.ledger.carrying import Backlog

# Looking more often than this would cost the ledger more than it saves the workers.
SHORTEST_S = 0.02
# Whoever comes next waits behind what the broker holds, so it holds no more than workers take in so long.
_REACH_S = 0.1
_WIDEST = 256


@dataclass(slots=True)
class Pace:
    """Adapts to the workers: with a backlog, look again when they will have emptied half of the window.

    Without one the bell is enough. A backlog of long jobs is soon looked at as seldom as none.
    """

    longest_s: float
    clock: Callable[[], float] = time.monotonic
    _filled_at: float | None = None
    _pauses: dict[str, float] = field(default_factory=dict)
    # How many jobs the broker held when it was last filled.
    _held: dict[str, int] = field(default_factory=dict)
    _taken_back: dict[str, int] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    """How many jobs of each queue the broker may hold, where workers are quick: as many as they take in a tenth of a
    second. Grows to twice of what it was at most, in one step."""

    def pause_s(self, filled: Sequence[tuple[Backlog, int]]) -> float:
        """Return how long the dispatcher may wait for its bell.

        Args:
            filled: each queue in which jobs waited, with how many of them were carried just now.
        """
        at = self.clock()
        took_s = self.longest_s if self._filled_at is None else at - self._filled_at
        self._filled_at = at
        self.windows = {backlog.queue: self._window_of(backlog, took_s=took_s) for backlog, _ in filled}
        self._taken_back.clear()
        self._held = {backlog.queue: backlog.window - backlog.room + taken for backlog, taken in filled}
        self._pauses = {
            backlog.queue: self._pause_of(backlog, taken, took_s=took_s)
            for backlog, taken in filled
            if taken >= backlog.room  # else nothing waits any more
        }
        return min([self.longest_s, *self._pauses.values()])

    def taken_back(self, queue: str, jobs: int) -> None:
        """Note that so many jobs left the broker by no worker's doing, before it is filled."""
        self._taken_back[queue] = self._taken_back.get(queue, 0) + jobs

    def _window_of(self, backlog: Backlog, *, took_s: float) -> int:
        if not backlog.room:
            return 0  # full, or held more than it may by now: nobody took so many that they wait for us
        held = backlog.window - backlog.room
        left = max(0, self._held.get(backlog.queue, held) - held - self._taken_back.get(backlog.queue, 0))
        return min(_WIDEST, 2 * backlog.window, int(left * _REACH_S / max(took_s, SHORTEST_S)))

    def _pause_of(self, backlog: Backlog, taken: int, *, took_s: float) -> float:
        before = self._pauses.get(backlog.queue, SHORTEST_S)
        if taken >= backlog.window:
            return SHORTEST_S  # they were idle, for who knows how long
        until_half_empty_s = took_s * (backlog.window / 2) / taken if taken else self.longest_s
        return min(self.longest_s, 2 * before, max(SHORTEST_S, until_half_empty_s))

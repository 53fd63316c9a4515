"""How often one host is asked."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tasks.core.job import JobContext
from tasks.crawling.contract import DEFAULT_DELAY_S, CrawlRequest
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.shared_turns import SharedTurns

# A host in trouble is asked by half as many at once, though not halved again by requests that were under way by then.
SLOWER = 0.5
CALM_S = 1.0


class HostGate:
    """Spaces the starts of requests to one host, and limits how many are under way.

    The limit adapts: it is halved when the host is overloaded (429, 503, silence), and grows by one for each round of
    answers, up to ``concurrency``.
    """

    def __init__(
        self,
        host: str,
        *,
        delay_s: float,
        concurrency: int,
        shared: SharedTurns | None = None,
        stated_delay_s: float = 0.0,
    ) -> None:
        self.delay_s = max(delay_s, stated_delay_s)
        self.stated_delay_s = stated_delay_s
        """What the host itself asks for; 0 where it does not."""
        self.waits_for_others = False
        """Whether the newest turn was to come only after those that other crawls have taken."""
        self.limit = float(concurrency)
        self._host = host
        self._shared = shared
        self._most = float(concurrency)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_start = 0.0
        self._paused_until = 0.0
        self._calm_from = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a slot and for the delay since the last start, then hold the slot."""
        await self._take_slot()
        try:
            await self._await_start()
            yield
        finally:
            self._give_slot_back()

    async def _await_start(self) -> None:
        while True:
            # Read again after each sleep: another turn, or a Retry-After, may have moved the next start.
            while (wait_s := self._next_start - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._next_start = time.monotonic() + self.delay_s
            if self._shared is None or not self.stated_delay_s:
                return
            start = await self._shared.reserve(self._host, self.stated_delay_s)
            if start is not None:
                self._next_start = max(self._next_start, start + self.delay_s)
                await self._await_others(start)
            # Whoever was held back by a Retry-After takes another turn, or all would begin together when it ends.
            if self._paused_until <= time.monotonic():
                return

    async def _await_others(self, start: float) -> None:
        while (wait_s := start - time.monotonic()) > 0:
            # Not undone by a cancel: whoever gave up may ask what it was that took so long.
            self.waits_for_others = True
            await asyncio.sleep(wait_s)
        self.waits_for_others = False

    @property
    def next_start(self) -> float:
        """When the next turn begins at the earliest, by the monotonic clock; other crawls may put it off."""
        return self._next_start

    def answered(self) -> None:
        """Note that the host keeps up: as many answers as there are slots make room for one more."""
        self.limit = min(self._most, self.limit + 1 / self.limit)
        self._hand_out()

    def overloaded(self) -> None:
        """Note that the host does not keep up."""
        now = time.monotonic()
        if now >= self._calm_from:
            self.limit = max(1.0, self.limit * SLOWER)
            self._calm_from = now + CALM_S

    def pause(self, seconds: float) -> None:
        """Start nothing for so long, because the host asked for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        self._next_start = max(self._next_start, self._paused_until)

    def slow_to(self, delay_s: float) -> None:
        """Keep at least this delay from now on, which the host asks for: other crawls of this machine keep it, too."""
        self.delay_s = max(self.delay_s, delay_s)
        self.stated_delay_s = max(self.stated_delay_s, delay_s)
        self._next_start = max(self._next_start, time.monotonic() + delay_s)

    async def _take_slot(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # the slot had just been handed out
                self._give_slot_back()
            raise

    def _give_slot_back(self) -> None:
        self._under_way -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._under_way < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._under_way += 1
                place.set_result(None)


class Politeness:
    """The gates of one crawl, one per host; ``shared`` are the turns that other crawls take as well.

    ``state`` remembers what hosts ask for, for the crawl's next attempt.
    """

    def __init__(
        self, *, delay_s: float, concurrency: int, shared: SharedTurns | None = None, state: CrawlState | None = None
    ) -> None:
        self._delay_s = delay_s
        self._concurrency = concurrency
        self._shared = shared
        self._state = state
        self._gates: dict[str, HostGate] = {}

    def gate(self, host: str) -> HostGate:
        """Return the host's gate."""
        if host not in self._gates:
            self._gates[host] = HostGate(
                host,
                delay_s=self._delay_s,
                concurrency=self._concurrency,
                shared=self._shared,
                stated_delay_s=(self._state and self._state.fact(_stated(host))) or 0.0,
            )
        return self._gates[host]

    def slow(self, host: str, *, to_delay_s: float) -> None:
        """Keep at least this delay at the host from now on, since it asks for it; the next attempt does, too."""
        self.gate(host).slow_to(to_delay_s)
        if self._state is not None:
            self._state.keep_fact(_stated(host), to_delay_s)

    @property
    def slowest(self) -> HostGate | None:
        """The gate that holds the crawl up most, if any is there yet."""
        return max(self._gates.values(), key=lambda gate: (gate.waits_for_others, gate.stated_delay_s), default=None)


def _stated(host: str) -> str:
    return f"stated delay of {host}"


@contextmanager
def pacing(request: CrawlRequest, job: JobContext, state: CrawlState) -> Iterator[Politeness]:
    """Give the pace of a crawl: its own, and what hosts ask for together with the other crawls of this machine."""
    with SharedTurns(job.sharedir, warn=lambda why: job.log(why, level="warning")) as shared:
        yield Politeness(
            delay_s=DEFAULT_DELAY_S if request.delay_s is None else request.delay_s,
            concurrency=request.concurrency,
            shared=shared,
            state=state,
        )

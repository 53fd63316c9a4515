"""How often one host is asked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class HostGate:
    """Spaces the starts of requests to one host, and limits how many are under way."""

    def __init__(self, *, delay_s: float, concurrency: int) -> None:
        self.delay_s = delay_s
        self._slots = asyncio.Semaphore(concurrency)
        self._next_start = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a slot and for the delay since the last start, then hold the slot."""
        async with self._slots:
            # Read again after each sleep: another turn, or a Retry-After, may have moved the next start.
            while (wait_s := self._next_start - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._next_start = time.monotonic() + self.delay_s
            yield

    def pause(self, seconds: float) -> None:
        """Start nothing for so long, because the host asked for it."""
        self._next_start = max(self._next_start, time.monotonic() + seconds)

    def slow_to(self, delay_s: float) -> None:
        """Keep at least this delay from now on."""
        self.delay_s = max(self.delay_s, delay_s)
        self._next_start = max(self._next_start, time.monotonic() + delay_s)


class Politeness:
    """The gates of one crawl, one per host."""

    def __init__(self, *, delay_s: float, concurrency: int) -> None:
        self._delay_s = delay_s
        self._concurrency = concurrency
        self._gates: dict[str, HostGate] = {}

    def gate(self, host: str) -> HostGate:
        """Return the host's gate."""
        if host not in self._gates:
            self._gates[host] = HostGate(delay_s=self._delay_s, concurrency=self._concurrency)
        return self._gates[host]

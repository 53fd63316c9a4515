"""Batches, for one event loop."""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from client import batches
from client.async_sites import Run
from client.batches import Batch, BatchOptions
from client.limits import Limits
from client.patience import performed


class AsyncBatches:
    """Your batches; ``AsyncSwitchyard.batches`` is one. Each method does what that of ``Batches`` does."""

    def __init__(self, run: Run, limits: Limits) -> None:
        self._run = run
        self._limits = limits

    async def submit(self, jobs: Iterable[Mapping[str, Any]], **options: Unpack[BatchOptions]) -> Batch:
        """Submit up to 1,000 jobs: all are accepted, or none."""
        return await self._run(performed(batches.sent(list(jobs), options), self._limits))

    async def get(self, batch_id: str) -> Batch:
        """Tell how a batch stands."""
        return await self._run(performed(batches.read(batch_id), self._limits))

    async def cancel(self, batch_id: str) -> Batch:
        """Cancel what has not ended."""
        return await self._run(performed(batches.cancelled(batch_id), self._limits))

    async def wait(self, batch_id: str, timeout_s: float | None = None) -> Batch:
        """Wait until all of its jobs have ended, however they did."""
        return await self._run(batches.ended(batch_id, timeout_s=timeout_s, limits=self._limits))

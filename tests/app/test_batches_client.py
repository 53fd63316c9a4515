"""The client submits, watches and cancels batches, and names keys, against the front door itself."""

import asyncio

import pytest

from client import AsyncSwitchyard, BatchTimedOut, InputRejected, NotFound, Switchyard
from tests.app.desk import Desk

pytestmark = pytest.mark.slow

PINGS = [{"kind": "maintenance.ping", "params": {"message": f"n{n}"}} for n in range(3)]


def test_a_batch_is_submitted_watched_and_cancelled(desk: Desk) -> None:
    """Its jobs are listed by it; what is refused is named; a key makes one batch."""
    with Switchyard(f"http://{desk.address}", desk.alice.key) as client:
        batch = client.batches.submit(PINGS, name="three", parallel_limit=1, idempotency_key="k")
        again = client.batches.submit(PINGS, name="three", parallel_limit=1, idempotency_key="k")
        assert (False, True, batch.id) == (batch.replayed, again.replayed, again.id)
        assert ("three", 3, 1, "queued") == (batch.name, batch.size, batch.parallel_limit, batch.state)
        assert set(batch.job_ids) == {job.id for job in client.jobs(batch=batch.id)}
        with pytest.raises(InputRejected) as refused:
            client.batches.submit([*PINGS, {"kind": "maintenance.ping", "params": {"message": 5}}])
        assert ["jobs.3.params.message"] == [error.field for error in refused.value.errors]
        with pytest.raises(BatchTimedOut):
            client.batches.wait(batch.id, timeout_s=0.05)
        client.batches.cancel(batch.id)
        ended = client.batches.wait(batch.id, timeout_s=30)
        assert (True, "cancelled", 3) == (ended.is_terminal, ended.state, ended.counts["cancelled"])
        with pytest.raises(NotFound):
            client.batches.get("0192f0c0-0000-7000-8000-000000000000")


def test_a_batch_of_a_loop(desk: Desk) -> None:
    async def work() -> None:
        async with AsyncSwitchyard(f"http://{desk.address}", desk.alice.key) as client:
            batch = await client.batches.submit(PINGS, fail_fast=True)
            assert (await client.batches.get(batch.id)).fail_fast
            await client.batches.cancel(batch.id)
            assert "cancelled" == (await client.batches.wait(batch.id, timeout_s=30)).state

    asyncio.run(work())


def test_a_unique_key_answers_with_the_job_that_has_it(desk: Desk) -> None:
    """Marked so."""
    with Switchyard(f"http://{desk.address}", desk.alice.key) as client:
        first = client.submit("maintenance.ping", unique_key="u", concurrency_key="c")
        second = client.submit("maintenance.ping", {"message": "other"}, unique_key="u")
        assert (False, True, first.id) == (first.duplicate, second.duplicate, second.id)

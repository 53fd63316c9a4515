"""The three guards that the promise rests on, and how each is taken away inside one process."""

from collections.abc import Callable, Mapping
from typing import Any

from tasks.core.ledger import queries, transitions
from tasks.core.ledger.schema import jobs
from tasks.core.records import Delivery, Job, JobState


class _AnyFence(int):
    """Equals every fence."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def _without_claim() -> None:
    """Let every delivery claim its job: whatever its state and carry are, they are made to be what a claim asks for."""
    claim, succeed_and_claim = transitions.claim, transitions.succeed_and_claim

    def offer(ledger: Any, job_id: str, carry: int) -> None:
        with ledger.write() as connection:
            expected = {"state": JobState.QUEUED, "carry": carry}
            connection.execute(jobs.update().where(jobs.c.id == job_id).values(expected))

    def claim_anything(ledger: Any, job_id: str, *, carry: int, **options: Any) -> Any:
        offer(ledger, job_id, carry)
        return claim(ledger, job_id, carry=carry, **options)

    def succeed_and_claim_anything(ledger: Any, job: Job, *, following: Delivery, **options: Any) -> Any:
        offer(ledger, *following)
        return succeed_and_claim(ledger, job, following=following, **options)

    transitions.claim = claim_anything
    transitions.succeed_and_claim = succeed_and_claim_anything


def _without_fence() -> None:
    """Let every attempt write, as if it were the newest."""

    def unfenced(write: Callable[..., Any]) -> Callable[..., Any]:
        def write_anyway(ledger: Any, job_id: str, *, fence: int, **options: Any) -> Any:
            newest = queries.job(ledger, job_id)
            return write(ledger, job_id, fence=fence if newest is None else newest.fence, **options)

        return write_anyway

    succeed_and_claim = transitions.succeed_and_claim

    def succeed_anyway(ledger: Any, job: Job, **options: Any) -> Any:
        return succeed_and_claim(ledger, queries.job(ledger, job.id) or job, **options)

    transitions.succeed_and_claim = succeed_anyway
    for name in ("finish", "requeue", "note_progress", "note_sign", "keep_resume_state"):
        setattr(transitions, name, unfenced(getattr(transitions, name)))
    pulse = queries.pulse

    def pulse_of_anybody(ledger: Any, job_id: str) -> Any:
        seen = pulse(ledger, job_id)
        return seen and queries.Pulse(seen.state, _AnyFence(seen.fence), seen.cancel_requested)

    queries.pulse = pulse_of_anybody


def _without_rescue() -> None:
    """Let the dispatcher take no worker for gone."""
    from workers.census import Census

    Census.gone = lambda *_, **__: set()  # type: ignore[method-assign]


MUTANTS: Mapping[str, Callable[[], None]] = {
    "claim": _without_claim,
    "fence": _without_fence,
    "rescue": _without_rescue,
}

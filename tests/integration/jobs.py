"""What a test does with the jobs of a house, whatever runs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tasks.core.carriage import Carriage
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries, state_events
from tasks.core.ledger.schema import attempts
from tasks.core.records import AttemptRecord, Job, JobState
from tasks.dispatch import cancel, retry, submit
from tasks.registry import load_specs
from tasks.submission import Submission
from tests.faulty.contract import ACT
from tests.integration.processes import await_true
from workers.orphans import CHILD_MARK

_OF_JOB = ("timeout_s", "max_attempts", "priority", "expires_in_s", "backend", "callback", "requires")


class Jobs:
    """Submits, cancels, waits and looks."""

    folder: Path
    kernel: Kernel
    carrier: Carriage
    tenant_id: str

    def submit(self, act: str = "succeed", *, kind: str = ACT, **options: Any) -> Job:
        """Submit a ``faulty.act``; ``timeout_s``, ``max_attempts`` and the like go to the job, the rest to the act."""
        of_job = {name: options.pop(name) for name in _OF_JOB if name in options}
        request = {"act": act, "effects": str(self.folder / "effects"), **options}
        spec = load_specs(self.kernel.settings.extra_families)[kind]
        spec.request.model_validate(request)
        submission = Submission(tenant_id=self.tenant_id, request=request, **of_job)
        return submit(self.kernel, self.carrier, spec, submission).job

    def child_of(self, job: Job) -> int:
        """Return the pid of the pool child that ran the job's newest attempt."""
        newest = attempts.select().where(attempts.c.job_id == job.id).order_by(attempts.c.fence.desc())
        with self.kernel.ledger.read() as connection:
            return int(connection.execute(newest).first().child_pid)

    def cancel(self, job: Job) -> Job:
        """Cancel the job."""
        return cancel(self.kernel, job.id, tenant_id=self.tenant_id)

    def retry(self, job: Job) -> Job:
        """Run the ended job again."""
        return retry(self.kernel, self.carrier, job.id, tenant_id=self.tenant_id)

    def job(self, job: Job) -> Job:
        """Read the job again."""
        found = queries.job(self.kernel.ledger, job.id)
        assert found is not None
        return found

    def attempts(self, job: Job) -> list[AttemptRecord]:
        """List the job's attempts."""
        return queries.attempts_of(self.kernel.ledger, job.id)

    def await_state(self, job: Job, *states: JobState, within_s: float = 90.0) -> Job:
        """Wait until the job is in one of ``states``."""
        return self.await_job(job, lambda seen: seen.state in states, what=f"{states}", within_s=within_s)

    def await_end(self, job: Job, *, within_s: float = 90.0) -> Job:
        """Wait until the job has ended."""
        return self.await_job(job, lambda seen: seen.state.is_terminal, what="an end", within_s=within_s)

    def await_job(self, job: Job, claim: Callable[[Job], bool], *, what: str, within_s: float = 90.0) -> Job:
        """Wait until ``claim`` holds for the job."""
        found: list[Job] = []

        def holds() -> bool:
            found[:] = [self.job(job)]
            return claim(found[0])

        try:
            await_true(holds, what=what, within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}; the job is {found[0]}") from None
        return found[0]

    def await_start(self, job: Job, *, starts: int = 1) -> Job:
        """Wait until the engine was entered ``starts`` times."""
        await_true(lambda: len(self.effects(job)) >= starts, what=f"{job.id} starts")
        return self.job(job)

    def effects(self, job: Job) -> list[tuple[int, int]]:
        """List ``(attempt, fence)`` of each time the engine was entered."""
        path = self.folder / "effects"
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [line.split() for line in lines]
        return [(int(attempt), int(fence)) for job_id, attempt, fence in rows if job_id == job.id]

    def events(self, job: Job) -> list[str]:
        """List the states that the ledger's events tell, oldest first."""
        return [event.data["state"] for event in state_events.events_of(self.kernel.ledger, job.id)]

    def streamed_states(self, job: Job) -> list[str]:
        """List the states that the live stream tells, oldest first."""
        return [event.data["state"] for event in self.kernel.events.read(job.id) if event.type == "state"]

    def await_idle(self, *, within_s: float = 60.0) -> None:
        """Wait until no job is queued or running, so that a test cannot disturb the next one."""
        active = (JobState.QUEUED, JobState.RUNNING)
        wanted = queries.Filter(self.tenant_id, states=active)
        await_true(
            lambda: queries.listing(self.kernel.ledger, wanted, limit=1).total == 0,
            what="all jobs ended",
            within_s=within_s,
        )

    def marked(self, child_pid: int) -> list[int]:
        """List the living processes that carry the child's mark."""
        return [process.pid for process in psutil.process_iter() if _carries(process, f":{child_pid}")]


def _carries(process: psutil.Process, ending: str) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.environ().get(CHILD_MARK, "").endswith(ending)
    except psutil.Error:
        return False

"""Finds out what jobs have done since the last look: every transition, and the newest report of each that runs."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.monitor.feed import Found
from tasks.core.clock import now
from tasks.core.ids import first_id_at
from tasks.core.kernel import Kernel
from tasks.core.ledger import monitoring, queries
from tasks.core.ledger.monitoring import Changed, Ended, Facts, Running, Transition
from tasks.core.records import Cause, JobState

# Machines' clocks, and the times between a job's id and its commit, may differ by this much; whoever is later is told
# of once the job runs.
_SLACK = timedelta(seconds=5)
# Rows of one question.
_PAGE = 5000
# Jobs whose last told version is remembered; of others a change tells their last run.
_MOST_KNOWN = 20_000
# Some of them are looked up every now and then: a job may be queued again without being found otherwise.
_SWEEP_S = 5.0
_SWEPT = 500
# A report is looked for so often.
_REPORT_S = 1.0
_BEFORE_ALL = "00000000-0000-7000-8000-000000000000"
_NOT_TOLD = frozenset({"tenant_id", "fence"})


def brief(job: Facts) -> dict[str, Any]:
    """Return what the monitor tells of a job."""
    return {name: value for name, value in asdict(job).items() if name not in _NOT_TOLD}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look: what may have changed, what runs, and where the next look begins."""

    versions: dict[str, int]
    running: list[Running]
    made_from: str
    ended_from: datetime


class JobWatch:
    """For one thread. ``begin`` comes first; what was before it is not told."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._ledger = kernel.ledger
        self._known: OrderedDict[str, int] = OrderedDict()
        self._to_sweep: list[str] = []
        self._swept_at = time.monotonic()
        self._reported_at = 0.0
        self._reports: dict[str, dict[str, Any]] = {}
        self._facts: dict[str, Facts] = {}
        self._first_id = self._made_from = _BEFORE_ALL
        self._ended_from = now()
        self.running: list[Running] = []
        """Who runs what, as of the last look."""

    def begin(self) -> None:
        """Take what there is as known.

        Raises:
            LedgerUnavailable: nothing can be seen.
        """
        self._first_id = monitoring.newest_id(self._ledger) or _BEFORE_ALL
        self._made_from = self._place(self._first_id)
        self._ended_from = now() - _SLACK
        seen = self._seen()
        self._take(seen)
        for job_id, version in seen.versions.items():
            self._note(job_id, version)
        self._keep_facts(self._changed(one.job_id for one in self.running))

    def look(self) -> list[Found]:
        """Return what has changed, in the order in which it happened as far as clocks tell.

        Raises:
            LedgerUnavailable: nothing can be seen now; the next look tells it.
        """
        seen = self._seen()
        versions = seen.versions | self._sweep()
        fresh = [job_id for job_id, version in versions.items() if self._known.get(job_id) != version]
        changed = self._changed(fresh)
        steps = [step for one in changed for step in self._told(one)]
        # Only now: had the ledger failed, the next look would have to find the same.
        self._take(seen)
        for one in changed:
            self._note(one.facts.id, one.facts.version)
        self._keep_facts(changed)
        return [found for _, found in sorted(steps, key=lambda step: step[0])]

    def reports(self) -> list[Found]:
        """Return the reports that are newer than those told; at most once in a second."""
        if time.monotonic() - self._reported_at < _REPORT_S or not self._facts:
            return []
        self._reported_at = time.monotonic()
        found = []
        for job_id, (fence, report) in self._kernel.events.progress(self._facts).items():
            job = self._facts[job_id]
            if fence == job.fence and self._reports.get(job_id) != report:
                self._reports[job_id] = report
                named = ("id", "kind", "queue", "tenant", "worker", "attempt", "version")
                data = {name: getattr(job, name) for name in named} | {"progress": report}
                found.append(Found("job", "job.progress", data, job=job))
        return found

    def _seen(self) -> "_Seen":
        """Find all jobs that may have changed since the last look."""
        made = monitoring.made_after(self._ledger, self._made_from, limit=_PAGE)
        ended = monitoring.ended_since(self._ledger, self._ended_from, limit=_PAGE)
        running = monitoring.running(self._ledger)
        versions = made | {one.job_id: one.version for one in ended}
        versions |= {one.job_id: one.version for one in running}
        versions |= self._versions([one.job_id for one in self.running if one.job_id not in versions])
        return _Seen(versions, running, self._next_made(list(made)), self._next_ended(ended))

    def _take(self, seen: "_Seen") -> None:
        self.running, self._made_from, self._ended_from = seen.running, seen.made_from, seen.ended_from

    def _next_made(self, made: Sequence[str]) -> str:
        if not made:
            return self._made_from
        return made[-1] if len(made) == _PAGE else max(self._made_from, self._place(made[-1]))

    def _next_ended(self, ended: Sequence[Ended]) -> datetime:
        if not ended:
            return self._ended_from
        newest_at = ended[-1].finished_at
        return newest_at if len(ended) == _PAGE else max(self._ended_from, min(newest_at, now()) - _SLACK)

    def _place(self, job_id: str) -> str:
        """Return the id from which on jobs may still come, once this one is there."""
        made_at = datetime.fromtimestamp(int(job_id[:8] + job_id[9:13], 16) / 1000, UTC)
        # A clock that is ahead must not hide what others make.
        return first_id_at(min(made_at, now()) - _SLACK) if job_id != _BEFORE_ALL else _BEFORE_ALL

    def _versions(self, job_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(job_ids), _SWEPT):
            found |= queries.versions(self._ledger, job_ids[start : start + _SWEPT])
        return found

    def _sweep(self) -> dict[str, int]:
        """Return the versions of some known jobs, now and then."""
        if time.monotonic() - self._swept_at < _SWEEP_S:
            return {}
        self._swept_at = time.monotonic()
        self._to_sweep = self._to_sweep or list(self._known)
        some, self._to_sweep = self._to_sweep[:_SWEPT], self._to_sweep[_SWEPT:]
        return self._versions(some)

    def _changed(self, job_ids: Iterable[str]) -> list[Changed]:
        return monitoring.changed(self._ledger, list(job_ids))

    def _note(self, job_id: str, version: int) -> None:
        self._known[job_id] = version
        self._known.move_to_end(job_id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def _keep_facts(self, changed: Sequence[Changed]) -> None:
        """Remember those that run, and forget the reports of the others."""
        self._facts |= {one.facts.id: one.facts for one in changed}
        running = {one.job_id for one in self.running}
        self._facts = {job_id: job for job_id, job in self._facts.items() if job_id in running}
        self._reports = {job_id: report for job_id, report in self._reports.items() if job_id in running}

    def _told(self, changed: Changed) -> list[tuple[datetime, Found]]:
        """Return the job's steps that were not told, each with a time that is not before its predecessor's."""
        told: list[tuple[datetime, Found]] = []
        for step in self._untold(changed):
            at = max(step.at, told[-1][0]) if told else step.at
            told.append((at, Found("job", "job.state", _after(step, changed.facts), at=step.at, job=changed.facts)))
        return told

    def _untold(self, changed: Changed) -> Sequence[Transition]:
        steps, known = changed.transitions, self._known.get(changed.facts.id)
        if known is not None:
            return [step for step in steps if step.n > known]
        if changed.facts.id > self._first_id:
            return steps
        # Of an old one, what it did since it last began to wait.
        begins = [
            n if step.data["cause"] == Cause.REPLAYED else n + 1
            for n, step in enumerate(steps)
            if step.data["state"] == JobState.QUEUED and (step.data["cause"] == Cause.REPLAYED or n + 1 < len(steps))
        ]
        return steps[begins[-1] if begins else -1 :]


def _after(step: Transition, job: Facts) -> dict[str, Any]:
    """Describe the job as it was after a step."""
    state, is_newest = step.data["state"], step.n == job.version
    own = {"state": state, "cause": step.data["cause"], "attempt": step.attempt, "version": step.n}
    own["error"] = step.data.get("error")
    own["worker"] = None if state == JobState.QUEUED else job.worker
    if not is_newest:
        own |= {"finished_at": None, "dead": False}
    return brief(job) | own

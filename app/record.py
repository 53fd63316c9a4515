"""From a row of the ledger to what a client sees of the job."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.services import Services
from tasks.core.clock import now
from tasks.core.follow_ups.plans import record_of_link
from tasks.core.ledger import follow_ups, queries, routing
from tasks.core.ledger.pauses import Pause
from tasks.core.matching import Asked, Unmet, place_among
from tasks.core.records import Job, JobError, JobRecord, JobState, JobSummary, PauseNote, Progress, Timings, ran_in
from tasks.core.settings import Settings


def record_of(services: Services, job: Job) -> JobRecord:
    """Return the whole record of ``job``."""
    kernel = services.kernel
    has_run = job.fence > 0
    live = kernel.events.progress([job.id]) if has_run else {}
    link = follow_ups.link_of(kernel.ledger, job.id)
    return JobRecord(
        **_summary_fields(services, job, live.get(job.id)),
        queue_position=queries.queue_position(kernel.ledger, job) if _is_in_line(job) else None,
        pause=_note(_pause_of(services, job)),
        request=job.request,
        result=job.result,
        attempts=queries.attempts_of(kernel.ledger, job.id) if has_run else [],
        artifacts=kernel.artifacts.list(job.id, job.fence, job.attempt) if has_run else [],
        parent_job_id=link and link.parent_id,
        chain_id=link and link.chain_id,
        follow_up=link and record_of_link(link),
    )


def _is_in_line(job: Job) -> bool:
    # What requires something of its worker goes when such a one has room, whoever else waits in its queue.
    return job.state is JobState.QUEUED and job.requires is None


def summaries_of(services: Services, jobs: Sequence[Job]) -> list[JobSummary]:
    """Return what a page of jobs shows."""
    live = services.kernel.events.progress([job.id for job in jobs if job.state is JobState.RUNNING])
    return [JobSummary(**_summary_fields(services, job, live.get(job.id))) for job in jobs]


def etag_of(record: JobRecord) -> str:
    """Return a value that changes whenever anything but the passing of time changes in the record."""
    steady = record.model_dump(mode="json", exclude={"timings", "request", "result"})
    return hashlib.sha256(json.dumps(steady, sort_keys=True).encode()).hexdigest()[:32]


def _summary_fields(services: Services, job: Job, live: tuple[int, dict[str, Any]] | None) -> dict[str, Any]:
    unmet = _unmet(services, job)
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "version": job.version,
        "dead": job.dead,
        "cause": job.cause,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout_s": job.timeout_s,
        "reference": job.reference,
        "labels": job.labels,
        "site": job.site,
        "batch_id": job.batch_id,
        "concurrency_key": job.concurrency_key,
        "unique_key": job.unique_key,
        "correlation_id": job.correlation_id,
        "worker": job.worker,
        "backend": None if job.worker is None else ran_in(job.worker),
        "backend_wanted": job.backend,
        "waiting_for": None if unmet is None else unmet.what,
        "blocked": None if unmet is None else unmet.words,
        "requires": job.requires,
        "progress": _progress(job, live),
        "timings": _timings(job, at=now()),
        "created_at": job.created_at,
        "not_before": job.not_before,
        "expires_at": job.expires_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancel_requested_at": job.cancel_requested_at,
        "error": None if job.error is None else JobError(**job.error),
        "links": _links(services.settings, job.id),
    }


def _pause_of(services: Services, job: Job) -> Pause | None:
    if job.state is not JobState.QUEUED:
        return None
    known = services.kernel.pauses
    if job.paused_by is not None and all(one.id != job.paused_by for one in known.all()):
        known.look_again()  # another process has made it, or ended it
    return known.holding(queue=job.queue, kind=job.kind, tenant_id=job.tenant_id)


def _note(found: Pause | None) -> PauseNote | None:
    if found is None:
        return None
    return PauseNote(id=found.id, reason=found.reason, since=found.created_at, until=found.until)


def _unmet(services: Services, job: Job) -> Unmet | None:
    if _pause_of(services, job) is not None:
        return Unmet("pause", "An operator's pause of its queue, its kind or its tenant holds it.")
    if job.state is not JobState.QUEUED:
        return None
    if job.parked and job.paused_by is None:
        return Unmet("limit", "A limit of its batch, its concurrency key, its tenant or its kind keeps it back.")
    if job.requires is not None:
        return _unmet_requirement(services, job, job.requires)
    spec = services.specs.get(job.kind)
    if spec is None:
        return None
    missing = services.workers.missing_for(spec, job.request, backend=job.backend, tenant_id=job.tenant_id)
    return None if missing is None else Unmet(missing, _missing_words(missing, job.queue))


def _unmet_requirement(services: Services, job: Job, requires: dict[str, Any]) -> Unmet | None:
    if job.published_at is not None:  # a worker has it in its queue
        return None
    near = requires.get("same_worker_as")
    ran_on = None if near is None else routing.ran_last(services.kernel.ledger, [near]).get(near)
    place = place_among(services.workers.all(), ran_on)
    asked = Asked(job.tenant_id, job.queue, job.kind, requires, place)
    return services.workers.unmet_for(asked, backend=job.backend)


def _missing_words(missing: str, queue: str) -> str:
    if missing == "backend:local":
        return "No local runner is live."
    if missing.startswith("queue:"):
        return f"No live worker serves the queue {queue}."
    return f"No live worker of the queue {queue} offers {missing}."


def _progress(job: Job, live: tuple[int, dict[str, Any]] | None) -> Progress | None:
    # A job's last report is written with its end, so the stream can only be newer before that.
    newest = live[1] if live is not None and live[0] == job.fence and not job.state.is_terminal else job.progress
    return None if newest is None else Progress(**newest)


def _timings(job: Job, *, at: datetime) -> Timings:
    ended = job.finished_at or at
    return Timings(
        queued_s=_seconds(job.created_at, job.started_at or ended),
        running_s=None if job.claimed_at is None else _seconds(job.claimed_at, ended),
        total_s=_seconds(job.created_at, ended),
    )


def _seconds(begin: datetime, end: datetime) -> float:
    return round(max(0.0, (end - begin).total_seconds()), 3)


def _links(settings: Settings, job_id: str) -> dict[str, str]:
    path = f"/api/jobs/{job_id}"
    links = {"self": path} | {name: f"{path}/{name}" for name in ("logs", "artifacts", "cancel", "retry")}
    if settings.serves_sse:
        links["events"] = f"{path}/events"
    if settings.serves_websocket:
        links["websocket"] = f"/ws/jobs/{job_id}"
    return links

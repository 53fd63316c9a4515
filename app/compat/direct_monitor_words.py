"""The words of the earlier hub's monitors: its topics and filters, and our monitor's events as its messages."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.compat.direct_words import LABELLED, word_of
from app.inputs import Input, Moment, Text
from app.monitor.feed import TOPICS, Found, Told, Topic
from app.monitor.viewer import Message, MonitorViewer, Wanted
from app.operators import is_operator
from app.services import Services
from tasks.core.clock import rfc3339
from tasks.core.ledger.fleet import WorkerState
from tasks.core.ledger.monitoring import Chosen
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState

HISTORY = 1000
"""Messages that one request to resync gets at most."""

TheirTopic = Literal["workers", "jobs", "jobs:progress", "jobs:status", "system_stats", "heartbeat"]
EVERYTHING: frozenset[TheirTopic] = frozenset({"workers", "jobs", "system_stats", "heartbeat"})
_OF_TOPIC: Mapping[str, Collection[Topic]] = {
    "workers": {"worker"},
    "jobs": {"job"},
    "jobs:progress": {"job"},
    "jobs:status": {"job"},
    "system_stats": {"queue", "system"},
    "heartbeat": (),
}
_WORKER_WORDS = {
    WorkerState.STARTING: "initializing",
    WorkerState.STANDBY: "paused",
    WorkerState.DRAINING: "stopping",
    WorkerState.STOPPED: "offline",
    WorkerState.GONE: "offline",
}
_Name = Annotated[Text, Field(min_length=1, max_length=200)]
_Priority = Annotated[int, Field(ge=0, le=100)]


def _range(sent: object) -> object:
    if isinstance(sent, dict):
        return sent.get("min", 0), sent.get("max", 100)
    return tuple(sent) if isinstance(sent, list) else sent


class DirectFilters(Input):
    """Which jobs and workers."""

    job_types: list[_Name] = Field([], max_length=20)
    worker_ids: list[_Name] = Field([], max_length=100)
    priority_range: (
        Annotated[
            tuple[Annotated[int, Field(ge=0, le=100)], Annotated[int, Field(ge=0, le=100)]], BeforeValidator(_range)
        ]
        | None
    ) = None


class DirectSubscription(Input):
    """What a monitor is told from now on, instead of what it was told before."""

    topics: list[TheirTopic] = Field(max_length=20)
    filters: DirectFilters = DirectFilters()


def _moment(sent: object) -> object:
    # Theirs are milliseconds of Unix time, or RFC 3339.
    if isinstance(sent, int | float) and not isinstance(sent, bool) and 0 <= sent < 10**14:
        return rfc3339(datetime.fromtimestamp(sent / 1000, UTC))
    return sent


class DirectResync(Input):
    """What a monitor wants to be told again."""

    since: Annotated[Moment, BeforeValidator(_moment)]
    most: int = Field(HISTORY, ge=1, le=HISTORY)


def wanted_by(
    at: Services, tenant: Tenant, topics: Collection[TheirTopic], filters: DirectFilters | None = None
) -> Wanted:
    """Return what the tenant's monitor is told."""
    sees_all, asked = is_operator(at, tenant), filters or DirectFilters()
    chosen = Chosen(
        tenant_id=None if sees_all else tenant.id,
        kinds=frozenset(at.settings.direct_kinds.get(name, name) for name in asked.job_types),
        workers=frozenset(asked.worker_ids),
        priorities=asked.priority_range,
    )
    ours = {topic for name in topics for topic in _OF_TOPIC[name]}
    return Wanted(sees_all, topics=[topic for topic in TOPICS if topic in ours], chosen=chosen)


def snapshot_of(viewer: MonitorViewer, message: Message) -> dict[str, Any]:
    """Put a snapshot into their words; what was not subscribed to is not in it."""
    told: dict[str, Any] = message.data
    state: dict[str, Any] = {}
    if "workers" in told:
        state["workers"] = [worker_of(worker) for worker in told["workers"]]
    if "jobs" in told:
        state["jobs"] = [job_of(job) for job in told["jobs"]]
    state["system_stats"] = stats_of(viewer)
    return {"type": "full_state_snapshot", "reason": told["reason"], "data": state}


def messages_of(told: Told, topics: Collection[TheirTopic]) -> list[dict[str, Any]]:
    """Return the messages that one of our events gives a monitor of these topics; figures are told apart."""
    found = told.found
    if found.topic == "worker":
        message = _of_worker(found)
    elif found.type == "job.progress" and not {"jobs", "jobs:progress"}.isdisjoint(topics):
        message = _of_progress(found.data)
    elif found.type == "job.state" and not {"jobs", "jobs:status"}.isdisjoint(topics):
        message = _of_step(found.data)
    else:
        return []
    return [message | {"timestamp": rfc3339(told.told_at)}]


def _of_worker(found: Found) -> dict[str, Any]:
    type_ = {"worker.connected": "worker_connected", "worker.disconnected": "worker_disconnected"}.get(
        found.type, "worker_status_changed"
    )
    worker = worker_of(found.data)
    return {"type": type_, "worker_id": worker["id"], "status": worker["status"], "data": worker}


def _of_progress(data: Mapping[str, Any]) -> dict[str, Any]:
    report = data["progress"]
    told = {
        "progress": report.get("percent") or 0.0,
        "status": word_of(JobState.RUNNING, cause=Cause.CLAIMED),
        "message": report.get("message") or report.get("stage") or "",
        "current_step": report.get("step"),
        "total_steps": report.get("total"),
    }
    named = {"job_id": data["id"], "worker_id": data["worker"], "progress": told["progress"]}
    return {"type": "job_progress", **named, "data": named | told}


def _of_step(data: Mapping[str, Any]) -> dict[str, Any]:
    job = job_of(data)
    type_ = {
        JobState.RUNNING: "job_assigned",
        JobState.SUCCEEDED: "job_completed",
        JobState.FAILED: "job_failed",
    }.get(data["state"], "job_submitted" if data["cause"] == Cause.ACCEPTED else "job_status_changed")
    named = {name: job[name] for name in ("job_id", "worker_id", "status", "error")}
    return {"type": type_, **named, "data": job}


def job_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Describe one of the monitor's jobs in their shape."""
    state, labels, error = job["state"], job["labels"], job["error"]
    service = labels.get("service", job["kind"])
    report = job.get("progress") or {}
    return {
        "id": job["id"],
        "job_id": job["id"],
        "service_required": service,
        "job_type": service,
        "status": word_of(state, cause=job["cause"]),
        "priority": job["priority"],
        "progress": 100.0 if state == JobState.SUCCEEDED else report.get("percent") or 0.0,
        "worker_id": job["worker"],
        "retry_count": max(0, job["attempt"] - 1),
        "max_retries": job["max_attempts"] - 1,
        "created_at": rfc3339(job["created_at"]),
        "started_at": _time(job["started_at"]),
        "completed_at": _time(job["finished_at"]) if state == JobState.SUCCEEDED else None,
        "failed_at": _time(job["finished_at"]) if state == JobState.FAILED else None,
        "error": None if error is None else error.get("message"),
        **{name: labels.get(name) for name in LABELLED},
    }


def worker_of(worker: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a worker in their shape."""
    busy = "busy" if worker["running"] else "idle"
    return {
        "id": worker["name"],
        "worker_id": worker["name"],
        "status": _WORKER_WORDS.get(worker["state"], busy),
        "host": worker["host"],
        "services": worker["queues"],
        "capabilities": worker["capabilities"],
        "current_jobs": worker["running"],
        "max_concurrent_jobs": worker["slots"],
        "connected_at": rfc3339(worker["started_at"]),
        "last_heartbeat": rfc3339(worker["beat_at"]),
        "version": worker["version"],
        "memory_bytes": worker["rss_bytes"],
    }


def stats_of(viewer: MonitorViewer) -> dict[str, Any]:
    """Return their figures, as far as the viewer may know them: of jobs its own, of what ended those of the last hour.

    Raises:
        LedgerUnavailable: nobody can count.
    """
    counts, standing = viewer.figures()
    system = standing.system
    return {
        "jobs": {word_of(state, cause=""): count for state, count in counts.items()},
        "queues": {
            queue["queue"]: {
                "pending": queue["waiting"] + queue["delayed"],
                "active": queue["running"],
                "completed_1h": queue["succeeded_1h"],
                "failed_1h": queue["failed_1h"],
                "workers": queue["workers"],
                "slots": queue["slots"],
            }
            for queue in standing.queues
        },
        "workers": {
            "total": len(standing.workers),
            "active": sum(1 for worker in standing.workers if worker["running"]),
            "slots": sum(worker["slots"] for worker in standing.workers),
        },
        "system": {name: system.get(name) for name in ("ledger", "broker", "dispatcher")},
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


class Figures:
    """Tells when figures are due: at once, and then whenever something changed, but not more often than ``every_s``."""

    def __init__(self, *, every_s: float = 2.0) -> None:
        self.every_s = every_s
        self._told_at = float("-inf")
        self._is_stale = True

    def changed(self) -> None:
        """Note that something has changed."""
        self._is_stale = True

    def are_due(self) -> bool:
        """Tell whether they are to be told now; then they count as told."""
        if not self._is_stale or time.monotonic() - self._told_at < self.every_s:
            return False
        self._is_stale, self._told_at = False, time.monotonic()
        return True

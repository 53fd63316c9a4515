"""How the queues stand and which workers serve them."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import checked
from app.openapi import SECURITY, answer, problems
from app.pauses import PauseRecord, shown_pauses
from app.services import Services, services
from tasks.core.clock import now
from tasks.core.ledger import Ledger, fleet, pauses, queries, routing
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.queries import QueueDepth
from tasks.core.matching import offers_of, place_among
from tasks.core.records import JobState
from tasks.core.spec import Queue

bp = APIBlueprint("fleet", __name__, abp_tags=[Tag(name="fleet")], abp_security=SECURITY)


class QueueFigures(BaseModel):
    """How a queue stands, over all tenants."""

    queue: Queue
    waiting: int = Field(description="Due jobs that no worker has claimed.")
    delayed: int = Field(description="Jobs that wait for their time.")
    published: int = Field(description="Of the waiting ones, those in the broker.")
    running: int
    oldest_waiting_s: float | None
    workers: int = Field(description="Live workers that serve it.")
    slots: int = Field(description="Jobs that these can run at a time.")
    succeeded_1h: int
    failed_1h: int
    cancelled_1h: int
    paused: int = Field(description="Of the waiting and delayed ones, those that a pause holds.")


class QueueRecord(QueueFigures):
    """How a queue stands, and what keeps its jobs back."""

    unmatched: dict[str, int] = Field(
        description="Queued jobs whose requirements no live worker meets, by the first that nobody does."
    )
    pauses: list[PauseRecord] = Field(description="That hold jobs of it; of other tenants' only for operators.")


class QueueList(BaseModel):
    """All six queues."""

    queues: list[QueueRecord]


class WorkerRecord(BaseModel):
    """A live worker."""

    name: str
    host: str
    pid: int
    state: str
    queues: list[str]
    slots: int
    capabilities: list[str]
    labels: list[str] = Field(description="What its operator calls it; jobs may require them.")
    memory_mb: int = Field(description="What one of its jobs may take, in MiB; 0: it does not say.")
    cpus: int = Field(description="Processors of its machine; 0: it does not say.")
    restricted: bool = Field(description="Whether it takes jobs of some tenants only.")
    serves_you: bool = Field(description="Whether it takes the caller's jobs.")
    version: str
    uptime_s: float
    rss_bytes: int
    beat_age_s: float
    jobs: list[str] = Field(description="Ids of the caller's own running jobs.")


class WorkerList(BaseModel):
    """Live workers, by name."""

    workers: list[WorkerRecord]


MODELS: tuple[type[BaseModel], ...] = (QueueList, WorkerList)


@bp.get("/api/queues", responses={200: answer(QueueList, "All six."), **problems(401, 503)})
@checked
def list_queues() -> Response:
    """List the queues with their depth, age, workers and what ended in the last hour."""
    at = services()
    shown, unmatched = shown_pauses(at), _unmatched(at)
    queues = [
        QueueRecord(**one.model_dump(), unmatched=dict(unmatched[one.queue]), pauses=shown.of_queue(one.queue))
        for one in queues_now(at.kernel.ledger)
    ]
    return json_answer(QueueList(queues=queues))


def queues_now(ledger: Ledger) -> list[QueueFigures]:
    """Return how the six queues stand."""
    at = now()
    depths = queries.queue_depths(ledger, at=at)
    ended = queries.finished_counts(ledger, since=at - timedelta(hours=1))
    workers = [worker for worker in fleet.live_workers(ledger) if worker.state == WorkerState.UP]
    held = pauses.held_counts(ledger)
    queues = []
    for queue in Queue:
        depth = depths.get(queue) or QueueDepth(queue, 0, 0, 0, 0, None)
        since = depth.oldest_waiting_at
        serving = [worker for worker in workers if queue in offers_of(worker).queues]
        queues.append(
            QueueFigures(
                queue=queue,
                waiting=depth.waiting,
                delayed=depth.delayed,
                published=depth.published,
                running=depth.running,
                oldest_waiting_s=None if since is None else round(max(0.0, (at - since).total_seconds()), 3),
                workers=len(serving),
                slots=sum(worker.slots for worker in serving),
                succeeded_1h=ended.get((queue, JobState.SUCCEEDED), 0),
                failed_1h=ended.get((queue, JobState.FAILED), 0),
                cancelled_1h=ended.get((queue, JobState.CANCELLED), 0),
                paused=sum(by.get(queue, 0) for by in held.values()),
            )
        )
    return queues


def _unmatched(at: Services) -> dict[str, Counter[str]]:
    found = defaultdict[str, Counter[str]](Counter)
    counted = routing.unmatched_counts(at.kernel.ledger)
    ran_on = routing.ran_on(at.kernel.ledger, [line for line, _, _ in counted])
    live = at.workers.all() if counted else []
    for line, backend, count in counted:
        unmet = at.workers.unmet_for(line.asked(place_among(live, ran_on.get(line))), backend=backend)
        if unmet is not None:
            found[line.queue][unmet.what] += count
    return found


@bp.get("/api/workers", responses={200: answer(WorkerList, "The live ones."), **problems(401, 503)})
@checked
def list_workers() -> Response:
    """List the live workers."""
    at, ledger = now(), services().kernel.ledger
    mine = tenant_id()
    held = fleet.held_by_tenant(ledger, mine)
    workers = [
        _worker_record(worker, held.get(worker.name, []), at=at, mine=mine) for worker in fleet.live_workers(ledger)
    ]
    return json_answer(WorkerList(workers=workers))


def _worker_record(worker: Worker, jobs: list[str], *, at: datetime, mine: str) -> WorkerRecord:
    offers = offers_of(worker)
    return WorkerRecord(
        name=worker.name,
        host=worker.host,
        pid=worker.pid,
        state=worker.state,
        queues=list(offers.queues),
        slots=worker.slots,
        capabilities=worker.capabilities,
        labels=list(offers.labels),
        memory_mb=offers.memory_mb,
        cpus=offers.cpus,
        restricted=offers.is_restricted,
        serves_you=offers.serves(mine),
        version=worker.version,
        uptime_s=round(max(0.0, (at - worker.started_at).total_seconds()), 1),
        rss_bytes=worker.rss_bytes,
        beat_age_s=round(max(0.0, (at - worker.beat_at).total_seconds()), 1),
        jobs=jobs,
    )

"""How the queues stand and which workers serve them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import checked
from app.live import LiveWorkers
from app.openapi import SECURITY, answer, problems
from app.pauses import PauseRecord, shown_pauses
from app.services import services
from app.standing import Standing, standings
from tasks.core.clock import now
from tasks.core.durations import Durations
from tasks.core.ledger import Ledger, fleet, pauses
from tasks.core.ledger.fleet import Worker
from tasks.core.matching import offers_of
from tasks.core.spec import Queue

bp = APIBlueprint("fleet", __name__, abp_tags=[Tag(name="fleet")], abp_security=SECURITY)


class TimesRecord(BaseModel):
    """How long jobs of the last hour took; null without any."""

    count: int
    mean_s: float | None
    p50_s: float | None = Field(description="Half of them took no longer, as far as the bounds tell.")
    p95_s: float | None
    at_most: dict[str, int] = Field(description="How many took at most so many seconds; `+Inf`: all.")

    @classmethod
    def of(cls, durations: Durations) -> Self:
        """Make the record."""
        quantiles = {"p50_s": durations.quantile_s(0.5), "p95_s": durations.quantile_s(0.95)}
        told = {"mean_s": durations.mean_s} | quantiles
        rounded = {name: None if value is None else round(value, 3) for name, value in told.items()}
        return cls(count=durations.count, at_most=dict(durations.cumulative()), **rounded)


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
    arrived_1h: int
    succeeded_1h: int
    failed_1h: int
    cancelled_1h: int
    advised_workers: int = Field(description="As `GET /api/advice` explains.")
    paused: int = Field(description="Of the waiting and delayed ones, those that a pause holds.")


class QueueRecord(QueueFigures):
    """How a queue stands, how fast it goes, and what keeps its jobs back."""

    arrived_per_s: float = Field(description="In the last five minutes.")
    ended_per_s: float
    wait: TimesRecord = Field(description="Until the first start, of jobs that ended in the last hour.")
    run: TimesRecord = Field(description="Of their last attempts.")
    unmatched: dict[str, int] = Field(
        description="Queued jobs whose requirements no live worker meets, by the first that nobody does."
    )
    pauses: list[PauseRecord] = Field(description="That hold jobs of it; of other tenants' only for operators.")


class ScalingRecord(BaseModel):
    """What a scaler reads: numbers always."""

    active: int = Field(description="Jobs that wait or run, but for those that a limit or a pause keeps back.")
    oldest_waiting_s: float = Field(description="Since the oldest of them was due; 0 when none waits.")
    advised_workers: int


class QueueList(BaseModel):
    """All six queues."""

    queues: list[QueueRecord]
    scaling: dict[Queue, ScalingRecord] = Field(description="The same by queue, for a scaler.")


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
    """List the queues with their depth, age, workers, rates, and how many workers are advised."""
    at = services()
    found, shown = standings(at.kernel.ledger, at.workers, at=now()), shown_pauses(at)
    figures = _figures(at.kernel.ledger, found)
    queues = [_record(few, one, held_by=shown.of_queue(one.queue)) for few, one in zip(figures, found, strict=True)]
    return json_answer(QueueList(queues=queues, scaling={one.queue: _scaling(one) for one in found}))


def queues_now(ledger: Ledger, live: LiveWorkers) -> list[QueueFigures]:
    """Return how the six queues stand."""
    return _figures(ledger, standings(ledger, live, at=now()))


def _figures(ledger: Ledger, found: Sequence[Standing]) -> list[QueueFigures]:
    held = pauses.held_counts(ledger)
    return [
        QueueFigures(
            queue=one.queue,
            waiting=one.depth.waiting,
            delayed=one.depth.delayed,
            published=one.depth.published,
            running=one.depth.running,
            oldest_waiting_s=None if one.oldest_waiting_s is None else round(one.oldest_waiting_s, 3),
            workers=one.workers,
            slots=one.slots,
            arrived_1h=one.last_hour.arrived,
            succeeded_1h=one.last_hour.succeeded,
            failed_1h=one.last_hour.failed,
            cancelled_1h=one.last_hour.cancelled,
            advised_workers=one.staffing.workers,
            paused=sum(by.get(one.queue, 0) for by in held.values()),
        )
        for one in found
    ]


def _record(few: QueueFigures, one: Standing, *, held_by: list[PauseRecord]) -> QueueRecord:
    return QueueRecord(
        **few.model_dump(),
        arrived_per_s=round(one.arrived_per_s, 4),
        ended_per_s=round(one.ended_per_s, 4),
        wait=TimesRecord.of(one.last_hour.waited),
        run=TimesRecord.of(one.last_hour.ran),
        unmatched=dict(one.unmatched),
        pauses=held_by,
    )


def _scaling(one: Standing) -> ScalingRecord:
    return ScalingRecord(
        active=one.demand.waiting + one.demand.running,
        oldest_waiting_s=round(one.oldest_ready_s, 3),
        advised_workers=one.staffing.workers,
    )


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

"""What runs jobs: Celery's workers behind the broker, or a local runner; which is live, and what each is for."""

import time
from collections.abc import Sequence
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import checked
from app.live import missing_among, serves
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from tasks.core.events import EventsUnavailable
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.records import RanIn, ran_in

bp = APIBlueprint("backends", __name__, abp_tags=[Tag(name="fleet")], abp_security=SECURITY)

Missing = Literal["broker", "dispatcher", "worker"]


class BackendTraits(BaseModel):
    """What speaks for a backend and what against it; the same whatever is live."""

    setup: str
    scale: str
    fault_tolerance: str
    waiting: str
    monitoring: str
    throughput: str
    quality: str


class BackendRecord(BaseModel):
    """A backend as it is now."""

    name: RanIn
    live: bool = Field(description="Whether a job that is accepted now is begun there once a slot is free.")
    missing: list[Missing] = Field(description="What it would need for that.")
    takes_auto: bool = Field(description="Whether jobs of `backend: auto` go there now.")
    broker_ms: float | None = Field(description="How long the broker took to answer; null where none did, or is.")
    workers: int = Field(description="Workers whose heartbeat is fresh and that take its jobs.")
    starting: int = Field(description="Workers that beat and do not take jobs yet, or not any more.")
    hosts: list[str]
    slots: int = Field(description="Jobs that these run at a time.")
    queues: list[str] = Field(description="Queues that they serve.")
    capabilities: list[str] = Field(description="What they have found on their machines, such as `chromium`.")
    kinds: list[str] = Field(description="Kinds that one of them can run.")
    lacking: dict[str, str] = Field(description="The other kinds, each with what is missing for it.")
    good_for: str
    traits: BackendTraits


class BackendList(BaseModel):
    """Both backends."""

    auto: RanIn | None = Field(description="Where a job of `backend: auto` would begin now; null: it would wait.")
    backends: list[BackendRecord]


MODELS: tuple[type[BaseModel], ...] = (BackendList, BackendRecord, BackendTraits)

_GOOD_FOR: dict[RanIn, str] = {
    "queue": "Everything that must go on when a machine dies or more machines are added: the one for servers.",
    "local": "One machine without Redis: a first try, a few jobs a day, or the time while Redis is down.",
}
_SAME_QUALITY = "The same engine in the same processes: equal results."
_TRAITS: dict[RanIn, BackendTraits] = {
    "queue": BackendTraits(
        setup="Redis, a web server, a dispatcher, and a worker for each queue.",
        scale="Any number of workers on any number of machines.",
        fault_tolerance="Jobs are rows of the ledger: whatever dies, another worker takes over. Redis may be wiped.",
        waiting="`Prefer: wait`, long polls, SSE, WebSocket, domain events.",
        monitoring="/api/queues, /api/workers, /metrics, /health, Flower.",
        throughput="As many jobs at a time as all workers have slots.",
        quality=_SAME_QUALITY,
    ),
    "local": BackendTraits(
        setup="A web server and a runner beside it; no Redis.",
        scale="One machine, which is also that of the ledger's file.",
        fault_tolerance="Jobs are rows of the ledger: a runner that is started again takes over. No second machine.",
        waiting="The same; a runner that stands by for a broker that is down tells no live progress.",
        monitoring="/api/queues, /api/workers, /metrics, /health.",
        throughput="As many jobs at a time as the runner has slots: two, unless it is told otherwise.",
        quality=_SAME_QUALITY,
    ),
}


@bp.get("/api/backends", responses={200: answer(BackendList, "Both."), **problems(401, 503)})
@checked
def list_backends() -> Response:
    """Tell which backends are live, what each can run now, and what each is good for."""
    at = services()
    workers = at.workers.beating()
    broker_ms = _broker_ms(at)
    queue = _record(at, "queue", workers, missing=_missing(at, has_broker=broker_ms is not None), broker_ms=broker_ms)
    local = _record(at, "local", workers, missing=[], broker_ms=None)
    chosen: RanIn | None = next((one.name for one in (queue, local) if one.live and one.takes_auto), None)
    return json_answer(BackendList(auto=chosen, backends=[queue, local]))


def _broker_ms(at: Services) -> float | None:
    if not at.settings.needs_redis:
        return None
    began = time.perf_counter()
    try:
        at.kernel.events.ping()
    except EventsUnavailable:
        return None
    return round((time.perf_counter() - began) * 1000, 2)


def _missing(at: Services, *, has_broker: bool) -> list[Missing]:
    missing: list[Missing] = [] if has_broker else ["broker"]
    if at.settings.needs_redis and not at.dispatcher.leads():
        missing.append("dispatcher")
    return missing


def _record(
    at: Services, name: RanIn, workers: Sequence[Worker], *, missing: list[Missing], broker_ms: float | None
) -> BackendRecord:
    ours = [worker for worker in workers if ran_in(worker.name) == name]
    serving = [worker for worker in ours if serves(worker, name)]
    missing = missing if serving else [*missing, "worker"]
    lacking = {kind: missing_among(workers, spec, backend=name) for kind, spec in sorted(at.specs.items())}
    return BackendRecord(
        name=name,
        live=not missing,
        missing=missing,
        takes_auto=not missing and any(worker.state == WorkerState.UP for worker in serving),
        broker_ms=broker_ms,
        workers=len(serving),
        starting=len(ours) - len(serving),
        hosts=sorted({worker.host for worker in serving}),
        slots=sum(worker.slots for worker in serving),
        queues=sorted({queue for worker in serving for queue in worker.queues}),
        capabilities=sorted({one for worker in serving for one in worker.capabilities}),
        kinds=[kind for kind, what in lacking.items() if what is None],
        lacking={kind: what for kind, what in lacking.items() if what is not None},
        good_for=_GOOD_FOR[name],
        traits=_TRAITS[name],
    )

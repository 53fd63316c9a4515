"""What goes on now: as server-sent events that begin with a snapshot, or the snapshot alone."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any

from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.fleet import QueueFigures
from app.inputs import Input, checked
from app.monitor.feed import TOPICS, Topic
from app.monitor.viewer import Message, MonitorViewer, Reason, Wanted
from app.openapi import SECURITY, answer, problems
from app.operators import is_operator
from app.services import Services, services
from app.streams.cursor import CURSOR_PATTERN, parse_cursor
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.sockets import limit_stalls
from tasks.core.errors import LedgerUnavailable, NotAllowed
from tasks.core.ledger.monitoring import Chosen
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobError, Progress
from tasks.core.spec import Queue

_TAGS = [Tag(name="monitor")]
bp = APIBlueprint("monitor", __name__, abp_tags=_TAGS, abp_security=SECURITY)
# Apart, for servers without streams.
streamed = APIBlueprint("monitor_stream", __name__, abp_tags=_TAGS, abp_security=SECURITY)

_STREAM = "text/event-stream"
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_JobID = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Cursor = Annotated[str, Field(pattern=CURSOR_PATTERN)]


class MonitorQuery(Input):
    """What to look at. Each may be repeated; of different ones all must fit."""

    topic: list[Topic] = Field([], max_length=4, description="`job`, `queue`, `worker`, `system`; none for all.")
    queue: list[Queue] = Field([], max_length=6, description="Jobs in it, the queue itself, workers that serve it.")
    kind: list[_Name] = Field([], max_length=20, description="Jobs of this kind.")
    tenant: list[_Name] = Field([], max_length=20, description="Jobs of the tenant of this name; for operators.")
    job: list[_JobID] = Field([], max_length=100, description="This job.")
    worker: list[_Name] = Field([], max_length=100, description="This worker, and jobs that it has.")


class MonitorStreamQuery(MonitorQuery):
    """What to look at, and from where."""

    after: _Cursor | None = Field(None, description="The last event id seen; older than `Last-Event-ID`.")


class MonitorHeaders(Input):
    """Where a stream that comes back goes on."""

    last_event_id: _Cursor | None = Field(None, alias="Last-Event-ID", description="The last event id seen.")


class MonitorJob(BaseModel):
    """A job, as the monitor tells it."""

    id: str
    kind: str
    queue: Queue
    state: str
    version: int = Field(description="Number of state transitions so far.")
    cause: str
    dead: bool
    priority: int
    attempt: int
    max_attempts: int
    tenant: str = Field(description="The tenant's name.")
    reference: str | None
    labels: dict[str, str]
    site: str | None
    batch_id: str | None
    worker: str | None = Field(description="Which has it, or had it last.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: JobError | None
    progress: Progress | None = Field(None, description="The newest report of a running job.")


class MonitorWorker(BaseModel):
    """A live worker."""

    name: str
    host: str
    pid: int
    state: str
    queues: list[str]
    slots: int
    capabilities: list[str]
    version: str
    started_at: datetime
    beat_at: datetime
    rss_bytes: int
    running: int = Field(description="Jobs that it has, of all tenants.")


class MonitorSystem(BaseModel):
    """What everything rests on."""

    ledger: str = Field(description="`ok` or `away`.")
    broker: str = Field(description="`ok`, `away`, or `none` where there is no Redis.")
    dispatcher: str = Field(description="`leads` or `none`.")
    dispatcher_term: int = Field(description="Grows with each change of leader.")
    dispatcher_holder: str | None = Field(None, description="Who leads; for operators.")


class MonitorSnapshot(BaseModel):
    """How everything stands. Topics that were not asked for are null."""

    reason: Reason = Field(
        description="`start`, `asked`, `gap`: what came after the client's place is not kept any more; `new_stream`: "
        "its place is another process's, or from before a pause."
    )
    topics: list[Topic] = Field(description="What the stream tells.")
    is_operator: bool
    system: MonitorSystem | None = None
    queues: list[QueueFigures] | None = None
    workers: list[MonitorWorker] | None = Field(None, description="For operators.")
    jobs: list[MonitorJob] | None = Field(
        None, description="The newest 500 that run, 200 that wait and 100 that ended within the last hour."
    )
    jobs_cut: bool | None = Field(None, description="There are more.")
    counts: dict[str, int] | None = Field(None, description="Jobs by state; of the ended ones those of the last hour.")


class MonitorEvent(BaseModel):
    """One event of the stream."""

    id: str = Field(description="The cursor: goes on after this event.")
    seq: int
    at: datetime = Field(description="When it happened.")
    type: str = Field(
        description="`snapshot`, `resumed`, `job.state`, `job.progress`, `queue.changed`, `worker.connected`, "
        "`worker.changed`, `worker.disconnected`, `system.changed`."
    )
    topic: Topic | None = Field(description="Null for `snapshot` and `resumed`.")
    data: dict[str, Any]


MODELS: tuple[type[BaseModel], ...] = (MonitorSnapshot, MonitorEvent)

_ERRORS = problems(401, 403, 422, 503)
_STREAMED: ResponseDict = {
    200: {"description": "Server-sent events; the data of each is a `MonitorEvent`.", "content": {_STREAM: {}}},
    **_ERRORS,
}


@bp.get("/api/monitor", responses={200: answer(MonitorSnapshot, "Now."), **_ERRORS})
@checked
def read_monitor(query: MonitorQuery) -> Response:
    """Tell how everything stands that the caller may know of."""
    viewer = services().monitor.view(wanted_by(services(), g.tenant, query))
    try:
        return json_answer(MonitorSnapshot.model_validate(viewer.snapshot("asked").data))
    finally:
        viewer.close()


@streamed.get("/api/monitor/events", responses=_STREAMED)
@checked
def watch_monitor(query: MonitorStreamQuery, header: MonitorHeaders) -> Response:
    """Stream what goes on: a snapshot first, then each change; or what was missed, where that is still there."""
    at = services()
    wanted = wanted_by(at, g.tenant, query)
    after = parse_cursor(header.last_event_id, field="Last-Event-ID") or parse_cursor(query.after, field="after")
    if request.method == "HEAD":
        return Response(mimetype=_STREAM, headers=STREAM_HEADERS)
    if at.monitor.is_draining:
        return Response(retry_line(), mimetype=_STREAM, headers=STREAM_HEADERS)
    with ExitStack() as opening:
        viewer = at.monitor.view(wanted, after=after)
        opening.callback(viewer.close)
        # Here, so that a ledger that is away is a 503.
        first = viewer.take()
        opening.enter_context(at.metrics.open_streams.labels("monitor").track_inprogress())
        limit_stalls(request.environ)
        response = Response(_body(viewer, first, at.settings.heartbeat_s), mimetype=_STREAM, headers=STREAM_HEADERS)
        response.call_on_close(opening.pop_all().close)
        return response


def wanted_by(at: Services, tenant: Tenant, query: MonitorQuery) -> Wanted:
    """Return what this tenant's key is told of what was asked for.

    Raises:
        NotAllowed: it asks for workers, or for another tenant's jobs, and is no operator.
    """
    sees_all = is_operator(at, tenant)
    if not sees_all and "worker" in query.topic:
        raise NotAllowed("Workers are shown to operators: leave this topic out.")
    if not sees_all and any(name != tenant.name for name in query.tenant):
        raise NotAllowed("Other tenants' jobs are shown to operators: leave `tenant` out.")
    chosen = Chosen(
        tenant_id=None if sees_all else tenant.id,
        tenants=frozenset(query.tenant),
        kinds=frozenset(query.kind),
        queues=frozenset(queue.value for queue in query.queue),
        workers=frozenset(query.worker),
        job_ids=frozenset(query.job),
    )
    return Wanted(sees_all, topics=query.topic or TOPICS, chosen=chosen)


def _body(viewer: MonitorViewer, first: list[Message], heartbeat_s: float) -> Iterator[bytes]:
    yield retry_line() + b"".join(one.sse for one in first)
    sent_at = time.monotonic()
    try:
        while not viewer.is_over:
            messages = viewer.take()
            left_s = sent_at + heartbeat_s - time.monotonic()
            if messages or left_s <= 0:
                sent_at = time.monotonic()
                # The id lets who comes back go on from here, and not from the last event that it wanted.
                yield b"".join(one.sse for one in messages) or HEARTBEAT + f"id: {viewer.cursor}\n\n".encode()
            else:
                viewer.wait(left_s)
    except LedgerUnavailable:
        pass  # the client comes back, here or elsewhere
    yield retry_line()

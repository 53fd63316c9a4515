"""The earlier hub's other routes, at paths of their own: status, queues, figures, its monitor's stream."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response, g, request
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.aliases import Aliases
from app.compat.direct_monitor_words import EVERYTHING, stats_of, wanted_by
from app.compat.direct_telling import Telling
from app.compat.direct_words import job_of, reason_of, stamped
from app.errors import Refusal, refusals_of, status_of
from app.inputs import WHOLE_NUMBER, Input
from app.openapi import answer
from app.record import record_of, summaries_of
from app.services import services
from app.streams.cursor import parse_cursor
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.sockets import limit_stalls
from tasks.core.clock import now
from tasks.core.errors import AppError, Conflict, LedgerUnavailable, NotFound
from tasks.core.ids import is_id
from tasks.core.ledger import fleet, queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import JobState

_STREAM = "text/event-stream"
_QUEUES = {
    "pending": JobState.QUEUED,
    "active": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}
# Jobs of a worker that are shown.
_MOST_JOBS = 200


class DirectError(BaseModel):
    """An error as its clients read it."""

    success: Literal[False] = False
    error: str
    code: str = Field(description="Ours: see docs/errors.md.")
    errors: list[Refusal] = []
    timestamp: datetime


class DirectKey(Input):
    """Nothing but the key, where a client sends it so."""

    token: str | None = Field(None, description="An API key.")


class DirectPage(DirectKey):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    offset: Annotated[int, Field(ge=0, le=10**6), WHOLE_NUMBER] = 0


class DirectJobPath(Input):
    """Which job."""

    job_id: str


class DirectWorkerPath(Input):
    """Which worker."""

    worker_id: str = Field(min_length=1, max_length=200)


class DirectQueuePath(Input):
    """Which of its queues: what waits, runs, has succeeded, or has failed."""

    state: Literal["pending", "active", "completed", "failed"]


class DirectStatus(BaseModel):
    """A job in its shape."""

    success: Literal[True] = True
    job: dict[str, Any]
    timestamp: datetime


class DirectJobs(BaseModel):
    """Jobs in its shape, newest first."""

    success: Literal[True] = True
    jobs: list[dict[str, Any]]
    total: int
    limit: int
    offset: int = 0
    timestamp: datetime


class DirectStats(BaseModel):
    """Its figures: of jobs the caller's own, of what ended those of the last hour."""

    success: Literal[True] = True
    jobs: dict[str, int]
    queues: dict[str, dict[str, int]]
    workers: dict[str, int]
    system: dict[str, str | None]
    timestamp: datetime


MODELS: tuple[type[BaseModel], ...] = (DirectError, DirectStatus, DirectJobs, DirectStats)


def _error_answer(exc: AppError) -> Response:
    told = DirectError(error=reason_of(exc), code=exc.code, errors=list(refusals_of(exc)), timestamp=now())
    status = status_of(exc)
    response = json_answer(told, status=status)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _errors(*statuses: int) -> ResponseDict:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{DirectError.__name__}"}}}
    return {status: {"description": "An error.", "content": content} for status in (*statuses, 401, 422, 503)}


def _paths(name: str) -> Aliases:
    made = Aliases(name, tag="direct", key_header="X-API-Key", key_parameter="token")
    made.blueprint.register_error_handler(AppError, _error_answer)
    return made


aliases = _paths("direct_hub")
bp = aliases.blueprint
# Apart, for servers without streams.
stream_aliases = _paths("direct_hub_stream")


@aliases.route(
    "GET",
    "/api/jobs/<any_id:job_id>/status",
    successor="/api/jobs/{job_id}",
    responses={200: answer(DirectStatus, "The job."), **_errors(404)},
)
def read_direct_status(path: DirectJobPath, query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Tell how a job stands."""
    at = services()
    job = queries.job(at.kernel.ledger, path.job_id, tenant_id=tenant_id()) if is_id(path.job_id) else None
    if job is None:
        raise NotFound("Job not found")
    return json_answer(DirectStatus(job=job_of(record_of(at, job)), timestamp=now()))


@aliases.route(
    "GET",
    "/api/queue/<state>",
    successor="/api/jobs",
    responses={200: answer(DirectJobs, "A page."), **_errors()},
)
def list_direct_queue(path: DirectQueuePath, query: DirectPage) -> Response:
    """List the tenant's jobs that wait, run, have succeeded or have failed."""
    return _page([_QUEUES[path.state]], query)


def _page(states: Sequence[JobState], query: DirectPage) -> Response:
    at = services()
    wanted = Filter(tenant_id=tenant_id(), states=states)
    found = queries.listing(at.kernel.ledger, wanted, limit=query.limit, offset=query.offset)
    jobs = [job_of(job) for job in summaries_of(at, found.jobs)]
    return json_answer(
        DirectJobs(jobs=jobs, total=found.total, limit=query.limit, offset=query.offset, timestamp=now())
    )


@aliases.route(
    "GET",
    "/api/workers/<worker_id>/jobs",
    successor="/api/workers",
    responses={200: answer(DirectJobs, "Those that it has now."), **_errors()},
)
def list_direct_jobs_of_worker(path: DirectWorkerPath, query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """List the tenant's jobs that a worker has."""
    at = services()
    ids = fleet.held_by_tenant(at.kernel.ledger, tenant_id()).get(path.worker_id, [])
    found = [job for job_id in ids[:_MOST_JOBS] if (job := queries.job(at.kernel.ledger, job_id)) is not None]
    jobs = [job_of(job) for job in summaries_of(at, found)]
    return json_answer(DirectJobs(jobs=jobs, total=len(ids), limit=_MOST_JOBS, timestamp=now()))


def _figures() -> Response:
    at = services()
    viewer = at.monitor.view(wanted_by(at, g.tenant, {"system_stats"}))
    try:
        return json_answer(DirectStats(**stats_of(viewer), timestamp=now()))
    finally:
        viewer.close()


_STATS: ResponseDict = {200: answer(DirectStats, "Now."), **_errors()}


@aliases.route("GET", "/api/statistics", successor="/api/queues", responses=_STATS)
def read_direct_statistics(query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Tell its figures."""
    return _figures()


@aliases.route("GET", "/api/metrics", successor="/metrics", responses=_STATS)
def read_direct_metrics(query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Tell the same figures under its other name."""
    return _figures()


@aliases.route("GET", "/api/system/status", successor="/health", responses=_STATS)
def read_direct_system_status(query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Tell the same figures; ``system`` says what works."""
    return _figures()


@aliases.route("POST", "/api/cleanup", successor="/api/jobs", responses=_errors(409))
def refuse_direct_cleanup(query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Refuse, and say why."""
    message = "There is nothing to clean up by hand: what is old is swept by itself. Erase jobs with DELETE."
    raise Conflict(message, code="message_refused")


@stream_aliases.route(
    "GET",
    "/api/events/monitor",
    successor="/api/monitor/events",
    responses={
        200: {"description": "Server-sent events without names, in its words.", "content": {_STREAM: {}}},
        **_errors(),
    },
)
def watch_direct_monitor(query: DirectKey) -> Response:  # noqa: ARG001  # part of the interface
    """Stream what goes on: its full state first, then each change."""
    at = services()
    if request.method == "HEAD":
        return Response(mimetype=_STREAM, headers=STREAM_HEADERS)
    if at.monitor.is_draining:
        return Response(retry_line(), mimetype=_STREAM, headers=STREAM_HEADERS)
    after = parse_cursor(request.headers.get("Last-Event-ID"), field="Last-Event-ID")
    with ExitStack() as opening:
        viewer = at.monitor.view(wanted_by(at, g.tenant, EVERYTHING), after=after)
        opening.callback(viewer.close)
        opening.enter_context(at.metrics.open_streams.labels("monitor").track_inprogress())
        limit_stalls(request.environ)
        body = _frames(Telling(viewer, EVERYTHING), at.settings.heartbeat_s)
        response = Response(body, mimetype=_STREAM, headers=STREAM_HEADERS)
        response.call_on_close(opening.pop_all().close)
        return response


def _frames(telling: Telling, heartbeat_s: float) -> Iterator[bytes]:
    yield retry_line() + _frame(stamped({"type": "connected"}))
    sent_at = time.monotonic()
    try:
        while not telling.viewer.is_over:
            told = telling.take()
            left_s = sent_at + heartbeat_s - time.monotonic()
            if told or left_s <= 0:
                sent_at = time.monotonic()
                frames = (f"id: {cursor}\n".encode() + _frame(stamped(message)) for cursor, message in told)
                yield b"".join(frames) or HEARTBEAT
            else:
                telling.viewer.wait(min(left_s, telling.patience_s))
    except LedgerUnavailable:
        pass  # the client comes back, here or elsewhere
    yield retry_line()


def _frame(message: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(message, ensure_ascii=False)}\n\n".encode()

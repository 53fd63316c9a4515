"""The earlier hub's calls, at the paths that it shares with us: told from ours by what they carry.

A submission without ``kind`` that names a service is theirs, and so is a list with ``status`` or ``offset``. What they
have submitted answers in both shapes at once, and its ``/progress`` in their frames. See docs/older-clients.md.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import Annotated, Any, cast

from flask import Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from flask_openapi3.models.response import Response as OpenAPIResponse
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.aliases import DEPRECATED
from app.compat.direct_words import (
    DIALECT,
    DIALECT_LABEL,
    SERVICE_NAMES,
    DirectAccepted,
    Word,
    accept_theirs,
    is_theirs,
    job_of,
    progress_of,
    stamped,
    states_of,
)
from app.inputs import WHOLE_NUMBER, Input, checked, read_json
from app.openapi import API, answer
from app.record import summaries_of
from app.relaying import MUCH_BYTES, aside_if_large
from app.services import services
from app.streams.cursor import parse_cursor
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.services import StreamServices
from app.streams.sockets import limit_stalls
from app.streams.subscription import Draining, End, Subscription
from app.submissions import SubmitHeaders
from tasks.core.clock import now, rfc3339
from tasks.core.errors import AppError
from tasks.core.ids import new_id
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import JobRecord

View = Callable[..., ResponseReturnValue]

_NAMED = tuple(f'"{name}"'.encode() for name in SERVICE_NAMES)
_MARK = f'"{DIALECT_LABEL}":"{DIALECT}"'.encode()


class DirectListQuery(Input):
    """Which jobs."""

    status: Word | None = None
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    offset: Annotated[int, Field(ge=0, le=10**6), WHOLE_NUMBER] = 0


MODELS: tuple[type[BaseModel], ...] = (DirectAccepted,)


def share_paths(app: API, streams: StreamServices) -> None:
    """Have our views at the shared paths answer their calls, too."""
    _describe(app)
    _extend(app, "submissions.submit_any", _submitting)
    _extend(app, "jobs.list_jobs", _listing)
    _extend(app, "jobs.read_job", _reading)
    _extend(app, "jobs.cancel_job", _reading)
    if streams.kernel.settings.serves_sse:
        _extend(app, "streams.watch_progress", lambda view: _watching(view, streams))


def _describe(app: API) -> None:
    submission = app.paths["/api/jobs"].post
    assert submission is not None  # noqa: S101  # ours, which is registered first
    described = answer(DirectAccepted, "A job was accepted that was submitted in the earlier hub's words.")
    submission.responses = {**(submission.responses or {}), "201": OpenAPIResponse.model_validate(described)}


def _extend(app: Flask, endpoint: str, extended: Callable[[View], View]) -> None:
    view = cast("View", app.view_functions[endpoint])
    app.view_functions[endpoint] = wraps(view)(extended(view))


def _submitting(ours: View) -> View:
    def submit(**values: object) -> ResponseReturnValue:
        return _in_their_words(_submit, "/api/kinds") if _brings_theirs() else ours(**values)

    return submit


def _brings_theirs() -> bool:
    if request.mimetype != "application/json" or (request.content_length or 0) > MUCH_BYTES:
        return False
    sent = request.get_data()
    if len(sent) > MUCH_BYTES or not any(name in sent for name in _NAMED):
        return False
    try:
        body = json.loads(sent)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and is_theirs(body)


@aside_if_large
@checked
def _submit(header: SubmitHeaders) -> Response:
    job = accept_theirs(services(), read_json(), key=header.idempotency_key)
    response = json_answer(DirectAccepted(job_id=job.id, timestamp=job.created_at), status=201)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return response


def _in_their_words(act: View, successor: str) -> Response:
    try:
        response = current_app.make_response(act())
    except AppError as exc:
        response = current_app.make_response(current_app.handle_user_exception(exc))
        problem = json.loads(response.get_data())
        more = {"success": False, "error": _reason(problem), "timestamp": rfc3339(now())}
        response.set_data(json.dumps(problem | more))
    response.headers["Deprecation"] = DEPRECATED
    response.headers["Link"] = f'<{successor}>; rel="successor-version"'
    return response


def _reason(problem: dict[str, Any]) -> str:
    refused = problem.get("errors") or []
    return "; ".join(f"{one['field']}: {one['message']}" for one in refused[:5]) or str(problem["detail"])


def _listing(ours: View) -> View:
    def list_jobs(**values: object) -> ResponseReturnValue:
        if "status" not in request.args and "offset" not in request.args:
            return ours(**values)
        return _in_their_words(_list, "/api/jobs")

    return list_jobs


@checked
def _list(query: DirectListQuery) -> Response:
    at = services()
    states, cause, not_cause = ((), None, None) if query.status is None else states_of(query.status)
    wanted = Filter(tenant_id=tenant_id(), states=states, cause=cause, not_cause=not_cause)
    found = queries.listing(at.kernel.ledger, wanted, limit=query.limit, offset=query.offset)
    jobs = [job_of(job) for job in summaries_of(at, found.jobs)]
    told = {"success": True, "jobs": jobs, "total": found.total, "limit": query.limit, "offset": query.offset}
    return Response(json.dumps(stamped(told)), mimetype="application/json")


def _reading(ours: View) -> View:
    def read(**values: object) -> ResponseReturnValue:
        response = current_app.make_response(ours(**values))
        sent = response.get_data()
        if response.status_code not in {200, 202} or _MARK not in sent:
            return response
        record = JobRecord.model_validate_json(sent)
        if record.labels.get(DIALECT_LABEL) == DIALECT:
            more = {"success": True, "job": job_of(record), "timestamp": rfc3339(now())}
            response.set_data(json.dumps(json.loads(sent) | more))
        return response

    return read


def _watching(ours: View, streams: StreamServices) -> View:
    def watch(**values: object) -> ResponseReturnValue:
        job_id = str(values["job_id"])
        job = streams.visible_job(job_id, tenant_id=streams.viewer_of(job_id))
        if job.labels.get(DIALECT_LABEL) != DIALECT or request.method == "HEAD":
            return ours(**values)
        begun = parse_cursor(request.args.get("after"), field="after")
        after = parse_cursor(request.headers.get("Last-Event-ID"), field="Last-Event-ID") or begun
        with ExitStack() as opening:
            try:
                subscription = streams.subscribe(job, after=after)
            except Draining:
                return Response(retry_line(), mimetype="text/event-stream", headers=STREAM_HEADERS)
            if subscription is None:
                return Response(status=204, headers=STREAM_HEADERS)
            opening.callback(subscription.close)
            opening.enter_context(streams.counted("sse"))
            limit_stalls(request.environ)
            body = _frames(subscription, job.id, heartbeat_s=streams.kernel.settings.heartbeat_s)
            response = Response(body, mimetype="text/event-stream", headers=STREAM_HEADERS)
            response.call_on_close(opening.pop_all().close)
            return response

    return watch


def _frames(subscription: Subscription, job_id: str, *, heartbeat_s: float) -> Iterator[bytes]:
    connected = {"type": "connected", "job_id": job_id, "client_id": new_id(), "timestamp": rfc3339(now())}
    yield retry_line() + f"data: {json.dumps(connected)}\n\n".encode()
    while True:
        told = b""
        for frame in subscription.take():
            message = progress_of(frame)
            if message is not None:
                # Without a name: theirs listen to messages.
                told += f"id: {frame.cursor}\ndata: {json.dumps(message, ensure_ascii=False)}\n\n".encode()
        if told:
            yield told
        if subscription.end is not None:
            break
        if not subscription.wait(heartbeat_s):
            yield HEARTBEAT
    if subscription.end is End.INTERRUPTED:
        yield retry_line()

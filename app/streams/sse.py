"""A job's events as ``text/event-stream``."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.credentials import signs_in_itself
from app.inputs import Input, checked
from app.jobs import JobPath
from app.openapi import SECURITY, answer, bare_answer, problems
from app.streams.cursor import CURSOR_PATTERN, Cursor, parse_cursor
from app.streams.services import StreamServices
from app.streams.sockets import limit_stalls
from app.streams.subscription import Draining, End, Subscription

HEARTBEAT = b": heartbeat\n\n"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# How long an EventSource waits before it reconnects; spread, so that a restart does not bring all back at once.
_RETRY_MS = (1000, 3000)

# The pattern is only shown: `parse_cursor` checks it, over the WebSocket too, and says more when it refuses.
_CursorText = Annotated[str, Field(json_schema_extra={"pattern": CURSOR_PATTERN})]


class StreamQuery(Input):
    """How a stream is opened."""

    after: _CursorText | None = Field(None, description="The last event id seen; `0` for the oldest kept entry.")
    token: str | None = Field(None, description="A stream token, where no `Authorization` header can be sent.")


class StreamHeaders(Input):
    """Where a client that comes back goes on."""

    last_event_id: _CursorText | None = Field(
        None, alias="Last-Event-ID", description="The last event id seen; newer than `after`."
    )


class StreamTokenRecord(BaseModel):
    """Opens one job's two streams as `?token=`."""

    token: str
    expires_at: datetime


MODELS: tuple[type[BaseModel], ...] = (StreamTokenRecord,)

_STREAM: ResponseDict = {
    # OpenAPI 3.1 cannot say what one event of a stream is like; docs/api.md does.
    200: {"description": "The events, until the job has ended.", "content": {"text/event-stream": {}}},
    204: bare_answer("The client has seen the end."),
    **problems(401, 404, 422, 503),
}


def events_blueprint(services: StreamServices) -> APIBlueprint:
    """Return the routes of the event stream and its tokens."""
    bp = APIBlueprint("streams", __name__, abp_tags=[Tag(name="streams")], abp_security=SECURITY)

    @bp.get("/api/jobs/<job:job_id>/events", responses=_STREAM)
    @signs_in_itself
    @checked
    def watch_job(path: JobPath, query: StreamQuery, header: StreamHeaders) -> Response:
        """Stream a job's events, a snapshot first; resumes from `Last-Event-ID`."""
        return _stream(services, path.job_id, after=_cursor(query, header))

    @bp.get("/api/jobs/<job:job_id>/progress", responses=_STREAM)
    @signs_in_itself
    @checked
    def watch_progress(path: JobPath, query: StreamQuery, header: StreamHeaders) -> Response:
        """Stream a job's events: the same as `/events`."""
        return _stream(services, path.job_id, after=_cursor(query, header))

    @bp.post(
        "/api/jobs/<job:job_id>/stream-token",
        responses={201: answer(StreamTokenRecord, "A token."), **problems(401, 404, 503)},
    )
    @checked
    def make_stream_token(path: JobPath) -> Response:
        """Make a short-lived token that opens a job's two streams from a browser."""
        tenant = services.tenant_of_request()
        job = services.visible_job(path.job_id, tenant_id=tenant.id)
        issued = services.tokens.issue(job.id, tenant_id=tenant.id)
        response = json_answer(StreamTokenRecord(token=issued.token, expires_at=issued.expires_at), status=201)
        response.headers["Cache-Control"] = "no-store"
        return response

    return bp


def _cursor(query: StreamQuery, header: StreamHeaders) -> Cursor | None:
    begun = parse_cursor(query.after, field="after")
    # An EventSource that reconnects keeps the URL it was made with and adds the header, which is newer.
    return parse_cursor(header.last_event_id, field="Last-Event-ID") or begun


def _stream(services: StreamServices, job_id: str, *, after: Cursor | None) -> Response:
    job = services.visible_job(job_id, tenant_id=services.viewer_of(job_id))
    if request.method == "HEAD":
        return Response(mimetype="text/event-stream", headers=STREAM_HEADERS)
    with ExitStack() as opening:
        try:
            subscription = services.subscribe(job, after=after)
        except Draining:
            return Response(retry_line(), mimetype="text/event-stream", headers=STREAM_HEADERS)
        if subscription is None:
            return Response(status=204, headers=STREAM_HEADERS)
        opening.callback(subscription.close)
        opening.enter_context(services.counted("sse"))
        limit_stalls(request.environ)
        body = _body(subscription, services.kernel.settings.heartbeat_s)
        response = Response(body, mimetype="text/event-stream", headers=STREAM_HEADERS)
        # Not the generator's own end: a client that left before the first frame never starts it.
        response.call_on_close(opening.pop_all().close)
        return response


def retry_line() -> bytes:
    """Return the line that tells an EventSource when to come back."""
    return b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311  # spreads reconnects, hides nothing


def _body(subscription: Subscription, heartbeat_s: float) -> Iterator[bytes]:
    yield retry_line() + b"".join(frame.sse for frame in subscription.take())
    while subscription.end is None:
        frames = subscription.frames(heartbeat_s)
        if frames:
            yield b"".join(frame.sse for frame in frames)
        elif subscription.end is None:
            yield HEARTBEAT
    if subscription.end is End.INTERRUPTED:
        yield retry_line()

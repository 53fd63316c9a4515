"""A job's events as ``text/event-stream``."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import Field

from app.credentials import signs_in_itself
from app.inputs import Input, checked
from app.jobs import JobPath
from app.openapi import SECURITY, bare_answer, problems
from app.streams.cursor import CURSOR_PATTERN, Cursor, parse_cursor
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.services import StreamServices
from app.streams.sockets import limit_stalls
from app.streams.subscription import Draining, End, Subscription

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


_STREAM: ResponseDict = {
    # OpenAPI 3.1 cannot say what one event of a stream is like; docs/api.md does.
    200: {"description": "The events, until the job has ended.", "content": {"text/event-stream": {}}},
    204: bare_answer("The client has seen the end."),
    **problems(401, 404, 422, 503),
}


def events_blueprint(services: StreamServices) -> APIBlueprint:
    """Return the routes of the event stream."""
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

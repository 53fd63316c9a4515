"""A job's events as ``text/event-stream``."""

import random
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from app.credentials import signs_in_itself
from app.streams.cursor import Cursor, parse_cursor
from app.streams.services import StreamServices
from app.streams.sockets import limit_stalls
from app.streams.subscription import Subscription
from tasks.core.clock import rfc3339

_HEARTBEAT = b": heartbeat\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# How long an EventSource waits before it reconnects; spread, so that a restart does not bring all back at once.
_RETRY_MS = (1000, 3000)

_TAG = Tag(name="Events", description="A job's life as it happens.")


class JobPath(BaseModel):
    """Which job."""

    job_id: str = Field(description="The job's id.")


class StreamQuery(BaseModel):
    """How a stream is opened."""

    after: str | None = Field(None, description="The last event id seen; `0` for the oldest kept entry.")
    token: str | None = Field(None, description="A stream token, where no `Authorization` header can be sent.")


class StreamTokenRecord(BaseModel):
    """Opens one job's two streams as `?token=`."""

    token: str
    expires_at: str


def events_blueprint(services: StreamServices) -> APIBlueprint:
    """Return the routes of the event stream and its tokens."""
    blueprint = APIBlueprint("streams", __name__, url_prefix="/api/jobs", abp_tags=[_TAG])
    stream: dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]
    stream = {200: {"content": {"text/event-stream": {}}, "description": "The events, until the job has ended."}}

    @blueprint.get("/<job_id>/events", summary="Watch a job", responses=stream)
    @signs_in_itself
    def events(path: JobPath, query: StreamQuery) -> Response:  # noqa: ARG001  # documents the query
        """Stream the job's events, first a snapshot; resumes from `Last-Event-ID`."""
        return _stream(services, path.job_id)

    @blueprint.get("/<job_id>/progress", summary="Watch a job (alias)", responses=stream)
    @signs_in_itself
    def progress(path: JobPath, query: StreamQuery) -> Response:  # noqa: ARG001  # documents the query
        """Stream the job's events: the same as `/events`."""
        return _stream(services, path.job_id)

    @blueprint.post("/<job_id>/stream-token", summary="Make a stream token", responses={201: StreamTokenRecord})
    def stream_token(path: JobPath) -> tuple[dict[str, str], int, dict[str, str]]:
        """Make a short-lived token that opens this job's streams from a browser."""
        tenant = services.tenant_of_request()
        job = services.visible_job(path.job_id, tenant_id=tenant.id)
        issued = services.tokens.issue(job.id, tenant_id=tenant.id)
        body = {"token": issued.token, "expires_at": rfc3339(issued.expires_at)}
        return body, 201, {"Cache-Control": "no-store"}

    return blueprint


def _stream(services: StreamServices, job_id: str) -> Response:
    job = services.visible_job(job_id, tenant_id=services.viewer_of(job_id))
    after = _cursor_of_request()
    if request.method == "HEAD":
        return Response(mimetype="text/event-stream", headers=_HEADERS)
    subscription = services.subscribe(job, after=after)
    if subscription is None:
        return Response(status=204, headers=_HEADERS)
    limit_stalls(request.environ)
    body = _body(subscription, services.kernel.settings.heartbeat_s)
    response = Response(body, mimetype="text/event-stream", headers=_HEADERS)
    # Not the generator's own end: a client that left before the first frame never starts it.
    response.call_on_close(subscription.close)
    return response


def _cursor_of_request() -> Cursor | None:
    # An EventSource that reconnects keeps the URL it was made with and adds the header, which is newer.
    resumed = parse_cursor(request.headers.get("Last-Event-ID"), field="Last-Event-ID")
    return resumed or parse_cursor(request.args.get("after"), field="after")


def _body(subscription: Subscription, heartbeat_s: float) -> Iterator[bytes]:
    first = b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311  # spreads reconnects, hides nothing
    yield first + b"".join(frame.sse for frame in subscription.take())
    while subscription.end is None:
        frames = subscription.frames(heartbeat_s)
        if frames:
            yield b"".join(frame.sse for frame in frames)
        elif subscription.end is None:
            yield _HEARTBEAT


def register_blueprint(app: Flask, blueprint: APIBlueprint) -> None:
    """Register the blueprint, with its documentation where ``app`` keeps one."""
    if isinstance(app, OpenAPI):
        app.register_api(blueprint)
    else:
        app.register_blueprint(blueprint)

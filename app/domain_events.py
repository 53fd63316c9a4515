"""What a tenant's jobs have brought about, as a stream or in pages."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app import waiting
from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import SECONDS, WHOLE_NUMBER, Input, checked
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.sockets import limit_stalls
from app.streams.tenant_hub import TenantViewer
from tasks.core.clock import now, rfc3339
from tasks.core.domain_events import DomainEvent
from tasks.core.errors import InputRejected, LedgerUnavailable
from tasks.core.ledger import outbox
from tasks.core.ledger.outbox import Wanted

bp = APIBlueprint("domain_events", __name__, abp_tags=[Tag(name="events")], abp_security=SECURITY)

_STREAM, _JSON = "text/event-stream", "application/json"
_NEWEST_CURSOR = 10**15
_TypePattern = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,48}\.([a-z][a-z0-9_]{0,48}|\*)$")]
_JobID = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Cursor = Annotated[int, Field(ge=0, le=_NEWEST_CURSOR), WHOLE_NUMBER]


class DomainEventQuery(Input):
    """Which events, and how."""

    type: list[_TypePattern] = Field([], max_length=20, description="`site.crawled`, or `site.*`; repeatable.")
    job_id: _JobID | None = Field(None, description="Only what this job has brought about.")
    after: _Cursor | Literal["latest"] | None = Field(
        None,
        description="The last event id seen, or `latest`. Without it a stream begins now, a page with the oldest kept.",
    )
    wait: Annotated[float, Field(ge=0, le=waiting.LONGEST_WAIT_S), SECONDS] = Field(
        0.0, description="Seconds to wait for a first event of a page."
    )
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE_NUMBER] = Field(100, description="Most events of a page.")
    format: Literal["sse", "json"] | None = Field(None, description="Decides instead of the `Accept` header.")


class DomainEventHeaders(Input):
    """Where a stream that comes back goes on."""

    last_event_id: _Cursor | None = Field(
        None, alias="Last-Event-ID", description="The last event id seen; newer than `after`."
    )


class DomainEventRecord(BaseModel):
    """One event."""

    id: str = Field(description="The cursor: goes on after this event.")
    seq: int = Field(description="Grows from event to event, over all tenants.")
    at: datetime
    type: str
    job_id: str | None
    data: dict[str, Any]


class DomainEventPage(BaseModel):
    """Events, oldest first."""

    events: list[DomainEventRecord]
    next_cursor: str = Field(description="Ask with it as `after` for what comes next, now or later.")
    missed: bool = Field(description="Events after the given cursor are not kept any more.")


MODELS: tuple[type[BaseModel], ...] = (DomainEventPage,)

_page_answer = answer(DomainEventPage, "The stream, or a page.")
_RESPONSES: ResponseDict = {
    200: _page_answer | {"content": {_STREAM: {}, **_page_answer["content"]}},
    **problems(401, 422, 503),
}


@bp.get("/api/events", responses=_RESPONSES)
@checked
def follow_domain_events(query: DomainEventQuery, header: DomainEventHeaders) -> Response:
    """Stream the tenant's domain events, or read a page of them with `Accept: application/json`."""
    wanted = Wanted(types=query.type, job_id=query.job_id)
    if _wants_json(query):
        return _page(services(), wanted, query)
    if request.method == "HEAD":
        return Response(mimetype=_STREAM, headers=STREAM_HEADERS)
    begun = None if query.after == "latest" else query.after
    return _stream(services(), wanted, begun if header.last_event_id is None else header.last_event_id)


def _wants_json(query: DomainEventQuery) -> bool:
    if not services().settings.serves_sse:
        accepted = request.accept_mimetypes
        if query.format == "sse" or (accepted and accepted.best_match([_JSON]) is None):
            raise InputRejected("This server serves no streams: ask for application/json.", code="not_acceptable")
        return True
    if query.format is not None:
        return query.format == "json"
    return request.accept_mimetypes.best_match([_STREAM, _JSON], default=_STREAM) == _JSON


def _page(at: Services, wanted: Wanted, query: DomainEventQuery) -> Response:
    ledger = at.kernel.ledger
    oldest, newest = outbox.kept(ledger)
    asked = newest if query.after == "latest" else query.after
    begin = oldest - 1 if asked is None else min(max(asked, oldest - 1), newest)
    is_missed = asked not in {None, begin}
    events = outbox.events_after(ledger, tenant_id(), begin, wanted=wanted, limit=query.limit)
    # That events are lost is news, too.
    if not events and query.wait and not is_missed:
        newest = _awaited(at, wanted, begin, timeout_s=query.wait)
        events = outbox.events_after(ledger, tenant_id(), begin, wanted=wanted, limit=query.limit)
    # What was not chosen need not be looked through again.
    next_cursor = events[-1].seq if len(events) == query.limit else max(newest, begin, *(one.seq for one in events))
    page = DomainEventPage(
        events=[_record(event) for event in events],
        next_cursor=str(next_cursor),
        missed=is_missed,
    )
    return json_answer(page)


def _awaited(at: Services, wanted: Wanted, after: int, *, timeout_s: float) -> int:
    """Wait until there is a wanted event; return the number up to which all were looked through."""
    deadline = time.monotonic() + min(timeout_s, waiting.LONGEST_WAIT_S)
    viewer = at.tenant_hub.view(tenant_id(), wanted, after=after)
    try:
        while True:
            reached = viewer.position
            left_s = deadline - time.monotonic()
            if viewer.take() or viewer.is_over or left_s <= 0:
                return reached
            viewer.wait(left_s)
    finally:
        viewer.close()


def _record(event: DomainEvent) -> DomainEventRecord:
    return DomainEventRecord(
        id=str(event.seq), seq=event.seq, at=event.at, type=event.type, job_id=event.job_id, data=event.data
    )


def _stream(at: Services, wanted: Wanted, after: int | None) -> Response:
    if at.tenant_hub.is_draining:
        return Response(retry_line(), mimetype=_STREAM, headers=STREAM_HEADERS)
    with ExitStack() as opening:
        viewer = at.tenant_hub.view(tenant_id(), wanted, after=after)
        opening.callback(viewer.close)
        opening.enter_context(at.metrics.open_streams.labels("domain").track_inprogress())
        limit_stalls(request.environ)
        response = Response(_body(viewer, at.settings.heartbeat_s), mimetype=_STREAM, headers=STREAM_HEADERS)
        response.call_on_close(opening.pop_all().close)
        return response


def _body(viewer: TenantViewer, heartbeat_s: float) -> Iterator[bytes]:
    # A bare id makes the cursor known before the first event.
    yield retry_line() + b"id: %d\n\n" % viewer.position + _gap(viewer)
    sent_at = time.monotonic()
    try:
        while not viewer.is_over:
            told = viewer.take()
            left_s = sent_at + heartbeat_s - time.monotonic()
            if told or left_s <= 0:
                sent_at = time.monotonic()
                yield b"".join(one.sse for one in told) or HEARTBEAT + b"id: %d\n\n" % viewer.position
            else:
                viewer.wait(left_s)
    except LedgerUnavailable:
        pass  # the client comes back, here or elsewhere
    yield retry_line()


def _gap(viewer: TenantViewer) -> bytes:
    if viewer.lost is None:
        return b""
    after, goes_on_after = viewer.lost
    event = {
        "id": str(goes_on_after),
        "seq": goes_on_after,
        "at": rfc3339(now()),
        "type": "gap",
        "job_id": None,
        "data": {"after": after, "goes_on_after": goes_on_after},
    }
    return f"id: {goes_on_after}\nevent: gap\ndata: {json.dumps(event)}\n\n".encode()

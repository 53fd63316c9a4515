"""``/mcp``: streamable HTTP of the Model Context Protocol, one request at a time, without a session of ours."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any

from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from werkzeug.exceptions import MethodNotAllowed

from app.auth import bearer_tenant, tenant_id
from app.inputs import Input, checked
from app.openapi import SECURITY, bare_answer, problems
from app.services import Services, services
from app.streams.event_stream import HEARTBEAT, STREAM_HEADERS, retry_line
from app.streams.sockets import limit_stalls
from app.streams.tenant_hub import TenantViewer
from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger.outbox import Wanted

bp = APIBlueprint("mcp", __name__, abp_tags=[Tag(name="tools")], abp_security=SECURITY)
MODELS: tuple[type[BaseModel], ...] = ()

_SSE = "text/event-stream"
_SESSION = "Mcp-Session-Id"
# The revision that clients mean who do not say: the one before the header was there.
_UNSAID = "2025-03-26"
_CHANGED = json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
_ANSWERS = {"application/json": {"schema": {"type": "object"}}, _SSE: {}}


class MCPHeaders(Input):
    """What a client of the protocol sends beside a message."""

    session: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,100}$")] | None = Field(
        None, alias=_SESSION, description="As the answer to `initialize` gave it."
    )
    version: Annotated[str, Field(max_length=40)] | None = Field(
        None, alias="MCP-Protocol-Version", description="The revision that was agreed on."
    )


@bp.post(
    "/mcp",
    responses={
        200: {
            "description": "The answer to a request, or a stream of progress and then the answer.",
            "content": _ANSWERS,
        },
        202: bare_answer("A notification was taken."),
        400: {"description": "Not a message of the protocol.", "content": {"application/json": {"schema": {}}}},
        **problems(401, 422, 503),
    },
)
@checked
def take_message(header: MCPHeaders) -> Response:
    """Take one JSON-RPC message of the Model Context Protocol (revisions 2024-11-05 to 2025-11-25)."""
    from app.mcp import messages  # noqa: PLC0415  # half a second, so for those who use it

    g.tenant = bearer_tenant(services())
    at = services()
    session = header.session or uuid.uuid4().hex
    asker = messages.Asker(tenant_id(), session, header.version or _UNSAID)
    reply = messages.reply_to(at, asker, request.get_data(cache=False), streams=_may_stream(at))
    if isinstance(reply, messages.Running):
        return _progress(at, reply)
    if reply.message is None:
        return Response(status=202)
    response = Response(json.dumps(reply.message), reply.status, mimetype="application/json")
    if reply.begins_session:
        response.headers[_SESSION] = session
    return response


@bp.get(
    "/mcp",
    responses={
        200: {"description": "Tells when the list changes.", "content": {_SSE: {}}},
        **problems(401, 405, 422, 503),
    },
)
@checked
def follow_changes(header: MCPHeaders) -> Response:  # noqa: ARG001  # checked, and told of in the documentation
    """Stream `notifications/tools/list_changed` whenever your tools change."""
    at = services()
    g.tenant = bearer_tenant(at)
    if not at.settings.serves_sse or not _takes_stream():
        raise MethodNotAllowed(
            ["POST", "DELETE"], "There is no stream here: ask for text/event-stream where there are any."
        )
    if request.method == "HEAD" or at.tenant_hub.is_draining:
        return Response(mimetype=_SSE, headers=STREAM_HEADERS)
    with ExitStack() as opening:
        viewer = at.tenant_hub.view(tenant_id(), Wanted(types=("tools.changed", "tool.stale")), after=None)
        opening.callback(viewer.close)
        return _streamed(at, _changes(viewer, at.settings.heartbeat_s), opening)


@bp.delete("/mcp", responses={204: bare_answer("There is nothing to end."), **problems(401, 422, 503)})
@checked
def end_session() -> Response:
    """End a session; there is none on this side."""
    g.tenant = bearer_tenant(services())
    return Response(status=204)


def _may_stream(at: Services) -> bool:
    return at.settings.serves_sse and _takes_stream()


def _takes_stream() -> bool:
    return request.accept_mimetypes[_SSE] > 0


def _progress(at: Services, running: Any) -> Response:
    with ExitStack() as opening:
        return _streamed(at, running.events(at.settings.heartbeat_s), opening)


def _streamed(at: Services, body: Iterator[bytes], opening: ExitStack) -> Response:
    opening.enter_context(at.metrics.open_streams.labels("mcp").track_inprogress())
    limit_stalls(request.environ)
    response = Response(body, mimetype=_SSE, headers=STREAM_HEADERS)
    response.call_on_close(opening.pop_all().close)
    return response


def _changes(viewer: TenantViewer, heartbeat_s: float) -> Iterator[bytes]:
    yield retry_line()
    try:
        while not viewer.is_over:
            # However many events there were, the list is to be read once.
            if viewer.take():
                yield f"event: message\ndata: {_CHANGED}\n\n".encode()
            else:
                viewer.wait(heartbeat_s)
                yield HEARTBEAT
    except LedgerUnavailable:
        pass  # the client comes back, here or elsewhere

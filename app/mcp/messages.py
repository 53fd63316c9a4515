"""Messages of the Model Context Protocol: read, answered, written with the official SDK's types (PyPI ``mcp-types``).

Only requests that the handshake revisions have; newer clients are told so and fall back to the handshake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import methods
from mcp_types.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError

from app.mcp import calls, offers
from app.mcp.calls import Asker, Running
from app.mcp.refusals import Refused
from app.services import Services
from tasks.core.version import VERSION

__all__ = ["Asker", "Reply", "Running", "reply_to"]

_METHODS = frozenset({"initialize", "ping", "tools/list", "tools/call"})
_INSTRUCTIONS = (
    "Each tool runs a function of a website. Its name begins with the site. `_meta` says where it was found and how "
    "sure it is that the tool does what it says."
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer at once: a JSON-RPC message, or None for a notification that was taken."""

    message: dict[str, Any] | None
    status: int = 200
    begins_session: bool = False


def reply_to(at: Services, asker: Asker, sent: bytes, *, streams: bool) -> Reply | Running:
    """Answer one message.

    Args:
        streams: the client takes an event stream, so that a call may tell of its progress.
    """
    try:
        message = jsonrpc_message_adapter.validate_json(sent)
    except ValidationError as exc:
        is_json = all(error["type"] != "json_invalid" for error in exc.errors(include_url=False))
        text = "Send one JSON-RPC 2.0 message." if is_json else "The body is not JSON."
        return _error(None, INVALID_REQUEST if is_json else PARSE_ERROR, text, status=400)
    if isinstance(message, JSONRPCNotification):
        _take(at, asker, message)
        return Reply(None)
    if not isinstance(message, JSONRPCRequest):
        return Reply(None)  # an answer to something that we never ask
    version = _version_of(asker, message)
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        text = f"Revision {version!r} is not served: begin with initialize."
        data = {"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": version}
        return _error(message.id, UNSUPPORTED_PROTOCOL_VERSION, text, status=400, data=data)
    if message.method not in _METHODS:
        return _error(message.id, METHOD_NOT_FOUND, f"No method {message.method[:100]!r}.")
    try:
        methods.validate_client_request(message.method, version, message.params)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return _error(message.id, INVALID_PARAMS, f"{where}: {first['msg']}")
    try:
        return _answer(at, asker, message, version=version, streams=streams)
    except Refused as exc:
        return _error(message.id, INVALID_PARAMS, str(exc))


def _version_of(asker: Asker, message: JSONRPCRequest) -> str:
    if message.method != "initialize":
        return asker.version
    asked = (message.params or {}).get("protocolVersion")
    return asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION


def _answer(at: Services, asker: Asker, message: JSONRPCRequest, *, version: str, streams: bool) -> Reply | Running:
    params = message.params or {}
    if message.method == "initialize":
        return Reply(_result(message, version, _greeting(at, version)), begins_session=True)
    if message.method == "ping":
        return Reply(_result(message, version, {}))
    if message.method == "tools/list":
        return Reply(_result(message, version, offers.page_of(at, asker.tenant_id, params.get("cursor"))))
    running = calls.begin(at, asker, message, lambda result: _result(message, version, result))
    if isinstance(running, Running):
        return running if streams and running.token is not None else Reply(running.wait())
    return Reply(_result(message, version, running))


def _take(at: Services, asker: Asker, message: JSONRPCNotification) -> None:
    request_id = (message.params or {}).get("requestId")
    if message.method == "notifications/cancelled" and isinstance(request_id, int | str):
        calls.cancel(at, asker, request_id)


def _greeting(at: Services, version: str) -> dict[str, Any]:
    return {
        "protocolVersion": version,
        "capabilities": {"tools": {"listChanged": at.settings.serves_sse}},
        "serverInfo": {"name": "switchyard", "title": "Switchyard", "version": VERSION},
        "instructions": _INSTRUCTIONS,
    }


def _result(message: JSONRPCRequest, version: str, result: Mapping[str, Any]) -> dict[str, Any]:
    content = methods.serialize_server_result(message.method, version, result)
    return JSONRPCResponse(jsonrpc="2.0", id=message.id, result=content).model_dump(mode="json")


def _error(
    request_id: int | str | None, code: int, text: str, *, status: int = 200, data: Mapping[str, Any] | None = None
) -> Reply:
    error: dict[str, Any] = {"code": code, "message": text}
    if data is not None:
        error["data"] = dict(data)
    return Reply({"jsonrpc": "2.0", "id": request_id, "error": error}, status)

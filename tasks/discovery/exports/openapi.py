"""Tools as an OpenAPI 3.1 document: each is an operation that runs it through the front door."""

from collections.abc import Sequence
from typing import Any

from tasks.discovery.exports.exported import Exported, arguments_schema_of
from tasks.discovery.tool import JSONSchema

_JOB = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]},
        "error": {"type": ["object", "null"]},
    },
}
_ACCEPTED = {"description": "Accepted: read the job at `Location` until it has ended."}
_REFUSED = {
    "description": "The arguments were refused; nothing was sent to the site.",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=20`: answer when the run has ended, or after that many seconds.",
    "schema": {"type": "string"},
}


def openapi_document(tools: Sequence[Exported], *, server_url: str) -> dict[str, Any]:
    """Return the document; ``server_url`` is where the front door is."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tools found on websites", "version": "1"},
        "servers": [{"url": server_url}],
        "security": [{"bearer": []}],
        "paths": {f"/api/tools/{one.id}/run": {"post": _operation(one)} for one in tools},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(exported: Exported) -> dict[str, Any]:
    tool = exported.tool
    return {
        "operationId": exported.name,
        "summary": tool.title or tool.name,
        "description": f"{tool.description}\n\nFound on {tool.site}.".strip(),
        "tags": [tool.site],
        "parameters": [_PREFER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _body(exported)}}},
        "responses": {
            "200": {
                "description": "The run has ended, whatever its end.",
                "content": {"application/json": {"schema": _record(tool.output_schema)}},
            },
            "202": _ACCEPTED,
            "422": _REFUSED,
        },
    }


def _body(exported: Exported) -> JSONSchema:
    arguments = {
        key: value for key, value in arguments_schema_of(exported.tool).items() if key not in {"$schema", "$id"}
    }
    body: JSONSchema = {
        "type": "object",
        "properties": {"arguments": _relocated(arguments, "arguments")},
        "required": ["arguments"],
        "additionalProperties": False,
    }
    if exported.is_destructive:
        body["properties"]["confirm"] = {"const": True, "description": "It deletes, or changes an account."}
        body["required"].append("confirm")
    return body


def _record(output_schema: JSONSchema | None) -> JSONSchema:
    value = {key: rules for key, rules in (output_schema or {}).items() if key not in {"$schema", "$id"}}
    result = {"type": ["object", "null"], "properties": {"value": _relocated(value, "value")}}
    return _JOB | {"properties": {**_JOB["properties"], "result": result}}  # type: ignore[dict-item]


def _relocated(schema: JSONSchema, name: str) -> JSONSchema:
    """Give a schema that refers to parts of itself an identifier, so that it may stand inside another document."""
    is_recursive = any(key in schema for key in ("$defs", "definitions"))
    return {"$id": f"urn:switchyard:{name}", **schema} if is_recursive else schema

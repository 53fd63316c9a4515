"""Tools as an OpenAPI 3.1 document: each is an operation that runs it through the front door."""

from collections.abc import Sequence
from typing import Any

from tasks.discovery.exports.exported import Exported, arguments_schema_of
from tasks.discovery.tool import JSONSchema

_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_COMPONENTS = "#/components/schemas/"
_JOB: dict[str, Any] = {
    "id": {"type": "string"},
    "state": {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]},
    "error": {"type": ["object", "null"]},
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
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: schema for one in tools for name, schema in _schemas(one).items()},
        },
    }


def _operation(exported: Exported) -> dict[str, Any]:
    tool = exported.tool
    return {
        "operationId": exported.name,
        "summary": tool.words.title or tool.name,
        "description": f"{tool.words.description}\n\nFound on {tool.site}.".strip(),
        "tags": [tool.site],
        "parameters": [_PREFER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _body(exported)}}},
        "responses": {
            "200": {
                "description": "The run has ended, whatever its end.",
                "content": {"application/json": {"schema": _record(exported)}},
            },
            "202": _ACCEPTED,
            "422": _REFUSED,
        },
    }


def _body(exported: Exported) -> JSONSchema:
    body: JSONSchema = {
        "type": "object",
        "properties": {"arguments": {"$ref": _COMPONENTS + exported.name}},
        "required": ["arguments"],
        "additionalProperties": False,
    }
    if exported.is_destructive:
        body["properties"]["confirm"] = {"const": True, "description": "It deletes, or changes an account."}
        body["required"].append("confirm")
    return body


def _record(exported: Exported) -> JSONSchema:
    value = {"$ref": f"{_COMPONENTS}{exported.name}.value"} if exported.tool.output_schema else {}
    result = {"type": ["object", "null"], "properties": {"value": value}}
    return {"type": "object", "required": ["id", "state"], "properties": _JOB | {"result": result}}


def _schemas(exported: Exported) -> dict[str, JSONSchema]:
    """Return the tool's schemas as components, where what they say of parts of themselves holds."""
    schemas = {exported.name: arguments_schema_of(exported.tool)}
    if exported.tool.output_schema:
        schemas[f"{exported.name}.value"] = exported.tool.output_schema
    return {name: _moved(schema, name) for name, schema in schemas.items()}


def _moved(schema: JSONSchema, name: str) -> JSONSchema:
    return {key: _aimed(key, value, name) for key, value in schema.items() if key not in {"$schema", "$id"}}


def _aimed(key: str, value: Any, name: str) -> Any:
    """Return a schema's part with its references aimed at the component ``name``; values are left alone."""
    if key in {"const", "enum", "default", "examples", "example"}:
        return value
    if key == "$ref" and isinstance(value, str):
        return f"{_COMPONENTS}{name}{value[1:]}" if value.startswith("#") else value
    if isinstance(value, dict):
        # Where keys are names, none of them is a keyword.
        return {inner: _aimed("" if key in _NAMED else inner, part, name) for inner, part in value.items()}
    return [_aimed("", part, name) for part in value] if isinstance(value, list) else value

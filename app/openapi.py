"""The machine-readable interface: what flask-openapi3 collects from the views, completed with what it cannot know."""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.errors import Problem, phrase
from app.forms import named_form_of
from app.inputs import Input
from tasks.core.spec import JobSpec
from tasks.core.uploads.references import holds_uploads
from tasks.core.version import VERSION

INFO = Info(
    title="Switchyard",
    version=VERSION,
    description="One front door for long-running jobs: submit, watch, cancel, fetch. `docs/api.md` says the rest.",
)
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer <key>`."}
}
_COMPONENTS = "#/components/schemas/"
_HEADERS: Mapping[str, dict[str, Any]] = {
    "ETag": {"description": "Changes whenever the record does.", "schema": {"type": "string"}},
    "Location": {"description": "The path of what was made.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` when an earlier submission with this key made the job.",
        "schema": {"type": "string"},
    },
    "Job-Duplicate": {
        "description": "`true` when the job is an earlier one with the same `unique_key`, which has not ended.",
        "schema": {"type": "string"},
    },
    "Preference-Applied": {"description": "The part of `Prefer` that was kept to.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": 'What is left of each of the tenant\'s quotas, if it has any: `"queued";r=12`.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": 'The tenant\'s quotas, if it has any: `"queued";q=100, "day";q=5000;w=86400`.',
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
    "Tus-Resumable": {"description": "The version of tus.", "schema": {"type": "string"}},
    "Upload-Expires": {"description": "When an unfinished upload goes.", "schema": {"type": "string"}},
    "Upload-Length": {"description": "Bytes of the whole.", "schema": {"type": "integer"}},
    "Upload-Metadata": {"description": "As it was sent.", "schema": {"type": "string"}},
    "Upload-Offset": {"description": "Bytes that are there.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to sign in.", "schema": {"type": "string"}},
}
_HEADERS_OF_STATUS = {
    401: ("WWW-Authenticate",),
    429: ("RateLimit", "RateLimit-Policy", "Retry-After"),
    503: ("Retry-After",),
}


class API(OpenAPI):
    """The application class of flask-openapi3, which loses operations when two blueprints share a path."""

    def register_api(self, api: APIBlueprint, **options: Any) -> None:
        """Register a blueprint and keep what others have at the same paths."""
        others = {path: self.paths[path] for path in api.paths if path in self.paths}
        super().register_api(api, **options)
        for path, item in others.items():
            ours = api.paths[path]
            self.paths[path] = item.model_copy(update={name: getattr(ours, name) for name in ours.model_fields_set})


def answer(model: type[BaseModel], description: str, *, headers: Iterable[str] = ()) -> dict[str, Any]:
    """Describe a JSON answer; ``model`` must be among the concern's ``MODELS``."""
    return {
        "description": description,
        "headers": {name: _HEADERS[name] for name in headers},
        "content": {"application/json": {"schema": {"$ref": _COMPONENTS + model.__name__}}},
    }


def raw_answer(description: str, media_type: str) -> dict[str, Any]:
    """Describe an answer that is a file."""
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def bare_answer(description: str, *, headers: Iterable[str] = ()) -> dict[str, Any]:
    """Describe an answer without a body."""
    return {"description": description, "headers": {name: _HEADERS[name] for name in headers}}


def problems(*statuses: int) -> ResponseDict:
    """Describe problem documents, by status."""
    return {
        status: {
            "description": phrase(status),
            "headers": {name: _HEADERS[name] for name in _HEADERS_OF_STATUS.get(status, ())},
            "content": {"application/problem+json": {"schema": {"$ref": _COMPONENTS + Problem.__name__}}},
        }
        for status in statuses
    }


def describe_api(
    app: API,
    *,
    specs: Mapping[str, JobSpec],
    forms: Mapping[str, type[BaseModel]],
    models: Sequence[type[BaseModel]],
    requests: Sequence[type[BaseModel]] = (),
    serves_streams: bool = True,
) -> bytes:
    """Return the OpenAPI 3.1 document of ``app``: each kind has a path of its own, with its schema and example."""
    document: dict[str, Any] = copy.deepcopy(app.api_doc)
    named = {kind: named_form_of(spec, forms[kind]) for kind, spec in specs.items()}
    inputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (form, "validation") for form in (*forms.values(), *named.values(), *requests)
    ]
    answers: dict[type[BaseModel], None] = dict.fromkeys((*models, Problem))
    outputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation" if issubclass(model, Input) else "serialization") for model in answers
    ]
    _, definitions = models_json_schema([*inputs, *outputs], ref_template=_COMPONENTS + "{model}")
    document["components"]["schemas"] = definitions["$defs"]
    for item in document["paths"].values():
        for operation in item.values():
            _drop_foreign_refusal(operation["responses"])
            if not serves_streams:
                _drop_streams(operation["responses"])
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    _document_heads(document["paths"])
    _document_kinds(document["paths"], specs, forms)
    _document_mcp(document["paths"])
    document["paths"]["/api/jobs"]["post"]["requestBody"] = _any_kind(specs, named)
    return json.dumps(document, separators=(",", ":")).encode()


def _drop_foreign_refusal(responses: dict[str, Any]) -> None:
    # flask-openapi3 says of every operation that it may answer 422, and with an array.
    told = responses.get("422", {}).get("content", {}).get("application/json", {})
    if told.get("schema", {}).get("type") == "array":
        del responses["422"]


def _drop_streams(responses: dict[str, Any]) -> None:
    # One path answers with a stream or with a page.
    for response in responses.values():
        response.get("content", {}).pop("text/event-stream", None)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    # An optional parameter is left out: a path, a query and a header have no null, only the text "null".
    if {"type": "null"} not in schema.get("anyOf", ()):
        return schema
    only: dict[str, Any] = next(one for one in schema["anyOf"] if one != {"type": "null"})
    return only | {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}


def _document_heads(paths: dict[str, Any]) -> None:
    # Flask serves HEAD wherever it serves GET; here clients depend on it.
    for path, name in (("/api/uploads", "look_for_content"), ("/api/uploads/{upload_id}", "look_at_upload")):
        operation = copy.deepcopy(paths[path]["get"])
        operation |= {"operationId": name, "summary": f"{operation['summary']} Without the body."}
        operation["responses"]["200"].pop("content")
        paths[path]["head"] = operation


def _document_mcp(paths: dict[str, Any]) -> None:
    # The view takes the bytes as they are: the protocol has errors of its own for what is no message.
    if "/mcp" in paths:
        schema = {"type": "object", "properties": {"jsonrpc": {"const": "2.0"}}, "required": ["jsonrpc"]}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        paths["/mcp"]["post"]["requestBody"] = _body(schema, {"ping": ping})


def _document_kinds(paths: dict[str, Any], specs: Mapping[str, JobSpec], forms: Mapping[str, type[BaseModel]]) -> None:
    # This template would be the same as that of `/api/jobs/{job_id}`, which OpenAPI does not allow.
    template = paths.pop("/api/jobs/{kind}")["post"]
    for kind, spec in specs.items():
        operation = copy.deepcopy(template)
        operation["parameters"] = [one for one in operation["parameters"] if one["in"] != "path"]
        operation |= {"operationId": f"submit_{kind.replace('.', '_')}", "summary": spec.summary}
        schema = {"$ref": _COMPONENTS + forms[kind].__name__}
        operation["requestBody"] = _body(schema, {kind: {"params": dict(spec.example)}})
        if holds_uploads(spec.request):
            operation["requestBody"]["content"]["multipart/form-data"] = {"schema": _form_of(schema)}
        paths[f"/api/jobs/{kind}"] = {"post": operation}


_REQUEST_PART = "request"


def _form_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Files, each named by its place in `params` (`va_data.insilicova`), and the rest as JSON.",
        "properties": {_REQUEST_PART: schema},
        "additionalProperties": {"type": "string", "format": "binary"},
    }


def _any_kind(specs: Mapping[str, JobSpec], named: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    refs = {kind: _COMPONENTS + form.__name__ for kind, form in named.items()}
    schema = {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "kind", "mapping": refs},
    }
    body = _body(schema, {kind: {"kind": kind, "params": dict(spec.example)} for kind, spec in specs.items()})
    body["content"]["multipart/form-data"] = {"schema": _form_of(schema) | {"required": [_REQUEST_PART]}}
    return body


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"required": True, "content": {"application/json": content}}

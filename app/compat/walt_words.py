"""The words of the older tool discovery service: its errors, its tools with their inputs and steps."""

from typing import Any, Literal
from urllib.parse import urlsplit

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.compat.aliases import Aliases
from app.errors import Refusal, refusals_of, status_of
from tasks.core.errors import AppError
from tasks.discovery.exports.exported import arguments_schema_of
from tasks.discovery.store.records import ToolFacts
from tasks.discovery.tool import Call, FormCall, FormField, PageToolCall, RequestCall, StepsCall, Tool

# Its names for our steps; the others are called the same.
_ACTS = {
    "select": "select_change",
    "key": "key_press",
    "wait": "wait_for_page_load",
    "extract": "extract_page_content",
}
_CHOSEN = frozenset({"select", "select-one", "select-multiple"})
_CLICKED = frozenset({"checkbox", "radio"})


class WaltError(BaseModel):
    """An error as its clients read it."""

    success: Literal[False] = False
    error: str
    code: str = Field(description="Ours: see docs/errors.md.")
    errors: list[Refusal] = []
    job_id: str | None = Field(None, description="The job that failed, or that goes on.")


class WaltInput(BaseModel):
    """An input of a tool."""

    type: str
    description: str
    required: bool
    default: Any = None
    enum: list[Any] | None = None


class WaltTool(BaseModel):
    """A tool, in its shape."""

    name: str
    description: str
    domain: str
    cost: float | None = Field(description="Mean of the runs whose cost is known, in USD; null: not known.")
    latency_ms: float | None = Field(description="Mean of the runs that succeeded; null before the first.")
    confidence: float | None
    inputs: dict[str, WaltInput]
    steps: list[dict[str, Any]] = Field(description="How it is run; `{input}` stands for an input's value.")


def walt_paths(name: str) -> Aliases:
    """Make a blueprint of its paths, with our keys and its errors."""
    made = Aliases(name, tag="walt", key_header="X-API-Key", key_parameter="api_key")
    made.blueprint.register_error_handler(AppError, error_answer)
    return made


def error_answer(exc: AppError) -> Response:
    """Answer an error in its words; what it refused in a request was a 400."""
    status, refusals = status_of(exc), list(refusals_of(exc))
    told = "; ".join(f"{one.field}: {one.message}" for one in refusals[:5]) or exc.message
    response = json_answer(
        WaltError(error=told, code=exc.code, errors=refusals), status=400 if status == 422 else status
    )
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def described(*statuses: int) -> ResponseDict:
    """Describe its errors, by status."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{WaltError.__name__}"}}}
    return {status: {"description": "An error.", "content": content} for status in statuses}


def domain_of(site: str) -> str:
    """Return what it calls a site: its host, with the port if it has one of its own."""
    return urlsplit(site).netloc.rpartition("@")[2]


def tool_of(facts: ToolFacts) -> WaltTool:
    """Return a tool of the registry in its shape."""
    tool, figures = facts.stored.tool, facts.statistics
    return WaltTool(
        name=tool.name,
        description=tool.words.description or tool.words.title or tool.name,
        domain=domain_of(tool.site),
        cost=figures.mean_cost_usd,
        latency_ms=figures.mean_ms,
        confidence=tool.confidence,
        inputs=_inputs_of(tool),
        steps=steps_of(tool.call),
    )


def _inputs_of(tool: Tool) -> dict[str, WaltInput]:
    schema = arguments_schema_of(tool)
    required = schema.get("required", ())
    return {
        name: WaltInput(
            type=_type_of(rules),
            description=rules.get("description") or rules.get("title") or name,
            required=name in required,
            default=rules.get("default"),
            enum=rules.get("enum"),
        )
        for name, given in schema["properties"].items()
        for rules in [given if isinstance(given, dict) else {}]
    }


def _type_of(rules: dict[str, Any]) -> str:
    found = rules.get("type", "string")
    named = found if isinstance(found, list) else [found]
    return next((one for one in named if one != "null"), "string")


def steps_of(call: Call) -> list[dict[str, Any]]:
    """Return how a tool is run as its steps; what it had no step for is a ``request`` or a ``page_tool``."""
    match call:
        case RequestCall():
            return _request_steps(call)
        case FormCall():
            return _form_steps(call)
        case PageToolCall():
            return [_navigate(call.page_url), {"type": "page_tool", "name": call.tool_name}]
        case StepsCall():
            return [_navigate(call.page_url), *(_step(one.act, one.selectors, one.text) for one in call.steps)]


def _request_steps(call: RequestCall) -> list[dict[str, Any]]:
    named = {slot.name or slot.input: f"{{{slot.input}}}" for slot in call.slots if slot.place == "query"}
    query = "&".join(f"{name}={value}" for name, value in {**dict(call.query), **named}.items())
    url = f"{call.url}?{query}" if query else call.url
    if call.method == "GET":
        return [_navigate(url), {"type": "extract_page_content"}]
    return [{"type": "request", "method": call.method, "url": url}]


def _form_steps(call: FormCall) -> list[dict[str, Any]]:
    filled = [_filling(field) for field in call.fields if field.input]
    sent = _step("click", call.submit_selectors, "") if call.submit_selectors else _step("key", (), "Enter")
    return [_navigate(call.page_url), *filled, sent, {"type": "extract_page_content"}]


def _filling(field: FormField) -> dict[str, Any]:
    act = "select" if field.type in _CHOSEN else "click" if field.type in _CLICKED else "input"
    return _step(act, field.selectors, f"{{{field.input}}}")


def _navigate(url: str) -> dict[str, Any]:
    return {"type": "navigate", "url": url}


def _step(act: str, selectors: tuple[str, ...], text: str) -> dict[str, Any]:
    step: dict[str, Any] = {"type": _ACTS.get(act, act)}
    if selectors:
        step["selector"] = selectors[0]
    if text:
        step["url" if act == "navigate" else "key" if act == "key" else "value"] = text
    return step

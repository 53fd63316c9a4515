"""Which kinds there are, and whether a live worker can run each now."""

from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import checked
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from app.submissions import KindPath, unknown_kind
from tasks.core.spec import JobSpec, Option

bp = APIBlueprint("catalogue", __name__, abp_tags=[Tag(name="catalogue")], abp_security=SECURITY)


class OptionRecord(BaseModel):
    """A value of a field with which a job needs more of a worker than its kind does."""

    field: str
    value: str
    capability: str
    runnable: bool = Field(description="Whether a live worker can run such a job now.")
    waiting_for: str | None = Field(None, description="What no live worker offers.")


class KindRecord(BaseModel):
    """A kind of job."""

    kind: str
    family: str
    queue: str
    summary: str
    request_schema: dict[str, Any] = Field(description="JSON Schema of `params`.")
    result_schema: dict[str, Any] = Field(description="JSON Schema of `result`.")
    example: dict[str, Any] = Field(description="A valid `params`.")
    soft_limit_s: float
    hard_limit_s: float
    retry: str = Field(description="The preset that spaces its attempts.")
    max_attempts: int
    capabilities: list[str] = Field(description="What a worker must have found on its machine.")
    options: list[OptionRecord] = Field(description="Choices in a request that need more.")
    runnable: bool = Field(description="Whether a live worker can run it now.")
    waiting_for: str | None = Field(None, description="What no live worker offers.")


class KindList(BaseModel):
    """Kinds, by name."""

    kinds: list[KindRecord]


MODELS: tuple[type[BaseModel], ...] = (OptionRecord, KindRecord, KindList)


@bp.get("/api/kinds", responses={200: answer(KindList, "All of them."), **problems(401, 503)})
@checked
def list_kinds() -> Response:
    """List the kinds of jobs, with their schemas, limits and examples."""
    at = services()
    return json_answer(KindList(kinds=[_record(at, at.specs[kind]) for kind in sorted(at.specs)]))


@bp.get("/api/kinds/<path:kind>", responses={200: answer(KindRecord, "The kind."), **problems(401, 404, 503)})
@checked
def read_kind(path: KindPath) -> Response:
    """Read one kind."""
    at = services()
    spec = at.specs.get(path.kind)
    if spec is None:
        raise unknown_kind(at, path.kind)
    return json_answer(_record(at, spec))


def _record(at: Services, spec: JobSpec) -> KindRecord:
    missing = at.workers.missing_for(spec, tenant_id=tenant_id())
    return KindRecord(
        kind=spec.kind,
        family=spec.family,
        queue=spec.queue,
        summary=spec.summary,
        request_schema=spec.request.model_json_schema(),
        result_schema=spec.result.model_json_schema(mode="serialization"),
        example=dict(spec.example),
        soft_limit_s=spec.soft_limit_s,
        hard_limit_s=spec.hard_limit_s,
        retry=spec.retry.name,
        max_attempts=spec.retry.max_attempts,
        capabilities=sorted(spec.capabilities),
        options=[_option_record(at, spec, option) for option in spec.options],
        runnable=missing is None,
        waiting_for=missing,
    )


def _option_record(at: Services, spec: JobSpec, option: Option) -> OptionRecord:
    missing = at.workers.missing_for(spec, {option.field: option.value}, tenant_id=tenant_id())
    return OptionRecord(
        field=option.field,
        value=option.value,
        capability=option.capability,
        runnable=missing is None,
        waiting_for=missing,
    )

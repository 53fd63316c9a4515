"""What tenants and kinds may use, over HTTP: the same as ``python -m app limits``."""

from typing import Annotated

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor
from app.inputs import Input, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.operators import operator_only
from app.pauses import known_tenant
from app.services import Services, services
from tasks.core.ledger import limits, tenants
from tasks.core.ledger.limits import ALL, Limit

log = structlog.get_logger()

bp = APIBlueprint("limits", __name__, abp_tags=[Tag(name="control")], abp_security=SECURITY)

_Tenant = Annotated[Text, Field(min_length=1, max_length=100)]
_Kind = Annotated[Text, Field(min_length=1, max_length=100)]
_Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class LimitQuery(Input):
    """Whose jobs, and of which kind; left out: those of all together."""

    tenant: _Tenant | None = Field(None, description="The tenant's name.")
    kind: _Kind | None = None


class LimitValues(BaseModel):
    """What is limited; null: nothing of that sort."""

    most_at_once: _Count | None = Field(None, description="Jobs under way at a time; others wait.")
    rate_per_s: float | None = Field(None, gt=0, le=1e6, description="Jobs that begin in a second.")
    burst: int | None = Field(None, ge=1, le=2**31 - 1, description="How many of these may begin together; else 1.")
    weight: int | None = Field(None, ge=1, le=1000, description="A tenant's share of a queue; else 1.")
    most_queued: _Count | None = Field(None, description="A tenant's queued jobs; further ones are refused.")
    most_running: _Count | None = Field(
        None, description="A tenant's running jobs; with so many, further ones are refused."
    )
    most_a_day: _Count | None = Field(None, description="A tenant's jobs of a day (UTC).")
    most_artifact_bytes: int | None = Field(
        None, ge=0, le=2**63 - 1, description="What a tenant's artifacts may take up."
    )


class NewLimit(LimitValues, Input):
    """The limits of a tenant, of a kind, or of a tenant's jobs of a kind, in place of those they had."""

    tenant: _Tenant | None = Field(None, description="Its name; null: all tenants together.")
    kind: _Kind | None = Field(None, description="Null: all kinds together.")


class LimitRecord(LimitValues):
    """A limit; without a tenant or kind, it is for all of them together."""

    tenant: str | None
    kind: str | None


class LimitList(BaseModel):
    """Every limit."""

    limits: list[LimitRecord]


MODELS: tuple[type[BaseModel], ...] = (NewLimit, LimitRecord, LimitList)


@bp.get("/api/limits", responses={200: answer(LimitList, "All of them."), **problems(401, 403, 503)})
@operator_only
@checked
def list_limits() -> Response:
    """List the limits."""
    return json_answer(LimitList(limits=_records(services())))


@bp.put(
    "/api/limits",
    responses={200: answer(LimitRecord, "It holds from now on."), **problems(400, 401, 403, 413, 415, 422, 503)},
)
@operator_only
@checked
def set_limit(body: NewLimit) -> Response:
    """Set the limits of a tenant, of a kind, or of both together, in place of those they had."""
    at = services()
    values = body.model_dump(exclude={"tenant", "kind"})
    tenant = ALL if body.tenant is None else known_tenant(at, body.tenant)
    limit = Limit(tenant, body.kind or ALL, **values)
    limits.check(limit)
    limits.set_limit(at.kernel.ledger, limit, by=actor())
    log.info("limit_set", tenant=body.tenant, kind=body.kind)
    return json_answer(LimitRecord(tenant=body.tenant, kind=body.kind, **values))


@bp.delete(
    "/api/limits",
    responses={204: bare_answer("What it kept back goes on."), **problems(401, 403, 404, 422, 503)},
)
@operator_only
@checked
def remove_limit(query: LimitQuery) -> Response:
    """Remove a limit; what it kept back goes on."""
    at = services()
    tenant = ALL if query.tenant is None else known_tenant(at, query.tenant)
    limits.remove_limit(at.kernel.ledger, tenant, query.kind or ALL, by=actor())
    at.carrier.soon(at.kernel.events.ring)
    log.info("limit_removed", tenant=query.tenant, kind=query.kind)
    return Response(status=204)


def _records(at: Services) -> list[LimitRecord]:
    names = tenants.names(at.kernel.ledger)
    return [
        LimitRecord(
            tenant=None if one.tenant_id == ALL else names.get(one.tenant_id, one.tenant_id),
            kind=None if one.kind == ALL else one.kind,
            **one.set_ones(),
        )
        for one in limits.all_limits(at.kernel.ledger)
    ]

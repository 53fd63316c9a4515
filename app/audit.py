"""The book of changes: who changed what, and when."""

from datetime import datetime
from typing import Annotated, Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import WHOLE_NUMBER, Input, Moment, Text, checked
from app.openapi import SECURITY, answer, problems
from app.operators import operator_only
from app.pauses import known_tenant
from app.services import services
from tasks.core.ledger import audit, tenants
from tasks.core.ledger.audit import Wanted

bp = APIBlueprint("audit", __name__, abp_tags=[Tag(name="control")], abp_security=SECURITY)


class AuditQuery(Input):
    """Which changes, all that is given must hold; and which page of them."""

    tenant: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        None, description="The name of the tenant that it concerned."
    )
    who: Annotated[Text, Field(max_length=100)] | None = Field(
        None, description="A key's id, `command line`, or `job` and its id."
    )
    what: Annotated[Text, Field(max_length=60)] | None = Field(None, description="Such as `limit.set`.")
    subject: Annotated[Text, Field(max_length=300)] | None = None
    since: Moment | None = Field(None, description="RFC 3339, with a zone; at or after.")
    until: Moment | None = Field(None, description="RFC 3339, with a zone; before.")
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None = Field(
        None, description="`next_cursor` of the page before."
    )


class AuditRecord(BaseModel):
    """One change."""

    id: str
    at: datetime
    who: str = Field(description="The id of the key that asked, `command line`, or `job` and its id.")
    what: str
    subject: str = Field(description="Which one it was.")
    tenant: str | None = Field(description="Whom it concerned; null: everybody.")
    details: dict[str, Any] = Field(description="`before` and `after` where something was changed.")


class AuditPage(BaseModel):
    """Changes, newest first."""

    entries: list[AuditRecord]
    next_cursor: str | None = Field(None, description="Asks for the next page; null on the last one.")


MODELS: tuple[type[BaseModel], ...] = (AuditPage,)


@bp.get("/api/audit", responses={200: answer(AuditPage, "A page."), **problems(401, 403, 422, 503)})
@operator_only
@checked
def read_audit(query: AuditQuery) -> Response:
    """List what was changed, newest first."""
    at = services()
    tenant = None if query.tenant is None else known_tenant(at, query.tenant)
    filters = query.model_dump(include={"who", "what", "subject", "since", "until"})
    wanted = Wanted(tenant_id=tenant, **filters)
    found = audit.entries(at.kernel.ledger, wanted, limit=query.limit + 1, before=query.cursor)
    names = tenants.names(at.kernel.ledger)
    page = found[: query.limit]
    records = [
        AuditRecord(
            id=one.id,
            at=one.at,
            who=one.who,
            what=one.what,
            subject=one.subject,
            tenant=None if one.tenant_id is None else names.get(one.tenant_id, one.tenant_id),
            details=one.details,
        )
        for one in page
    ]
    return json_answer(AuditPage(entries=records, next_cursor=page[-1].id if len(found) > query.limit else None))

"""Sign-in states for sites: stored, listed by site, deleted; what they hold is never given out."""

from datetime import datetime
from typing import Annotated, Literal

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.inputs import Input, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.services import services
from app.tool_records import Origin
from tasks.discovery.sealing import seal
from tasks.discovery.store import sessions

log = structlog.get_logger()

bp = APIBlueprint("sessions", __name__, abp_tags=[Tag(name="tools")], abp_security=SECURITY)

_Short = Annotated[str, Field(max_length=1000)]
_Value = Annotated[str, Field(max_length=100_000)]


class SiteQuery(Input):
    """Which site."""

    site: Origin = Field(description="The site's origin: `https://example.org`.")


class StoredCookie(Input):
    """A cookie as Playwright's `storage_state` has it."""

    name: _Short
    value: _Value
    domain: _Short = Field(description="With a dot in front: subdomains, too.")
    path: _Short = "/"
    expires: float = Field(-1, allow_inf_nan=False, description="Seconds since 1970; -1: with the browser's session.")
    httpOnly: bool = False  # noqa: N815  # Playwright's spelling
    secure: bool = False
    sameSite: Literal["Strict", "Lax", "None"] = "Lax"  # noqa: N815  # as above


class StoredItem(Input):
    """An entry of a page's local storage."""

    name: _Short
    value: _Value


class StoredOrigin(Input):
    """The local storage of an origin."""

    origin: Origin
    localStorage: Annotated[list[StoredItem], Field(max_length=1000)] = Field(default_factory=list)  # noqa: N815  # as above


class SignInState(Input):
    """What a browser keeps of being signed in: Playwright's `storage_state`."""

    cookies: Annotated[list[StoredCookie], Field(max_length=1000)] = Field(default_factory=list)
    origins: Annotated[list[StoredOrigin], Field(max_length=100)] = Field(default_factory=list)


class SessionRecord(BaseModel):
    """That a sign-in state is stored, not what it is."""

    site: str
    created_at: datetime
    updated_at: datetime


class SessionList(BaseModel):
    """The sites that a sign-in state is stored for."""

    sessions: list[SessionRecord]


MODELS: tuple[type[BaseModel], ...] = (SignInState, SessionRecord, SessionList)


@bp.get("/api/sessions", responses={200: answer(SessionList, "By site."), **problems(401, 503)})
@checked
def list_sessions() -> Response:
    """List the sites that a sign-in state is stored for."""
    found = sessions.list_sessions(services().kernel.ledger, tenant_id())
    return json_answer(SessionList(sessions=[_record(one) for one in found]))


@bp.put(
    "/api/sessions",
    responses={
        200: answer(SessionRecord, "Stored in place of an earlier one."),
        201: answer(SessionRecord, "Stored."),
        **problems(400, 401, 413, 415, 422, 503),
    },
)
@checked
def store_session(query: SiteQuery, body: SignInState) -> Response:
    """Store a sign-in state for a site, sealed; discoveries and runs use it where they are asked to."""
    at = services()
    sealed = seal(at.settings, tenant_id(), query.site, body.model_dump(mode="json"))
    is_new = sessions.keep_session(at.kernel.ledger, tenant_id(), query.site, sealed, by=actor())
    log.info("session_stored", site=query.site, is_new=is_new)
    found = sessions.kept_session(at.kernel.ledger, tenant_id(), query.site)
    return json_answer(_record(found), status=201 if is_new else 200)


@bp.delete("/api/sessions", responses={204: bare_answer("It is gone."), **problems(401, 404, 422, 503)})
@checked
def delete_session(query: SiteQuery) -> Response:
    """Delete the sign-in state of a site."""
    sessions.forget_session(services().kernel.ledger, tenant_id(), query.site, by=actor())
    log.info("session_deleted", site=query.site)
    return Response(status=204)


def _record(found: sessions.KeptSession) -> SessionRecord:
    return SessionRecord(site=found.site, created_at=found.created_at, updated_at=found.updated_at)

"""Pauses: operators stop jobs of a queue, a kind or a tenant from beginning, and let them go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.inputs import Input, Moment, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.operators import operator_asks, operator_only
from app.services import Services, services
from tasks.core.clock import now
from tasks.core.errors import InputRejected, NotFound
from tasks.core.ledger import pauses, tenants
from tasks.core.ledger.pauses import Pause, Scope
from tasks.core.spec import Queue
from tasks.dispatch import pause, resume

log = structlog.get_logger()

bp = APIBlueprint("pauses", __name__, abp_tags=[Tag(name="control")], abp_security=SECURITY)

_LONGEST_S = 366 * 24 * 3600


class PausePath(Input):
    """Which pause."""

    pause_id: str = Field(description="The pause's id.", json_schema_extra={"format": "uuid"})


class QueuePath(Input):
    """Which queue."""

    queue: Queue


class Duration(Input):
    """Why, and for how long."""

    reason: Annotated[Text, Field(min_length=1, max_length=500)] | None = Field(None, description="For people.")
    until: Moment | None = Field(None, description="It ends by itself then (RFC 3339, with a zone).")
    for_s: float | None = Field(None, gt=0, le=_LONGEST_S, description="Instead of `until`: so many seconds from now.")


class NewPause(Duration):
    """Which jobs do not begin: all that is given must hold of them, and something must be."""

    queue: Queue | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    tenant: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(None, description="Its name.")


class PauseRecord(BaseModel):
    """A pause that holds; what is null stands for any."""

    id: str
    queue: Queue | None
    kind: str | None
    tenant: str | None
    reason: str | None
    until: datetime | None
    made_by: str | None = Field(description="The id of the key that asked; null for who is no operator.")
    since: datetime
    held: int | None = Field(description="Jobs that it keeps from beginning, of all tenants.")


class PauseList(BaseModel):
    """The pauses that hold, oldest first."""

    pauses: list[PauseRecord]


MODELS: tuple[type[BaseModel], ...] = (NewPause, Duration, PauseRecord, PauseList)
_MADE: dict[Any, Any] = {
    200: answer(PauseRecord, "There was one for the same jobs; its reason and its time are these now."),
    201: answer(PauseRecord, "From now on no such job begins."),
    **problems(400, 401, 403, 413, 415, 422, 503),
}


@bp.get("/api/pauses", responses={200: answer(PauseList, "All of them."), **problems(401, 403, 503)})
@operator_only
@checked
def list_pauses() -> Response:
    """List the pauses that hold."""
    return json_answer(PauseList(pauses=shown_pauses(services()).all))


@bp.post("/api/pauses", responses=_MADE)
@operator_only
@checked
def make_pause(body: NewPause) -> Response:
    """Let no job of a queue, a kind or a tenant begin; what runs, runs on, and submissions are accepted."""
    at = services()
    if body.queue is None and body.kind is None and body.tenant is None:
        raise InputRejected("Say what is paused: a queue, a kind, a tenant, or several of these.", field="queue")
    if body.kind is not None and body.kind not in at.specs:
        raise InputRejected(f"There is no kind {body.kind!r}; GET /api/kinds lists them.", field="kind")
    tenant = None if body.tenant is None else known_tenant(at, body.tenant)
    return _pause(at, Scope(body.queue or pauses.ALL, body.kind or pauses.ALL, tenant or pauses.ALL), body)


@bp.delete(
    "/api/pauses/<job:pause_id>",
    responses={204: bare_answer("What it held goes on."), **problems(401, 403, 404, 503)},
)
@operator_only
@checked
def end_pause(path: PausePath) -> Response:
    """End a pause: what it held goes on at once, in its order."""
    _resume(services(), path.pause_id)
    return Response(status=204)


@bp.post("/api/queues/<queue>/pause", responses=_MADE)
@operator_only
@checked
def pause_queue(path: QueuePath, body: Duration) -> Response:
    """Let no job of a queue begin."""
    return _pause(services(), Scope(queue=path.queue), body)


@bp.post(
    "/api/queues/<queue>/resume",
    responses={204: bare_answer("What it held goes on."), **problems(401, 403, 404, 422, 503)},
)
@operator_only
@checked
def resume_queue(path: QueuePath) -> Response:
    """End the pause of a whole queue; those of kinds and tenants stay."""
    at = services()
    scope = Scope(queue=path.queue)
    found = [one for one in pauses.in_effect_now(at.kernel.ledger) if one.scope == scope]
    if not found:
        raise NotFound(f"The queue {path.queue.value} is not paused.")
    _resume(at, found[0].id)
    return Response(status=204)


def known_tenant(at: Services, name: str) -> str:
    """Return a tenant's id.

    Raises:
        InputRejected: there is no such tenant.
    """
    found = tenants.find(at.kernel.ledger, name)
    if found is None:
        raise InputRejected(f"There is no tenant {name!r}.", field="tenant")
    return found.id


def _pause(at: Services, scope: Scope, asked: Duration) -> Response:
    if asked.until is not None and asked.for_s is not None:
        raise InputRejected("Give either until or for_s.", field="for_s")
    until = asked.until if asked.for_s is None else now() + timedelta(seconds=asked.for_s)
    if until is not None and until <= now():
        raise InputRejected("This time has passed.", field="until")
    made, is_new = pause(at.kernel, at.carrier, scope, by=actor(), reason=asked.reason, until=until)
    log.info("paused", pause_id=made.id, scope=str(scope), is_new=is_new)
    shown = next((one for one in shown_pauses(at).all if one.id == made.id), None)
    return json_answer(shown or _record(made, {}, {}), status=201 if is_new else 200)


def _resume(at: Services, pause_id: str) -> None:
    ended = resume(at.kernel, at.carrier, pause_id, by=actor())
    log.info("resumed", pause_id=ended.id, scope=str(ended.scope))


@dataclass(frozen=True, slots=True)
class ShownPauses:
    """The pauses that the caller may see: an operator all, others those that concern their jobs."""

    all: Sequence[PauseRecord]
    queue_of_kind: Mapping[str, Queue]

    def of_queue(self, queue: Queue) -> list[PauseRecord]:
        """Return those that concern jobs of the queue."""
        return [one for one in self.all if self._concerns(one, queue)]

    def _concerns(self, one: PauseRecord, queue: Queue) -> bool:
        if one.queue is not None:
            return one.queue == queue
        return one.kind is None or self.queue_of_kind.get(one.kind) == queue


def shown_pauses(at: Services) -> ShownPauses:
    """Return what the caller may see of the pauses that hold."""
    found = pauses.in_effect_now(at.kernel.ledger)
    queues = {kind: spec.queue for kind, spec in at.specs.items()}
    if not found:
        return ShownPauses([], queues)
    counts = {pause_id: sum(by.values()) for pause_id, by in pauses.held_counts(at.kernel.ledger).items()}
    names = tenants.names(at.kernel.ledger)
    mine = tenant_id()
    seen = [one for one in found if operator_asks() or one.tenant_id in {pauses.ALL, mine}]
    return ShownPauses([_record(one, names, counts) for one in seen], queues)


def _record(found: Pause, names: Mapping[str, str], counts: Mapping[str, int]) -> PauseRecord:
    def given(value: str) -> str | None:
        return None if value == pauses.ALL else value

    queue, tenant = given(found.queue), given(found.tenant_id)
    return PauseRecord(
        id=found.id,
        queue=None if queue is None else Queue(queue),
        kind=given(found.kind),
        tenant=None if tenant is None else names.get(tenant, tenant),
        reason=found.reason,
        until=found.until,
        made_by=found.made_by if operator_asks() else None,
        since=found.created_at,
        held=counts.get(found.id, 0) if operator_asks() else None,
    )

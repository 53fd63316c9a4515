"""What was sent to webhooks and to jobs' own callbacks: listed, shown, sent once more."""

from typing import Annotated

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.callback_records import DeliveryPage, DeliveryRecord, delivery_record
from app.inputs import WHOLE_NUMBER, Input, checked
from app.openapi import SECURITY, answer, problems
from app.services import services
from tasks.core.callbacks.records import DeliveryState
from tasks.core.errors import Conflict
from tasks.core.ledger import deliveries, webhooks
from tasks.core.ledger.deliveries import Wanted

log = structlog.get_logger()

bp = APIBlueprint("callback_deliveries", __name__, abp_tags=[Tag(name="webhooks")], abp_security=SECURITY)

_ID = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class DeliveryPath(Input):
    """Which delivery."""

    delivery_id: str = Field(description="The delivery's id.", json_schema_extra={"format": "uuid"})


class WebhookOfReplay(Input):
    """Whose deliveries."""

    webhook_id: str = Field(description="The webhook's id.", json_schema_extra={"format": "uuid"})


class DeliveryQuery(Input):
    """Which deliveries, and which page of them."""

    webhook_id: _ID | None = None
    job_id: _ID | None = None
    state: DeliveryState | None = None
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: _ID | None = Field(None, description="`next_cursor` of the page before.")


class ReplayQuery(Input):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=10_000), WHOLE_NUMBER] = Field(1000, description="Oldest first.")


class ReplayAnswer(BaseModel):
    """What was done."""

    replayed: int


MODELS: tuple[type[BaseModel], ...] = (DeliveryRecord, DeliveryPage, ReplayAnswer)
_ONE = "/api/webhooks/deliveries/<webhook:delivery_id>"


@bp.get("/api/webhooks/deliveries", responses={200: answer(DeliveryPage, "A page."), **problems(401, 422, 503)})
@checked
def list_deliveries(query: DeliveryQuery) -> Response:
    """List deliveries, newest first: of your webhooks, and of jobs' own callbacks."""
    wanted = Wanted(tenant_id(), webhook_id=query.webhook_id, job_id=query.job_id, state=query.state)
    found = deliveries.page(services().kernel.ledger, wanted, limit=query.limit, before=query.cursor)
    cursor = found[-1].id if len(found) == query.limit else None
    return json_answer(DeliveryPage(deliveries=[delivery_record(one) for one in found], next_cursor=cursor))


@bp.get(_ONE, responses={200: answer(DeliveryRecord, "The delivery."), **problems(401, 404, 503)})
@checked
def read_delivery(path: DeliveryPath) -> Response:
    """Show a delivery with its tries."""
    return json_answer(delivery_record(deliveries.find(services().kernel.ledger, tenant_id(), path.delivery_id)))


@bp.post(
    f"{_ONE}/replay",
    responses={202: answer(DeliveryRecord, "It is pending again."), **problems(401, 404, 409, 503)},
)
@checked
def replay_delivery(path: DeliveryPath) -> Response:
    """Send a delivery that has ended once more, under the same id, whether or not it had arrived."""
    at = services()
    keep_s = at.settings.callback_retry_s
    again = deliveries.replay(at.kernel.ledger, tenant_id(), path.delivery_id, keep_trying_s=keep_s)
    log.info("delivery_replayed", delivery_id=again.id)
    return json_answer(delivery_record(again), status=202)


@bp.post(
    "/api/webhooks/<webhook:webhook_id>/replay",
    responses={202: answer(ReplayAnswer, "They are pending again."), **problems(401, 404, 409, 422, 503)},
)
@checked
def replay_dead(path: WebhookOfReplay, query: ReplayQuery) -> Response:
    """Send every dead delivery of a webhook once more, under their ids."""
    at = services()
    found = webhooks.find(at.kernel.ledger, tenant_id(), path.webhook_id)
    if not found.enabled:
        raise Conflict(f"Webhook {found.id} is switched off: switch it on first.")
    keep_s = at.settings.callback_retry_s
    count = deliveries.replay_dead(at.kernel.ledger, found.id, keep_trying_s=keep_s, limit=query.limit)
    log.info("deliveries_replayed", webhook_id=found.id, count=count)
    return json_answer(ReplayAnswer(replayed=count), status=202)

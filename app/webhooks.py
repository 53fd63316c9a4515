"""Webhooks: a tenant's endpoints, made, changed, tested, and shown as they fare."""

from datetime import datetime
from typing import Annotated, Any

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.callback_records import DeliveryRecord, delivery_record
from app.callbacks import CallbackURL, Secret, check_secret, check_url
from app.inputs import Input, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.services import services
from tasks.core.callbacks.records import ENDS, TEST, OffReason, Webhook
from tasks.core.clock import now
from tasks.core.errors import Permanent
from tasks.core.ids import new_id
from tasks.core.ledger import callbacks, deliveries, webhooks
from tasks.core.sealing import SealBroken

log = structlog.get_logger()

bp = APIBlueprint("webhooks", __name__, abp_tags=[Tag(name="webhooks")], abp_security=SECURITY)

_LONGEST_OVERLAP_S = 30 * 86400
_Pattern = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,48}\.([a-z][a-z0-9_]{0,48}|\*)$")]
_Patterns = Annotated[list[_Pattern], Field(min_length=1, max_length=50)]
_EVENTS = (
    "`job.started`, `job.succeeded`, `job.failed`, `job.cancelled`, or a domain event; `site.*` for all of a noun."
)


class WebhookPath(Input):
    """Which webhook."""

    webhook_id: str = Field(description="The webhook's id.", json_schema_extra={"format": "uuid"})


class NewWebhook(Input):
    """An endpoint."""

    url: CallbackURL
    events: _Patterns = Field(list(ENDS), description=_EVENTS)
    description: Annotated[Text, Field(max_length=200)] = ""
    secret: Secret | None = Field(None, description="One of your own; without it you are given one.")
    enabled: bool = True


class WebhookChanges(Input):
    """What is to be otherwise."""

    url: CallbackURL | None = None
    events: _Patterns | None = None
    description: Annotated[Text, Field(max_length=200)] | None = None
    enabled: bool | None = Field(None, description="Switched off, it is told nothing, and what was pending is dead.")


class Rotation(Input):
    """A new secret."""

    secret: Secret | None = Field(None, description="One of your own; without it you are given one.")
    old_for_s: float = Field(86400, ge=0, le=_LONGEST_OVERLAP_S, description="How long the old one goes on signing.")


class WebhookRecord(BaseModel):
    """An endpoint as it is now."""

    id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    off_reason: OffReason | None = Field(description="Why it is switched off.")
    off_at: datetime | None
    failing_since: datetime | None = Field(description="Since when nothing has reached it; null: the last try did.")
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(WebhookRecord):
    """An endpoint with its new secret, which is shown this once."""

    secret: str


class WebhookList(BaseModel):
    """Endpoints, oldest first."""

    webhooks: list[WebhookRecord]


class WebhookStatsRecord(BaseModel):
    """What became of the deliveries that are kept."""

    pending: int
    delivered: int
    dead: int
    oldest_pending_at: datetime | None
    last_delivered_at: datetime | None
    failing_since: datetime | None


class SigningSecret(BaseModel):
    """What signs the callbacks of jobs that bring no secret."""

    secret: str


MODELS: tuple[type[BaseModel], ...] = (
    *(NewWebhook, WebhookChanges, Rotation, WebhookRecord, WebhookWithSecret),
    *(WebhookList, WebhookStatsRecord, SigningSecret),
)
_ONE = "/api/webhooks/<webhook:webhook_id>"


@bp.post(
    "/api/webhooks",
    responses={
        201: answer(WebhookWithSecret, "It is told of what happens from now on."),
        **problems(400, 401, 409, 413, 415, 422, 503),
    },
)
@checked
def create_webhook(body: NewWebhook) -> Response:
    """Make a webhook; its secret is shown in this answer only."""
    from tasks.core.callbacks.signing import new_secret, seal_secret  # noqa: PLC0415  # rarely needed

    at = services()
    check_url(at.settings, body.url)
    webhook_id, secret = new_id(), new_secret() if body.secret is None else check_secret(body.secret)
    made = webhooks.create(
        at.kernel.ledger,
        tenant_id(),
        webhook_id=webhook_id,
        url=body.url,
        events=body.events,
        description=body.description,
        sealed=seal_secret(at.settings, webhook_id, secret),
        enabled=body.enabled,
        by=actor(),
    )
    log.info("webhook_created", webhook_id=made.id)
    return json_answer(WebhookWithSecret(**_fields(made), secret=secret), status=201)


@bp.get("/api/webhooks", responses={200: answer(WebhookList, "All of yours."), **problems(401, 503)})
@checked
def list_webhooks() -> Response:
    """List your webhooks; not those of single jobs."""
    found = webhooks.listed(services().kernel.ledger, tenant_id())
    return json_answer(WebhookList(webhooks=[WebhookRecord(**_fields(one)) for one in found]))


@bp.get(
    "/api/webhooks/signing-secret",
    responses={200: answer(SigningSecret, "Yours."), **problems(401, 503)},
)
@checked
def read_signing_secret() -> Response:
    """Show what signs the callbacks of your jobs that bring no secret of their own."""
    from tasks.core.callbacks.signing import tenant_secret  # noqa: PLC0415  # rarely needed

    return json_answer(SigningSecret(secret=tenant_secret(services().settings, tenant_id())))


@bp.get(_ONE, responses={200: answer(WebhookRecord, "The webhook."), **problems(401, 404, 503)})
@checked
def read_webhook(path: WebhookPath) -> Response:
    """Show a webhook."""
    return json_answer(WebhookRecord(**_fields(_found(path))))


@bp.patch(_ONE, responses={200: answer(WebhookRecord, "As it is now."), **problems(400, 401, 404, 413, 415, 422, 503)})
@checked
def change_webhook(path: WebhookPath, body: WebhookChanges) -> Response:
    """Change a webhook, switch it off, or on again."""
    at = services()
    if body.url is not None:
        check_url(at.settings, body.url)
    changes = body.model_dump(exclude_none=True)
    changed = webhooks.change(at.kernel.ledger, tenant_id(), path.webhook_id, changes, by=actor())
    log.info("webhook_changed", webhook_id=changed.id, fields=sorted(changes))
    return json_answer(WebhookRecord(**_fields(changed)))


@bp.delete(_ONE, responses={204: bare_answer("It is gone, with its deliveries."), **problems(401, 404, 503)})
@checked
def delete_webhook(path: WebhookPath) -> Response:
    """Delete a webhook."""
    webhooks.delete(services().kernel.ledger, tenant_id(), path.webhook_id, by=actor())
    log.info("webhook_deleted", webhook_id=path.webhook_id)
    return Response(status=204)


@bp.post(
    f"{_ONE}/rotate",
    responses={
        200: answer(WebhookWithSecret, "With its new secret."),
        **problems(400, 401, 404, 413, 415, 422, 500, 503),
    },
)
@checked
def rotate_secret(path: WebhookPath, body: Rotation) -> Response:
    """Give a webhook a new secret; the old one signs beside it for a while."""
    from tasks.core.callbacks.signing import add_secret, new_secret  # noqa: PLC0415  # rarely needed

    at = services()
    before = _found(path)
    secret = new_secret() if body.secret is None else check_secret(body.secret)
    try:
        sealed = add_secret(at.settings, before.id, before.sealed, secret, at=now(), old_for_s=body.old_for_s)
    except SealBroken as exc:
        raise Permanent(
            "The present secret does not open: SWITCHYARD_SECRET_KEY is another than when it was stored. Delete the "
            "webhook and make it anew.",
            code="secret_unreadable",
        ) from exc
    changed = webhooks.change(at.kernel.ledger, tenant_id(), before.id, {"sealed": sealed}, by=actor())
    log.info("webhook_secret_rotated", webhook_id=changed.id)
    return json_answer(WebhookWithSecret(**_fields(changed), secret=secret))


@bp.post(f"{_ONE}/test", responses={202: answer(DeliveryRecord, "It will be tried once."), **problems(401, 404, 503)})
@checked
def test_webhook(path: WebhookPath) -> Response:
    """Send a webhook an event `webhook.test`, also while it is switched off."""
    ledger = services().kernel.ledger
    delivery_id = callbacks.tell_test(ledger, _found(path), TEST)
    return json_answer(delivery_record(deliveries.find(ledger, tenant_id(), delivery_id)), status=202)


@bp.get(f"{_ONE}/stats", responses={200: answer(WebhookStatsRecord, "As of now."), **problems(401, 404, 503)})
@checked
def read_stats(path: WebhookPath) -> Response:
    """Count the deliveries of a webhook."""
    found = _found(path)
    counted = webhooks.stats(services().kernel.ledger, found.id)
    return json_answer(
        WebhookStatsRecord(
            pending=counted.pending,
            delivered=counted.delivered,
            dead=counted.dead,
            oldest_pending_at=counted.oldest_pending_at,
            last_delivered_at=counted.last_delivered_at,
            failing_since=found.failing_since,
        )
    )


def _found(path: WebhookPath) -> Webhook:
    return webhooks.find(services().kernel.ledger, tenant_id(), path.webhook_id)


def _fields(webhook: Webhook) -> dict[str, Any]:
    shown = set(WebhookRecord.model_fields)
    return {name: getattr(webhook, name) for name in shown}

"""Webhooks: your endpoints, what was sent to them and to jobs' own callbacks, and sending it once more."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack

from pydantic import Field

from client.calls import Call, parsed
from client.models import Record
from client.steps import Answer, Request

T = TypeVar("T")

_PATH = "/api/webhooks"
_JSON = {"content-type": "application/json"}


class Webhook(Record):
    """An endpoint."""

    id: str
    url: str
    events: tuple[str, ...] = ()
    description: str = ""
    enabled: bool = True
    off_reason: str | None = None
    """``requested``, ``failing`` or ``gone``."""
    off_at: datetime | None = None
    failing_since: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    secret: str | None = None
    """Only in the answer that made it."""


class WebhookList(Record):
    """Endpoints, oldest first."""

    webhooks: tuple[Webhook, ...]


class WebhookStats(Record):
    """What became of the deliveries that are kept."""

    pending: int = 0
    delivered: int = 0
    dead: int = 0
    oldest_pending_at: datetime | None = None
    last_delivered_at: datetime | None = None
    failing_since: datetime | None = None


class DeliveryAttempt(Record):
    """One try."""

    at: datetime
    took_ms: float = 0.0
    status: int | None = None
    error: str | None = None


class Delivery(Record):
    """One event on its way to one receiver; receivers know it by its ``id``."""

    id: str
    webhook_id: str
    job_id: str | None = None
    type: str
    state: str
    """``pending``, ``delivered`` or ``dead``."""
    tries: int = 0
    attempts: tuple[DeliveryAttempt, ...] = ()
    next_try_at: datetime | None = None
    give_up_at: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    payload: dict[str, Any] = Field(default_factory=dict)


class DeliveryPage(Record):
    """Deliveries, newest first; ``next_cursor`` asks for those before them."""

    deliveries: tuple[Delivery, ...]
    next_cursor: str | None = None


class Changes(TypedDict, total=False):
    """What may be changed of an endpoint."""

    url: str
    events: Sequence[str]
    description: str
    enabled: bool


class DeliveryFilters(TypedDict, total=False):
    """Which deliveries a list shows; all given ones must hold."""

    webhook_id: str
    job_id: str
    state: Literal["pending", "delivered", "dead"]
    limit: int
    cursor: str


class Perform(Protocol):
    """Makes a call of the blocking client."""

    def __call__(self, call: Call[T]) -> T:
        """Make it."""
        ...


class Webhooks:
    """Your webhooks; ``Switchyard.webhooks`` is one."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def create(self, url: str, **options: Any) -> Webhook:
        """Make an endpoint; keep its ``secret``, which is not shown again.

        Args:
            options: ``events``, ``description``, ``secret``, ``enabled``.
        """
        return self._perform(created(url, options))

    def list(self) -> Sequence[Webhook]:
        """List them, oldest first."""
        return self._perform(all_webhooks())

    def get(self, webhook_id: str) -> Webhook:
        """Return one."""
        return self._perform(one_webhook(webhook_id))

    def change(self, webhook_id: str, **changes: Unpack[Changes]) -> Webhook:
        """Change one; ``enabled=False`` switches it off."""
        return self._perform(changed(webhook_id, changes))

    def delete(self, webhook_id: str) -> None:
        """Delete one, with its deliveries."""
        return self._perform(deleted(webhook_id))

    def rotate(self, webhook_id: str, *, secret: str | None = None, old_for_s: float = 86400) -> Webhook:
        """Give one a new secret; the old one signs beside it for ``old_for_s``."""
        return self._perform(rotated(webhook_id, secret, old_for_s))

    def test(self, webhook_id: str) -> Delivery:
        """Send it a ``webhook.test``; look at the delivery to see what came of it."""
        return self._perform(tested(webhook_id))

    def stats(self, webhook_id: str) -> WebhookStats:
        """Count its deliveries."""
        return self._perform(counted(webhook_id))

    def signing_secret(self) -> str:
        """Return what signs callbacks of jobs that bring no secret."""
        return self._perform(signing_secret())

    def deliveries(self, **filters: Unpack[DeliveryFilters]) -> DeliveryPage:
        """List deliveries, newest first, also those of jobs' own callbacks."""
        return self._perform(listed_deliveries(filters))

    def delivery(self, delivery_id: str) -> Delivery:
        """Return one."""
        return self._perform(one_delivery(delivery_id))

    def replay(self, delivery_id: str) -> Delivery:
        """Send one that has ended once more, under its id."""
        return self._perform(replayed(delivery_id))

    def replay_dead(self, webhook_id: str) -> int:
        """Send an endpoint's dead deliveries once more; return how many."""
        return self._perform(replayed_dead(webhook_id))


def created(url: str, options: dict[str, Any]) -> Call[Webhook]:
    """Make an endpoint. Not repeated: a lost answer may have made one."""
    return Call(_sent("POST", _PATH, {"url": url, **options}), _webhook, repeatable=False)


def all_webhooks() -> Call[Sequence[Webhook]]:
    """List endpoints."""
    return Call(Request("GET", _PATH), lambda answer: parsed(WebhookList, answer.json()).webhooks)


def one_webhook(webhook_id: str) -> Call[Webhook]:
    """Read an endpoint."""
    return Call(Request("GET", f"{_PATH}/{webhook_id}"), _webhook)


def changed(webhook_id: str, changes: Changes) -> Call[Webhook]:
    """Change an endpoint."""
    return Call(_sent("PATCH", f"{_PATH}/{webhook_id}", dict(changes)), _webhook)


def deleted(webhook_id: str) -> Call[None]:
    """Delete an endpoint."""
    return Call(Request("DELETE", f"{_PATH}/{webhook_id}"), lambda _: None, repeatable=False)


def rotated(webhook_id: str, secret: str | None, old_for_s: float) -> Call[Webhook]:
    """Rotate a secret. Not repeated: each makes another one."""
    body = {"old_for_s": old_for_s} | ({} if secret is None else {"secret": secret})
    return Call(_sent("POST", f"{_PATH}/{webhook_id}/rotate", body), _webhook, repeatable=False)


def tested(webhook_id: str) -> Call[Delivery]:
    """Test an endpoint."""
    return Call(Request("POST", f"{_PATH}/{webhook_id}/test"), _delivery, repeatable=False)


def counted(webhook_id: str) -> Call[WebhookStats]:
    """Count an endpoint's deliveries."""
    return Call(Request("GET", f"{_PATH}/{webhook_id}/stats"), lambda answer: parsed(WebhookStats, answer.json()))


def signing_secret() -> Call[str]:
    """Read the tenant's own secret."""
    return Call(Request("GET", f"{_PATH}/signing-secret"), lambda answer: str(answer.json()["secret"]))


def listed_deliveries(filters: DeliveryFilters) -> Call[DeliveryPage]:
    """List deliveries."""
    query = tuple((name, str(value)) for name, value in filters.items())
    return Call(Request("GET", f"{_PATH}/deliveries", query), lambda answer: parsed(DeliveryPage, answer.json()))


def one_delivery(delivery_id: str) -> Call[Delivery]:
    """Read a delivery."""
    return Call(Request("GET", f"{_PATH}/deliveries/{delivery_id}"), _delivery)


def replayed(delivery_id: str) -> Call[Delivery]:
    """Send a delivery once more."""
    return Call(Request("POST", f"{_PATH}/deliveries/{delivery_id}/replay"), _delivery, repeatable=False)


def replayed_dead(webhook_id: str) -> Call[int]:
    """Send dead deliveries once more."""
    request = Request("POST", f"{_PATH}/{webhook_id}/replay")
    return Call(request, lambda answer: int(answer.json()["replayed"]), repeatable=False)


def _sent(method: str, path: str, body: dict[str, Any]) -> Request:
    return Request(method, path, headers=_JSON, body=json.dumps(body).encode())


def _webhook(answer: Answer) -> Webhook:
    return parsed(Webhook, answer.json())


def _delivery(answer: Answer) -> Delivery:
    return parsed(Delivery, answer.json())

"""Webhooks, for one event loop."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar, Unpack

from client import webhooks
from client.calls import Call
from client.webhooks import Changes, Delivery, DeliveryFilters, DeliveryPage, Webhook, WebhookStats

T = TypeVar("T")


class Perform(Protocol):
    """Makes a call; its answer is awaited."""

    def __call__(self, call: Call[T]) -> Awaitable[T]:
        """Make it."""
        ...


class AsyncWebhooks:
    """Your webhooks; ``AsyncSwitchyard.webhooks`` is one. Each method does what that of ``Webhooks`` does."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def create(self, url: str, **options: Any) -> Webhook:
        """Make an endpoint; keep its ``secret``, which is not shown again."""
        return await self._perform(webhooks.created(url, options))

    async def list(self) -> Sequence[Webhook]:
        """List them, oldest first."""
        return await self._perform(webhooks.all_webhooks())

    async def get(self, webhook_id: str) -> Webhook:
        """Return one."""
        return await self._perform(webhooks.one_webhook(webhook_id))

    async def change(self, webhook_id: str, **changes: Unpack[Changes]) -> Webhook:
        """Change one; ``enabled=False`` switches it off."""
        return await self._perform(webhooks.changed(webhook_id, changes))

    async def delete(self, webhook_id: str) -> None:
        """Delete one, with its deliveries."""
        await self._perform(webhooks.deleted(webhook_id))

    async def rotate(self, webhook_id: str, *, secret: str | None = None, old_for_s: float = 86400) -> Webhook:
        """Give one a new secret; the old one signs beside it for ``old_for_s``."""
        return await self._perform(webhooks.rotated(webhook_id, secret, old_for_s))

    async def test(self, webhook_id: str) -> Delivery:
        """Send it a ``webhook.test``; look at the delivery to see what came of it."""
        return await self._perform(webhooks.tested(webhook_id))

    async def stats(self, webhook_id: str) -> WebhookStats:
        """Count its deliveries."""
        return await self._perform(webhooks.counted(webhook_id))

    async def signing_secret(self) -> str:
        """Return what signs callbacks of jobs that bring no secret."""
        return await self._perform(webhooks.signing_secret())

    async def deliveries(self, **filters: Unpack[DeliveryFilters]) -> DeliveryPage:
        """List deliveries, newest first, also those of jobs' own callbacks."""
        return await self._perform(webhooks.listed_deliveries(filters))

    async def delivery(self, delivery_id: str) -> Delivery:
        """Return one."""
        return await self._perform(webhooks.one_delivery(delivery_id))

    async def replay(self, delivery_id: str) -> Delivery:
        """Send one that has ended once more, under its id."""
        return await self._perform(webhooks.replayed(delivery_id))

    async def replay_dead(self, webhook_id: str) -> int:
        """Send an endpoint's dead deliveries once more; return how many."""
        return await self._perform(webhooks.replayed_dead(webhook_id))

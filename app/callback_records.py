"""Deliveries of callbacks as clients see them."""

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from tasks.core.callbacks.records import Delivery, DeliveryState


class AttemptedDelivery(BaseModel):
    """One try."""

    at: datetime
    took_ms: float
    status: int | None = Field(None, description="What the receiver answered.")
    error: str | None = Field(
        None, description="`status_500`, `timeout`, `unreachable`, `egress_refused` …; null: it was delivered."
    )


class DeliveryRecord(BaseModel):
    """One event on its way to one receiver."""

    id: str = Field(description="Goes with each try as `webhook-id`.")
    webhook_id: str
    job_id: str | None
    type: str
    state: DeliveryState
    tries: int
    attempts: list[AttemptedDelivery] = Field(description="The newest 30 tries, oldest first.")
    next_try_at: datetime | None
    give_up_at: datetime = Field(description="When it is tried last.")
    created_at: datetime
    ended_at: datetime | None
    payload: dict[str, Any] = Field(description="What is sent.")


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    deliveries: list[DeliveryRecord]
    next_cursor: str | None = Field(None, description="Asks for the next page; null on the last one.")


def delivery_record(delivery: Delivery) -> DeliveryRecord:
    """Return what a client sees of a delivery."""
    shown = set(DeliveryRecord.model_fields) - {"payload"}
    values = {name: getattr(delivery, name) for name in shown}
    return DeliveryRecord(**values, payload=json.loads(delivery.body))

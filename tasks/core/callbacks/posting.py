"""One try: signed anew, sent through the egress guard, and judged by the status alone."""

import time

import httpx
import structlog

from tasks.core.callbacks.records import Tried, Webhook
from tasks.core.callbacks.signing import signed_headers, tenant_secret, valid_secrets
from tasks.core.clock import now
from tasks.core.egress.clients import GuardedClient
from tasks.core.errors import AppError, EgressRefused
from tasks.core.ledger.deliveries import Taken
from tasks.core.sealing import SealBroken
from tasks.core.settings import Settings

log = structlog.get_logger()

REFUSED, TIMED_OUT, UNREACHABLE, SECRET_UNREADABLE, BROKEN = (
    *("egress_refused", "timeout", "unreachable", "secret_unreadable", "broken_answer"),
)


def post(client: GuardedClient, settings: Settings, taken: Taken) -> Tried:
    """Send a delivery once.

    The name is looked up and judged anew, and no redirect is followed. Nothing of the answer's body is read: a receiver
    can make us wait no longer than the client's limits, and hold nothing.
    """
    began, at = time.monotonic(), now()
    status, error, wait_s = None, None, 0.0
    try:
        status, wait_s = _answered(client, settings, taken)
        error = None if 200 <= status < 300 else f"status_{status}"
    except SealBroken:
        error = SECRET_UNREADABLE
        log.error("callback_secret_unreadable", webhook_id=taken.webhook.id)
    except EgressRefused:  # why is in the log of the guard, and nowhere else
        error = REFUSED
    except httpx.TimeoutException:
        error = TIMED_OUT
    except httpx.TransportError:
        error = UNREACHABLE
    except (AppError, httpx.HTTPError, httpx.InvalidURL) as exc:
        error = TIMED_OUT if isinstance(exc, AppError) and exc.code == "transient" else BROKEN
    return Tried(at, (time.monotonic() - began) * 1000, status, error, wait_s)


def _answered(client: GuardedClient, settings: Settings, taken: Taken) -> tuple[int, float]:
    delivery = taken.delivery
    signers = _signers(settings, taken.webhook, taken)
    headers = signed_headers(delivery.id, delivery.body, signers, at=now())
    request = client.build_request("POST", taken.webhook.url, content=delivery.body.encode(), headers=headers)
    response = client.send(request, stream=True, follow_redirects=False)
    try:
        return response.status_code, _wanted_wait_s(response.headers.get("retry-after", ""))
    finally:
        response.close()


def _signers(settings: Settings, webhook: Webhook, taken: Taken) -> list[str]:
    if webhook.sealed is None:
        return [tenant_secret(settings, webhook.tenant_id)]
    return valid_secrets(settings, webhook.id, webhook.sealed, at=taken.now)


def _wanted_wait_s(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 8 else 0.0

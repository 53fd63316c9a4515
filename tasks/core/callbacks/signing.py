"""Secrets and signatures (Standard Webhooks 1.0, symmetric): ``whsec_`` and base64, HMAC-SHA256, headers."""

import base64
import binascii
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from standardwebhooks import Webhook as Signer

from tasks.core import sealing
from tasks.core.clock import rfc3339
from tasks.core.errors import InputRejected
from tasks.core.settings import Settings

_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64
_NEW_BYTES = 32
# Receivers look at each signature; who rotates more often than this has lost track anyway.
_MOST_SECRETS = 3
_PURPOSE, _OF_TENANT = "switchyard.webhook", "switchyard.callback"


def new_secret() -> str:
    """Make a secret."""
    return _written(secrets.token_bytes(_NEW_BYTES))


def checked_secret(text: str, *, field: str = "secret") -> str:
    """Return a secret that somebody chose.

    Raises:
        InputRejected: it is none.
    """
    try:
        content = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        content = b""
    if not _FEWEST_BYTES <= len(content) <= _MOST_BYTES:
        raise InputRejected(
            f"A secret is `whsec_` and the base64 of {_FEWEST_BYTES} to {_MOST_BYTES} random bytes; leave it out to be "
            "given one.",
            field=field,
        )
    return text


def tenant_secret(settings: Settings, tenant_id: str) -> str:
    """Return what signs the callbacks of a tenant's jobs that bring no secret of their own."""
    return _written(sealing.derived_key(settings, (_OF_TENANT, tenant_id)))


def seal_secret(settings: Settings, webhook_id: str, secret: str) -> bytes:
    """Return the only secret of a webhook, sealed."""
    return _sealed(settings, webhook_id, [{"secret": secret, "until": None}])


def add_secret(
    settings: Settings, webhook_id: str, sealed: bytes | None, secret: str, *, at: datetime, old_for_s: float
) -> bytes:
    """Return the secrets of a webhook with a new one; the older ones go on signing for so long.

    Raises:
        SealBroken: they do not open.
    """
    until = rfc3339(at + timedelta(seconds=old_for_s))
    older = [] if sealed is None else _valid(_unsealed(settings, webhook_id, sealed), at)
    kept = [{"secret": one["secret"], "until": min(one["until"] or until, until)} for one in older]
    return _sealed(settings, webhook_id, [{"secret": secret, "until": None}, *kept][:_MOST_SECRETS])


def valid_secrets(settings: Settings, webhook_id: str, sealed: bytes, *, at: datetime) -> list[str]:
    """Return what signs at that time, newest first.

    Raises:
        SealBroken: they do not open.
    """
    return [str(one["secret"]) for one in _valid(_unsealed(settings, webhook_id, sealed), at)]


def signed_headers(delivery_id: str, body: str, signers: Sequence[str], *, at: datetime) -> dict[str, str]:
    """Return the headers of one try: the delivery's id, the time, and a signature by each secret."""
    signatures = " ".join(Signer(secret).sign(delivery_id, at, body) for secret in signers)
    return {
        "content-type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures,
    }


def _valid(kept: list[dict[str, str | None]], at: datetime) -> list[dict[str, str | None]]:
    return [one for one in kept if one["until"] is None or one["until"] > rfc3339(at)]


def _sealed(settings: Settings, webhook_id: str, kept: list[dict[str, str | None]]) -> bytes:
    return sealing.seal(settings, (_PURPOSE, webhook_id), json.dumps(kept).encode())


def _unsealed(settings: Settings, webhook_id: str, sealed: bytes) -> list[dict[str, str | None]]:
    kept: list[dict[str, str | None]] = json.loads(sealing.unseal(settings, (_PURPOSE, webhook_id), sealed))
    return kept


def _written(content: bytes) -> str:
    return _PREFIX + base64.b64encode(content).decode()

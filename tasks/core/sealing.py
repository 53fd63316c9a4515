"""Secrets at rest, sealed: who has the database and not the installation's secret cannot read them.

Fernet (AES-128-CBC with HMAC-SHA256) under a key for each scope, derived from the secret by HKDF-SHA256 (RFC 5869):
what was copied to another row does not open.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.errors import Permanent
from tasks.core.secret_key import secret_key
from tasks.core.settings import Settings


class SealBroken(Exception):
    """It was sealed with another secret, or for another scope."""


def seal(settings: Settings, scope: Sequence[str], content: bytes) -> bytes:
    """Return ``content`` sealed for a scope, whose first part is what it is for."""
    from cryptography.fernet import Fernet  # noqa: PLC0415  # slow to load, and rarely needed

    return Fernet(base64.urlsafe_b64encode(derived_key(settings, scope))).encrypt(content)


def unseal(settings: Settings, scope: Sequence[str], sealed: bytes) -> bytes:
    """Return sealed content.

    Raises:
        SealBroken: it was sealed with another secret, or for another scope.
    """
    from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415  # as above

    try:
        return Fernet(base64.urlsafe_b64encode(derived_key(settings, scope))).decrypt(sealed)
    except InvalidToken as exc:
        raise SealBroken from exc


def seal_json(settings: Settings, scope: Sequence[str], content: Mapping[str, Any]) -> bytes:
    """Return ``content``, which is JSON, sealed for a scope."""
    return seal(settings, scope, json.dumps(content).encode())


def unseal_json(settings: Settings, scope: Sequence[str], sealed: bytes, *, what: str, code: str) -> dict[str, Any]:
    """Return sealed JSON.

    Raises:
        Permanent: it was sealed with another secret, or for another scope; says ``what`` does not open, with ``code``.
    """
    try:
        content: dict[str, Any] = json.loads(unseal(settings, scope, sealed))
    except SealBroken as exc:
        raise Permanent(
            f"{what} does not open: SWITCHYARD_SECRET_KEY is another than when it was stored. Store it again.",
            code=code,
        ) from exc
    return content


def derived_key(settings: Settings, scope: Sequence[str]) -> bytes:
    """Return the 32 bytes that belong to a scope."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # as above

    info = json.dumps(list(scope)).encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret_key(settings).encode())

"""What tenants entrust to us, sealed: who has the database and not the installation's secret cannot read it.

Fernet (AES-128-CBC with HMAC-SHA256) under a key for each purpose, tenant and name, derived from the secret by
HKDF-SHA256 (RFC 5869): what was copied to another tenant's row, or another name's, does not open.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import Permanent
from tasks.core.secret_key import secret_key
from tasks.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Seal:
    """Who a content is sealed for."""

    purpose: str
    tenant_id: str
    name: str


def seal(settings: Settings, to: Seal, content: Mapping[str, Any]) -> bytes:
    """Return ``content``, which is JSON, sealed."""
    from cryptography.fernet import Fernet  # noqa: PLC0415  # slow to load, and rarely needed

    return Fernet(_key(settings, to)).encrypt(json.dumps(content).encode())


def unseal(settings: Settings, to: Seal, sealed: bytes, *, what: str, code: str) -> dict[str, Any]:
    """Return a sealed content.

    Raises:
        Permanent: it was sealed with another secret, or for somebody else; says ``what`` does not open, with ``code``.
    """
    from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415  # as above

    try:
        content: dict[str, Any] = json.loads(Fernet(_key(settings, to)).decrypt(sealed))
    except InvalidToken as exc:
        raise Permanent(
            f"{what} does not open: SWITCHYARD_SECRET_KEY is another than when it was stored. Store it again.",
            code=code,
        ) from exc
    return content


def _key(settings: Settings, to: Seal) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # as above

    info = json.dumps([to.purpose, to.tenant_id, to.name]).encode()
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret_key(settings).encode())
    return base64.urlsafe_b64encode(derived)

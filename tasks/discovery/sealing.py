"""Sign-in states, sealed: who has the database and not the installation's secret cannot read them.

Fernet (AES-128-CBC with HMAC-SHA256) under a key for each tenant and site, derived from the secret by HKDF-SHA256
(RFC 5869): a state that was copied to another tenant's row does not open.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tasks.core.errors import NotFound, Permanent
from tasks.core.ledger import Ledger
from tasks.core.secret_key import secret_key
from tasks.core.settings import Settings

_PURPOSE = "switchyard.sign-in-state"


def seal(settings: Settings, tenant_id: str, site: str, state: Mapping[str, Any]) -> bytes:
    """Return ``state``, which is JSON, sealed for a tenant and a site."""
    from cryptography.fernet import Fernet  # noqa: PLC0415  # slow to load, and rarely needed

    return Fernet(_key(settings, tenant_id, site)).encrypt(json.dumps(state).encode())


def unseal(settings: Settings, tenant_id: str, site: str, sealed: bytes) -> dict[str, Any]:
    """Return a sealed state.

    Raises:
        Permanent: it was sealed with another secret, or for somebody else.
    """
    from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415  # as above

    try:
        content: dict[str, Any] = json.loads(Fernet(_key(settings, tenant_id, site)).decrypt(sealed))
    except InvalidToken as exc:
        raise Permanent(
            f"The sign-in state of {site} does not open: SWITCHYARD_SECRET_KEY is another than when it was stored. "
            "Store it again.",
            code="session_unreadable",
        ) from exc
    return content


def state_for_job(ledger: Ledger, settings: Settings, job_id: str, site: str) -> dict[str, Any]:
    """Return the sign-in state that a job's tenant has stored for a site, as Playwright's ``storage_state``.

    Raises:
        NotFound: none is stored.
        Permanent: it does not open.
    """
    from tasks.discovery.store.sessions import sealed_session  # noqa: PLC0415  # SQL, for jobs that sign in

    found = sealed_session(ledger, job_id, site)
    if found is None:
        raise NotFound(f"No sign-in state is stored for {site}: PUT /api/sessions?site={site} stores one.")
    return unseal(settings, found.tenant_id, site, found.sealed)


def _key(settings: Settings, tenant_id: str, site: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # as above

    info = json.dumps([_PURPOSE, tenant_id, site]).encode()
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret_key(settings).encode())
    return base64.urlsafe_b64encode(derived)

"""Sign-in states, sealed for a tenant and a site: see ``tasks.core.sealing``."""

from collections.abc import Mapping
from typing import Any

from tasks.core import sealing
from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger
from tasks.core.settings import Settings

_PURPOSE = "switchyard.sign-in-state"


def seal(settings: Settings, tenant_id: str, site: str, state: Mapping[str, Any]) -> bytes:
    """Return ``state``, which is JSON, sealed for a tenant and a site."""
    return sealing.seal_json(settings, (_PURPOSE, tenant_id, site), state)


def unseal(settings: Settings, tenant_id: str, site: str, sealed: bytes) -> dict[str, Any]:
    """Return a sealed state.

    Raises:
        Permanent: it was sealed with another secret, or for somebody else.
    """
    what = f"The sign-in state of {site}"
    scope = (_PURPOSE, tenant_id, site)
    return sealing.unseal_json(settings, scope, sealed, what=what, code="session_unreadable")


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

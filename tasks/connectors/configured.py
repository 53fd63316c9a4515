"""A tenant's configuration of a service, with its secrets: sealed where it is kept, open in a worker."""

from collections.abc import Mapping

from tasks.connectors.connector import Connector
from tasks.connectors.services import service_of
from tasks.core import sealing
from tasks.core.ledger import Ledger
from tasks.core.settings import Settings

_PURPOSE = "switchyard.connector"


def seal_secrets(settings: Settings, tenant_id: str, name: str, secrets: Mapping[str, str]) -> bytes:
    """Return secrets sealed for a tenant's connector."""
    return sealing.seal_json(settings, (_PURPOSE, tenant_id, name), secrets)


def connector_for_job(ledger: Ledger, settings: Settings, job_id: str, name: str) -> Connector:
    """Return a configuration of a job's tenant, its secrets open.

    Raises:
        NotFound: the tenant has none of this name.
        Permanent: the secrets do not open.
    """
    from tasks.connectors.store.records import connector_of_job  # noqa: PLC0415  # SQL, for jobs only

    found = connector_of_job(ledger, job_id, name)
    secrets = sealing.unseal_json(
        settings,
        (_PURPOSE, found.tenant_id, name),
        found.sealed,
        what=f"The connector {name}",
        code="connector_unreadable",
    )
    return Connector(name, service_of(found.service), secrets)

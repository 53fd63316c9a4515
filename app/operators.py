"""Who may look beyond a tenant: the keys of the tenant ``system``, and a development server's own key."""

from app.auth import DEV_TENANT
from app.services import Services
from tasks.core.ledger import tenants
from tasks.core.ledger.tenants import Tenant
from tasks.core.setting_values import Environment
from tasks.core.urls import is_loopback


def is_operator(at: Services, tenant: Tenant) -> bool:
    """Tell whether the tenant's keys are an operator's."""
    settings = at.settings
    if tenant.name == tenants.SYSTEM:
        return True
    is_ours = settings.environment is Environment.DEVELOPMENT and is_loopback(settings.host)
    return is_ours and tenant.name == DEV_TENANT

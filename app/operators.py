"""Operators: who may look and act beyond a tenant.

They have keys of the tenant ``system``, which only who has a shell there can make; or a development server's own key.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import g

from app.auth import DEV_TENANT
from app.services import Services, services
from tasks.core.errors import NotAllowed
from tasks.core.ledger import tenants
from tasks.core.ledger.tenants import Tenant
from tasks.core.setting_values import Environment
from tasks.core.urls import is_loopback

View = TypeVar("View", bound=Callable[..., Any])


def is_operator(at: Services, tenant: Tenant) -> bool:
    """Tell whether the tenant's keys are an operator's."""
    settings = at.settings
    if tenant.name == tenants.SYSTEM:
        return True
    is_ours = settings.environment is Environment.DEVELOPMENT and is_loopback(settings.host)
    return is_ours and tenant.name == DEV_TENANT


def operator_asks() -> bool:
    """Tell whether the key that asks is an operator's."""
    return is_operator(services(), g.tenant)


def operator_only(view: View) -> View:
    """Refuse everybody but operators."""

    @wraps(view)
    def asked(*args: Any, **values: Any) -> Any:
        demand_operator()
        return view(*args, **values)

    asked.is_for_operators = True  # type: ignore[attr-defined]  # a mark for those who list the views
    return cast("View", asked)


def demand_operator() -> None:
    """Refuse everybody but operators.

    Raises:
        NotAllowed: the key belongs to another tenant.
    """
    if not operator_asks():
        raise NotAllowed(
            f"Only an operator may do this: use a key of the tenant {tenants.SYSTEM!r} "
            "(`python -m app keys create --tenant system --name NAME`)."
        )

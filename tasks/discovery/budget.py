"""What a tenant's discoveries may cost in a month, and the refusal of more."""

from collections.abc import Callable

from tasks.core.errors import BudgetExhausted
from tasks.core.settings import Settings
from tasks.discovery.contract import SITE, TOOL

BUDGETED = frozenset({SITE, TOOL})
"""A budget is for what costs by itself; to run a tool that was found stays possible."""


def demand_budget(settings: Settings, spent: Callable[[], float]) -> None:
    """Go on only if more may be spent.

    Args:
        spent: what the tenant has spent this month.

    Raises:
        BudgetExhausted: its budget is used up, and the operator wants that to be the end.
    """
    budget = settings.discovery_budget
    if budget is None or not settings.discovery_budget_stop:
        return
    used = spent()
    if used >= budget:
        raise BudgetExhausted(
            f"This month's budget for discoveries is used up: {used:.4f} of {budget:g}. It begins anew next month; "
            "an operator can raise SWITCHYARD_DISCOVERY_BUDGET. Tools that were found can still be run."
        )

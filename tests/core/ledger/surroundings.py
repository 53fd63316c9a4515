"""What the model test's machine lives in: a clock that can be moved, small windows and batches, a tenant."""

import sys
from typing import Any

import pytest

from tasks.core.clock import now as product_now
from tasks.core.ledger import Ledger, batches, fleet
from tasks.core.ledger import schema as tables
from tasks.core.ledger.database import ledger_now as product_ledger_now
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tests.core.ledger import reference
from tests.core.ledger.clock import Clock


def all_rows(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Read every row of the tables that the model knows, by table."""
    wanted = (tables.jobs, tables.attempts, tables.state_events, tables.idempotency_keys)
    with ledger.read() as connection:
        return {table.name: [dict(row._mapping) for row in connection.execute(table.select())] for table in wanted}


def use(clock: Clock, patch: pytest.MonkeyPatch) -> None:
    """Give each module of ours that asks for the time this clock, and everybody small windows and batches."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("tasks.core", "tests.samples")) and vars(module).get("now") is product_now:
            patch.setattr(module, "now", clock)
        if name.startswith("tasks.core") and vars(module).get("ledger_now") is product_ledger_now:
            patch.setattr(module, "ledger_now", clock.of_the_ledger)
    patch.setattr(batches, "BATCH", reference.BATCH)
    patch.setattr(fleet, "_LEAST_WINDOW", reference.LEAST_WINDOW)
    patch.setattr(fleet, "_WINDOW_PER_SLOT", reference.WINDOW_PER_SLOT)


def a_tenant(ledger: Ledger) -> Tenant:
    """Make a tenant."""
    tenant = tenant_of(ledger, create_key(ledger, tenant="acme", name="test"))
    assert tenant is not None
    return tenant

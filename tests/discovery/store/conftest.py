"""The registry's tests run on SQLite and PostgreSQL, as the ledger's own do."""

from collections.abc import Callable, Collection

import pytest

from tasks.core.ledger import Ledger, tenants
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.store.records import Diff, StoredTool
from tasks.discovery.store.tools import find_named
from tasks.discovery.tool import Tool
from tests.discovery.tools import SITE, record


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """A prepared and empty ledger, on each database."""
    return either_ledger


@pytest.fixture
def alice(ledger: Ledger) -> Tenant:
    """A tenant."""
    return tenants.named(ledger, "alice")


@pytest.fixture
def bob(ledger: Ledger) -> Tenant:
    """Another tenant."""
    return tenants.named(ledger, "bob")


@pytest.fixture
def discover(ledger: Ledger, alice: Tenant) -> Callable[..., Diff]:
    """Records tools of ``SITE`` as one new job of alice's would."""

    def run(*tools: Tool, is_whole: bool = True, pages: Collection[str] = ()) -> Diff:
        return record(ledger, alice, *tools, is_whole=is_whole, pages=pages)

    return run


@pytest.fixture
def stored(ledger: Ledger, alice: Tenant) -> Callable[[str], StoredTool]:
    """Looks up alice's tool of ``SITE`` by name."""
    return lambda name: find_named(ledger, alice.id, SITE, name)

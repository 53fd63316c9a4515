"""What tests of publishing share."""

from pathlib import Path

import pytest

from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tests.publishing.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, sqlite_ledger: Ledger, tenant: Tenant) -> Bench:
    """Publishing of one tenant, in a folder."""
    return Bench(tmp_path / "bench", sqlite_ledger, tenant)

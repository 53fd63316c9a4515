"""Knowledge on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.egress import Egress
from tasks.core.ledger import Ledger, tenants
from tests.knowledge.house import House


@pytest.fixture
def house(either_ledger: Ledger, tmp_path: Path) -> Iterator[House]:
    """An empty house."""
    with Egress() as egress:
        yield House(either_ledger, tenants.named(either_ledger, "alice"), tmp_path, egress)

"""Strings that databases differ on come back as they went in."""

from typing import Any

import pytest

from tasks.core.ledger import Ledger, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tests.samples import running


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\U0001f600", "\u2028", "'; --"], ids=ascii)
def test_result_of_any_text_is_kept(ledger: Ledger, tenant: Tenant, text: str) -> None:
    """An engine's result is what the world gave it; PostgreSQL keeps no NUL in text, but in JSON it does."""
    job = running(ledger, tenant)
    values: dict[str, Any] = {"state": JobState.SUCCEEDED, "cause": "completed", "result": {"text": text}}
    assert transitions.finish(ledger, job.id, fence=job.fence, **values) is not None
    found = queries.job(ledger, job.id)
    assert found is not None
    assert {"text": text} == found.result

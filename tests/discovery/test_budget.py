"""A used-up budget stops what was accepted before, too; an earlier answer costs nothing and is given all the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core.egress import Egress
from tasks.core.errors import BudgetExhausted
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import costs, tenants
from tasks.core.ledger.costs import Budget
from tasks.core.settings import Settings
from tasks.discovery import task
from tasks.discovery.contract import SiteRequest
from tests.fakes import FakeJob
from tests.samples import running

Opened = Callable[..., tuple[Kernel, FakeJob]]


@pytest.fixture
def opened(make_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Opened]:
    """A kernel, and a job of a tenant that has spent 2."""
    kernels: list[Kernel] = []
    with Egress() as egress:

        def make(**settings: Any) -> tuple[Kernel, FakeJob]:
            kernel = open_kernel(make_settings(profile="local", **settings))
            kernels.append(kernel)
            kernel.ledger.prepare()
            tenant = tenants.named(kernel.ledger, "alice")
            job = FakeJob(tmp_path, egress)
            job.id = running(kernel.ledger, tenant).id
            costs.keep(kernel.ledger, job.id, fence=1, method="m", amount=2.0, budget=Budget())
            return kernel, job

        yield make
    for kernel in kernels:
        kernel.close()


def begun(kernel: Kernel, job: FakeJob, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a discovery began with, in place of which this one ends."""
    begun: list[str] = []

    class Stop(Exception):
        pass

    def discover(request: SiteRequest, _job: object) -> None:
        begun.append(request.url)
        raise Stop

    class Parts:
        discover_site = staticmethod(discover)

    monkeypatch.setattr(task, "_discoverer", lambda _kernel: Parts)
    with pytest.raises(Stop):
        task._load_site(kernel)(SiteRequest(url="https://shop.example/"), job)
    return begun


def test_a_job_that_waited_is_not_begun(opened: Opened) -> None:
    """Before a page is asked for; the refusal names the remedy."""
    kernel, job = opened(discovery_budget=2.0, discovery_budget_stop=True)
    with pytest.raises(BudgetExhausted, match="SWITCHYARD_DISCOVERY_BUDGET"):
        task._load_site(kernel)(SiteRequest(url="https://shop.example/"), job)


@pytest.mark.parametrize(
    "settings",
    [
        {"discovery_budget": 2.1, "discovery_budget_stop": True},
        {"discovery_budget": 1.0, "discovery_budget_stop": False},
        {"discovery_budget_stop": True},
    ],
)
def test_others_are(opened: Opened, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    """Below it; where it only tells; without one."""
    assert ["https://shop.example/"] == begun(*opened(**settings), monkeypatch)


def test_a_job_that_is_gone_has_spent_nothing(opened: Opened) -> None:
    """Whoever it belonged to."""
    kernel, job = opened()
    assert (2.0, 0.0) == (costs.spent_by_owner(kernel.ledger, job.id), costs.spent_by_owner(kernel.ledger, "gone"))

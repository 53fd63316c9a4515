"""What a worker says of itself."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tasks.core.errors import ConfigurationRefused
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.core.matching import Offers
from tasks.core.settings import Settings
from tasks.registry import load_specs
from workers import offers
from workers.identity import describe_worker
from workers.offers import demand_tenants, find_offers


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A container of 3,000 MiB, or as much as there is."""
    limit = tmp_path / "memory.max"
    limit.write_text(f"{3000 << 20}\n")
    monkeypatch.setattr(offers, "_CGROUP_LIMIT", limit)
    return limit


def found(settings: Settings, ledger: Ledger, *, slots: int = 2) -> Offers:
    return find_offers(settings, ledger, load_specs().values(), ["maintenance", "crawler"], slots=slots, direct=True)


def test_everything_is_found_but_what_is_set(make_settings: Callable[..., Settings], sqlite_ledger: Ledger) -> None:
    """Kinds by queues, processors, memory for each slot; labels in one order."""
    told = found(make_settings(worker_labels="gpu, eu,gpu"), sqlite_ledger)
    assert (["crawler", "maintenance"], ["eu", "gpu"], True) == (told.queues, told.labels, told.direct)
    assert {"maintenance.ping", "crawling.site"} <= set(told.kinds)
    assert "calibration.va" not in told.kinds
    assert len(os.sched_getaffinity(0)) == told.cpus
    assert min(1500, (psutil.virtual_memory().total >> 20) // 2) == told.memory_mb
    assert not told.is_restricted


@pytest.mark.parametrize(
    ("values", "memory_mb"),
    [({"child_memory_mb": 200}, 200), ({"worker_memory_mb": 70_000}, 70_000), ({"child_memory_mb": 9_999_999}, None)],
)
def test_memory_of_a_job_may_be_less_or_be_set(
    make_settings: Callable[..., Settings], sqlite_ledger: Ledger, values: dict[str, int], memory_mb: int | None
) -> None:
    """A limit that kills is what a job has; what the operator says goes before what was found."""
    share_mb = found(make_settings(), sqlite_ledger).memory_mb
    assert (share_mb if memory_mb is None else memory_mb) == found(make_settings(**values), sqlite_ledger).memory_mb


@pytest.mark.parametrize("text", ["max\n", None])
def test_machine_without_a_limit_has_all_its_memory(
    make_settings: Callable[..., Settings], sqlite_ledger: Ledger, machine: Path, text: str | None
) -> None:
    """In a group without one, or where there are no groups."""
    machine.unlink() if text is None else machine.write_text(text)
    total_mb = psutil.virtual_memory().total >> 20
    assert total_mb == found(make_settings(), sqlite_ledger, slots=1).memory_mb


def test_tenants_become_ids_and_close_the_common_line(
    make_settings: Callable[..., Settings], ledger: Ledger, tenant: Tenant
) -> None:
    """Its row's queues are those of which it takes whatever comes: none."""
    for settings in (make_settings(worker_tenants="acme"), make_settings(worker_not_tenants="acme")):
        told = found(settings, ledger)
        assert (True, settings.worker_tenants == ("acme",)) == (told.is_restricted, told.serves(tenant.id))
        row = describe_worker("w", slots=2, capabilities=[], offers=told)
        assert ([], told.as_row()) == (row.queues, row.offers)
    free = describe_worker("w", slots=2, capabilities=[], offers=found(make_settings(), ledger))
    assert ["crawler", "maintenance"] == free.queues


@pytest.mark.parametrize("name", ["worker_tenants", "worker_not_tenants"])
def test_unknown_tenant_is_refused(
    make_settings: Callable[..., Settings], ledger: Ledger, tenant: Tenant, name: str
) -> None:
    """One that is made later must not be served by chance."""
    demand_tenants(make_settings(**{name: "acme"}), ledger)
    with pytest.raises(ConfigurationRefused, match=rf"SWITCHYARD_{name.upper()}: there is no tenant globex; make it"):
        demand_tenants(make_settings(**{name: "acme, globex"}), ledger)

"""What a worker offers to jobs besides its capabilities, found at its start or set by its operator."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import psutil

from tasks.core.errors import ConfigurationRefused
from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import ids_of
from tasks.core.matching import Offers
from tasks.core.settings import Settings
from tasks.core.spec import JobSpec

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def demand_tenants(settings: Settings, ledger: Ledger) -> None:
    """Go on only if every tenant that the settings name exists.

    Raises:
        ConfigurationRefused: one does not.
        LedgerUnavailable: nobody can tell.
    """
    _ids(ledger, settings.worker_tenants, name="WORKER_TENANTS")
    _ids(ledger, settings.worker_not_tenants, name="WORKER_NOT_TENANTS")


def find_offers(
    settings: Settings,
    ledger: Ledger,
    specs: Iterable[JobSpec],
    queues: Sequence[str],
    *,
    slots: int,
    direct: bool,
) -> Offers:
    """Return what a worker of these queues offers.

    Raises:
        ConfigurationRefused: the settings name a tenant that does not exist.
        LedgerUnavailable: nobody can tell.
    """
    return Offers(
        queues=sorted(queues),
        kinds=sorted(spec.kind for spec in specs if spec.queue in queues),
        direct=direct,
        labels=sorted(set(settings.worker_labels)),
        memory_mb=_memory_of_job_mb(settings, slots),
        cpus=len(os.sched_getaffinity(0)),
        tenants=_ids(ledger, settings.worker_tenants, name="WORKER_TENANTS") or None,
        not_tenants=_ids(ledger, settings.worker_not_tenants, name="WORKER_NOT_TENANTS"),
    )


def _ids(ledger: Ledger, names: Collection[str], *, name: str) -> list[str]:
    found = ids_of(ledger, names) if names else {}
    unknown = sorted(set(names) - found.keys())
    if unknown:
        # Left out, a tenant that is made later would be served although it must not be.
        raise ConfigurationRefused(f"SWITCHYARD_{name}: there is no tenant {', '.join(unknown)}; make it first")
    return sorted(found.values())


def _memory_of_job_mb(settings: Settings, slots: int) -> int:
    """Return what one job may take: its share of the machine's or the container's memory, or less where it is set."""
    if settings.worker_memory_mb is not None:
        return settings.worker_memory_mb
    share_mb = (_memory_bytes() >> 20) // max(1, slots)
    return min(share_mb, settings.child_memory_mb) if settings.child_memory_mb else share_mb


def _memory_bytes() -> int:
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit: the file is absent, or says `max`
        return total

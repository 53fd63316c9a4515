"""Celery tasks of the publishing kinds; they only delegate."""

from functools import partial
from typing import TYPE_CHECKING, Any

from celery import shared_task

from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.run import JobTask, Returned, run_job
from tasks.publishing.contract import PURGE, ROLLBACK, SITE, SPECS

if TYPE_CHECKING:
    from tasks.publishing.engine.memo import Memo
    from tasks.publishing.sources import SourceStore

_MB = 2**20
_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=SITE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def publish_site(self: JobTask, _job_id: str) -> Returned:
    """Run ``publishing.site``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[SITE], lambda: _load_publisher(kernel))


@shared_task(name=ROLLBACK, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def roll_back(self: JobTask, _job_id: str) -> Returned:
    """Run ``publishing.rollback``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[ROLLBACK], lambda: _load_rollback(kernel))


@shared_task(name=PURGE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def purge(self: JobTask, _job_id: str) -> Returned:
    """Run ``publishing.purge``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[PURGE], lambda: _load_purge(kernel))


def _load_publisher(kernel: Kernel) -> Engine[Any]:
    from tasks.publishing.engine.building.build import BuildLimits  # noqa: PLC0415  # engines load on the first job
    from tasks.publishing.engine.git.repository import GitLimits  # noqa: PLC0415  # as above
    from tasks.publishing.engine.publish import Publisher  # noqa: PLC0415  # engines load on the first job
    from tasks.publishing.homes import KernelHomes, git_access  # noqa: PLC0415  # as above
    from tasks.publishing.store.actions import actions_of  # noqa: PLC0415  # and so do their stores
    from tasks.publishing.store.records import LedgerRecords  # noqa: PLC0415  # as above

    return Publisher(
        records=LedgerRecords(kernel.ledger),
        homes=KernelHomes(kernel),
        open_sources=partial(_sources, kernel),
        open_memo=partial(_memo, kernel),
        actions=partial(actions_of, kernel.ledger),
        folders=kernel.settings.publish_sources,
        keep=kernel.settings.publish_keep,
        git_access=partial(git_access, kernel),
        git=GitLimits(fetched_bytes=kernel.settings.publish_git_mb * _MB),
        building=BuildLimits(
            seconds=kernel.settings.publish_build_s, memory_bytes=kernel.settings.publish_build_memory_mb * _MB
        ),
    )


def _load_rollback(kernel: Kernel) -> Engine[Any]:
    from tasks.publishing.engine.rollback import Rollback  # noqa: PLC0415  # as above
    from tasks.publishing.homes import KernelHomes  # noqa: PLC0415  # as above
    from tasks.publishing.store.records import LedgerRecords  # noqa: PLC0415  # as above

    return Rollback(LedgerRecords(kernel.ledger), KernelHomes(kernel), partial(_memo, kernel))


def _load_purge(kernel: Kernel) -> Engine[Any]:
    from tasks.publishing.engine.purging import Purge  # noqa: PLC0415  # as above
    from tasks.publishing.homes import caches_of  # noqa: PLC0415  # as above
    from tasks.publishing.store.records import LedgerRecords  # noqa: PLC0415  # as above

    return Purge(LedgerRecords(kernel.ledger), lambda _, site, name: caches_of(kernel.settings, name, site=site))


def _sources(kernel: Kernel, job: JobContext, site: str) -> "SourceStore":
    from tasks.publishing.homes import tenant_of  # noqa: PLC0415  # as above
    from tasks.publishing.sources import SourceStore  # noqa: PLC0415  # as above

    return SourceStore(kernel.settings.resolved_publish_dir / tenant_of(kernel, job), site)


def _memo(kernel: Kernel, job: JobContext, site: str) -> "Memo":
    from tasks.publishing.engine.memo import Memo  # noqa: PLC0415  # as above
    from tasks.publishing.homes import tenant_of  # noqa: PLC0415  # as above

    return Memo(kernel.settings.resolved_publish_dir / tenant_of(kernel, job) / ".made" / site)

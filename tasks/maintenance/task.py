"""Celery tasks of the maintenance kinds; they only delegate."""

from functools import partial
from typing import Any

from celery import shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, Returned, run_job
from tasks.maintenance.contract import PING, SPECS, SWEEP

_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=PING, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def ping(self: JobTask, _job_id: str) -> Returned:
    """Run ``maintenance.ping``."""
    return run_job(self, _SPECS[PING], _load_ping)


def _load_ping() -> Engine[Any]:
    from tasks.maintenance.engine import ping as engine  # noqa: PLC0415  # engines load on the first job

    return engine


@shared_task(name=SWEEP, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def sweep(self: JobTask, _job_id: str) -> Returned:
    """Run ``maintenance.sweep``."""

    def load() -> Engine[Any]:
        from tasks.maintenance.engine import sweep as engine  # noqa: PLC0415  # engines load on the first job
        from tasks.maintenance.store import shelves_for  # noqa: PLC0415  # and so do their stores

        return partial(engine, shelves=partial(shelves_for, self.app.kernel, self.app.specs))

    return run_job(self, _SPECS[SWEEP], load)

"""The Celery tasks of the family; they only delegate."""

import gc
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.worker.control import inspect_command
from kombu.transport.virtual import Transport

from tasks.core.job import Engine
from tasks.core.run import JobTask, Returned, run_job
from tests.faulty.contract import ACT, SPECS, WATCHED, R


@shared_task(name=ACT, bind=True, base=JobTask)
def act(self: JobTask, _job_id: str) -> Returned:
    """Run ``faulty.act``."""
    return run_job(self, SPECS[0], _load)


@shared_task(name=WATCHED, bind=True, base=JobTask)
def watched(self: JobTask, _job_id: str) -> Returned:
    """Run ``faulty.watched``."""
    return run_job(self, SPECS[1], _load)


@shared_task(name=R, bind=True, base=JobTask)
def run_r(self: JobTask, _job_id: str) -> Returned:
    """Run ``faulty.r``."""
    settings = self.app.kernel.settings
    return run_job(self, SPECS[2], lambda: _load_r(settings.resolved_r_library))


@inspect_command()  # type: ignore[untyped-decorator]  # Celery has no types
def held(state: Any) -> dict[str, int]:
    """Tell what a worker's parent holds of its connections to the broker, after how many of them."""
    gc.collect()
    return {
        "connected": state.consumer.restart_count,
        "transports": sum(isinstance(one, Transport) for one in gc.get_objects()),
        "calls": len(state.consumer.hub.on_tick),
    }


def _load_r(library: Path) -> Engine[Any]:
    from tests.faulty.r import RActs

    return RActs(library)


def _load() -> Engine[Any]:
    from tests.faulty.engine import act as engine

    return engine

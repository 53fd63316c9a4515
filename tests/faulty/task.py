"""The Celery task of the family; it only delegates."""

from typing import Any

from celery import shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tests.faulty.contract import ACT, SPECS


@shared_task(name=ACT, bind=True, base=JobTask)
def act(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``faulty.act``."""
    return run_job(self, SPECS[0], _load)


def _load() -> Engine[Any]:
    from tests.faulty.engine import act as engine

    return engine

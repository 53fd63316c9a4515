"""Celery tasks of the calibration kinds; they only delegate."""

from typing import Any

from celery import shared_task

from tasks.calibration.contract import KIND, SPECS
from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tasks.core.settings import Settings


@shared_task(name=KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def calibrate_va(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``calibration.va``."""
    settings: Settings = self.app.kernel.settings
    return run_job(self, SPECS[0], lambda: _load_calibrator(settings))


def _load_calibrator(settings: Settings) -> Engine[Any]:
    from tasks.calibration.engine.calibrate import Calibrator  # noqa: PLC0415  # engines load on the first job

    return Calibrator(bridge=settings.r_bridge.value, library=settings.resolved_r_library)

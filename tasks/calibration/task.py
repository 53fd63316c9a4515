"""Celery tasks of the calibration kinds; they only delegate."""

from typing import Any

from celery import shared_task

from tasks.calibration.contract import KIND, SPECS
from tasks.core.job import Engine
from tasks.core.kernel import Kernel
from tasks.core.result_cache import ResultCache
from tasks.core.run import JobTask, run_job


@shared_task(name=KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def calibrate_va(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``calibration.va``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, SPECS[0], lambda: _load_calibrator(kernel))


def _load_calibrator(kernel: Kernel) -> Engine[Any]:
    from tasks.calibration.engine.caching import CachingCalibrator, engine_stamp  # noqa: PLC0415  # as the next
    from tasks.calibration.engine.calibrate import Calibrator  # noqa: PLC0415  # engines load on the first job

    settings = kernel.settings
    return CachingCalibrator(
        Calibrator(bridge=settings.r_bridge.value, library=settings.resolved_r_library),
        ResultCache(kernel.ledger, kernel.artifacts),
        engine_stamp(settings.resolved_r_library, bridge=settings.r_bridge.value),
    )

"""Celery tasks of the calibration kinds; they only delegate."""

from functools import partial
from typing import Any

from celery import shared_task

from tasks.calibration.contract import SPECS
from tasks.calibration.importing import IMPORT, IMPORT_SPEC
from tasks.calibration.terms import KIND
from tasks.core.job import Engine
from tasks.core.kernel import Kernel
from tasks.core.result_cache import ResultCache
from tasks.core.run import JobTask, Returned, run_job


@shared_task(name=KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def calibrate_va(self: JobTask, _job_id: str) -> Returned:
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
        partial(engine_stamp, settings.resolved_r_library, bridge=settings.r_bridge.value),
    )


@shared_task(name=IMPORT, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def import_matrices(self: JobTask, _job_id: str) -> Returned:
    """Run ``calibration.import``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, IMPORT_SPEC, lambda: _load_importer(kernel))


def _load_importer(kernel: Kernel) -> Engine[Any]:
    from tasks.calibration.engine.inventory import Importer  # noqa: PLC0415  # engines load on the first job
    from tasks.calibration.store import keep_for_job  # noqa: PLC0415  # and so do their stores

    return Importer(kernel.settings.resolved_r_library, partial(keep_for_job, kernel.ledger))

"""Celery tasks of the discovery kinds; they only delegate."""

from typing import Any

from celery import shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tasks.discovery.contract import RUN, SITE, SPECS, TOOL

_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=SITE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def discover_site(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``discovery.site``."""
    return run_job(self, _SPECS[SITE], _load_site)


@shared_task(name=TOOL, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def discover_tool(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``discovery.tool``."""
    return run_job(self, _SPECS[TOOL], _load_tool)


@shared_task(name=RUN, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def run_tool(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``discovery.run``."""
    return run_job(self, _SPECS[RUN], _load_run)


def _load_site() -> Engine[Any]:
    from tasks.discovery.engine.discover import discover_site  # noqa: PLC0415  # engines load on the first job

    return discover_site


def _load_tool() -> Engine[Any]:
    from tasks.discovery.engine.discover import discover_tool  # noqa: PLC0415  # as above

    return discover_tool


def _load_run() -> Engine[Any]:
    from tasks.discovery.engine.run_tool import run_tool  # noqa: PLC0415  # as above

    return run_tool

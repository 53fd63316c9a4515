"""Celery tasks of the connectors' kinds; they only delegate."""

from functools import partial
from typing import TYPE_CHECKING, Any

from celery import shared_task

from tasks.connectors.contract import CHECK, HTTP, SIMULATE, SPECS, WEBSOCKET
from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.run import JobTask, Returned, run_job

if TYPE_CHECKING:
    from tasks.connectors.connector import Connector

_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=SIMULATE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def simulate(self: JobTask, _job_id: str) -> Returned:
    """Run ``connectors.simulate``."""
    return run_job(self, _SPECS[SIMULATE], _load_simulate)


@shared_task(name=HTTP, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def call_http(self: JobTask, _job_id: str) -> Returned:
    """Run ``connectors.http``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[HTTP], lambda: _load_http(kernel))


@shared_task(name=WEBSOCKET, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def speak(self: JobTask, _job_id: str) -> Returned:
    """Run ``connectors.websocket``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[WEBSOCKET], lambda: _load_websocket(kernel))


@shared_task(name=CHECK, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def check(self: JobTask, _job_id: str) -> Returned:
    """Run ``connectors.check``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[CHECK], lambda: _load_check(kernel))


def _load_simulate() -> Engine[Any]:
    from tasks.connectors.engine.simulate import simulate as engine  # noqa: PLC0415  # engines load on the first job

    return engine


def _load_http(kernel: Kernel) -> Engine[Any]:
    from tasks.connectors.engine.http import HTTPConnector  # noqa: PLC0415  # as above

    return HTTPConnector(partial(_open, kernel))


def _load_websocket(kernel: Kernel) -> Engine[Any]:
    from tasks.connectors.engine.websocket import WebSocketConnector  # noqa: PLC0415  # as above

    return WebSocketConnector(partial(_open, kernel))


def _load_check(kernel: Kernel) -> Engine[Any]:
    from tasks.connectors.engine.check import Check  # noqa: PLC0415  # as above

    return Check(partial(_open, kernel))


def _open(kernel: Kernel, job: JobContext, name: str) -> "Connector":
    from tasks.connectors.configured import connector_for_job  # noqa: PLC0415  # as above

    return connector_for_job(kernel.ledger, kernel.settings, job.id, name)

"""Whether a service is well, and whether it could be given an input, as a job."""

import time
from collections.abc import Callable

from tasks.connectors.connector import Connector
from tasks.connectors.contract import CheckRequest, CheckResult
from tasks.connectors.engine.http import OpenConnector
from tasks.connectors.engine.socket import Socket
from tasks.connectors.engine.websocket import Conversation, Templates
from tasks.connectors.engine.wire import Wire
from tasks.connectors.service import HTTPService
from tasks.core.errors import AppError
from tasks.core.job import JobContext

_Answer = tuple[bool | None, bool | None]


class Check:
    """Does ``connectors.check``."""

    def __init__(self, open_connector: OpenConnector) -> None:
        self._open = open_connector

    def __call__(self, request: CheckRequest, job: JobContext) -> CheckResult:
        """Tell whether the service is well, and whether the input fills its templates.

        Raises:
            NotFound: the tenant has no such connector.
        """
        began = time.monotonic()
        connector = self._open(job, request.connector)
        reasons: list[str] = []

        def is_fine(act: Callable[[], object]) -> bool:
            try:
                act()
            except AppError as exc:
                reasons.append(exc.message[:500])
                return False
            return True

        look = _look_over_http if isinstance(connector.service, HTTPService) else _look_over_websocket
        healthy, can_process = look(connector, job, request, is_fine)
        return CheckResult(
            connector=request.connector,
            healthy=healthy,
            can_process=can_process,
            reasons=tuple(reasons),
            took_s=round(time.monotonic() - began, 3),
        )


def _look_over_http(
    connector: Connector, job: JobContext, request: CheckRequest, is_fine: Callable[[Callable[[], object]], bool]
) -> _Answer:
    service = connector.over_http()
    healthy = can_process = None
    with Wire(connector, job) as wire:
        if (call := service.health) is not None:
            healthy = is_fine(lambda: wire.send(wire.prepare(call, given={}, remote={})))
        if (given := request.input) is not None:
            can_process = is_fine(lambda: wire.prepare(service.request, given=given, remote={}))
    return healthy, can_process


def _look_over_websocket(
    connector: Connector, job: JobContext, request: CheckRequest, is_fine: Callable[[Callable[[], object]], bool]
) -> _Answer:
    service = connector.over_websocket()
    # Where the address has what only an input brings, nothing can be opened without one.
    can_open = request.input is not None or not service.address_needs_input
    can_process = None
    templates = Templates(connector, job.id, given=request.input or {})
    if request.input is not None:
        can_process = is_fine(templates.fill_all)
    if not can_open or can_process is False:
        return None, can_process
    with Socket(service, job, hidden=connector.hidden()) as socket:
        healthy = is_fine(lambda: Conversation(socket, templates, job, hidden=connector.hidden()).probe())
    return healthy, can_process

"""A service that is called over HTTP, as a job."""

import json
import time
from collections.abc import Callable
from typing import Any

from tasks.connectors.connector import Connector
from tasks.connectors.contract import MAX_ANSWER_BYTES, CheckRequest, CheckResult, HTTPRequest, HTTPResult
from tasks.connectors.engine.following import Followed, Follower
from tasks.connectors.engine.wire import Wire
from tasks.core.errors import AppError
from tasks.core.job import JobContext

OpenConnector = Callable[[JobContext, str], Connector]
"""Opens a configuration of a job's tenant by name."""

_ENDINGS = {"application/json": "json", "text/plain": "txt", "text/html": "html", "text/csv": "csv"}


class HTTPConnector:
    """Does ``connectors.http``."""

    def __init__(self, open_connector: OpenConnector) -> None:
        self._open = open_connector

    def __call__(self, request: HTTPRequest, job: JobContext) -> HTTPResult:
        """Call the service, or submit to it and follow the work; keep the answer as a file.

        Raises:
            NotFound: the tenant has no such connector.
            InputRejected: the input lacks what the configuration's templates need.
            EgressRefused, TooLarge, Transient, Permanent: as ``Wire.send`` and ``Follower.run``.
        """
        began = time.monotonic()
        connector = self._open(job, request.connector)
        service = connector.service
        with Wire(connector, job) as wire:
            if service.poll is not None:
                followed = Follower(wire, service, job, given=request.input).run()
            else:
                job.report("calling", 0, None)
                answer = wire.send(wire.prepare(service.request, given=request.input, remote={}))
                followed = Followed(answer, {}, 0, resumed=False)
        answer = followed.answer
        content = wire.hidden.struck_from_bytes(answer.content)
        artifact = f"answer.{_ENDINGS.get(answer.media_type, 'bin')}"
        job.save(artifact, content, answer.media_type)
        return HTTPResult(
            connector=request.connector,
            status=answer.status,
            media_type=answer.media_type,
            artifact=artifact,
            size_bytes=len(content),
            answer=_small_document(content),
            remote=followed.remote,
            polls=followed.polls,
            resumed=followed.resumed,
            took_s=round(time.monotonic() - began, 3),
        )


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
        service = connector.service
        reasons: list[str] = []

        def is_fine(act: Callable[[], object]) -> bool:
            try:
                act()
            except AppError as exc:
                reasons.append(exc.message[:500])
                return False
            return True

        with Wire(connector, job) as wire:
            healthy = can_process = None
            if (call := service.health) is not None:
                healthy = is_fine(lambda: wire.send(wire.prepare(call, given={}, remote={})))
            if (given := request.input) is not None:
                can_process = is_fine(lambda: wire.prepare(service.request, given=given, remote={}))
        return CheckResult(
            connector=request.connector,
            healthy=healthy,
            can_process=can_process,
            reasons=tuple(reasons),
            took_s=round(time.monotonic() - began, 3),
        )


def _small_document(content: bytes) -> Any:
    if len(content) > MAX_ANSWER_BYTES:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None

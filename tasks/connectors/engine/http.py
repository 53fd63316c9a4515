"""A service that is called over HTTP, as a job."""

import time
from collections.abc import Callable

from tasks.connectors.connector import Connector
from tasks.connectors.contract import HTTPRequest, HTTPResult
from tasks.connectors.engine.answers import keep_answer
from tasks.connectors.engine.following import Followed, Follower
from tasks.connectors.engine.wire import Wire
from tasks.core.job import JobContext

OpenConnector = Callable[[JobContext, str], Connector]
"""Opens a configuration of a job's tenant by name."""


class HTTPConnector:
    """Does ``connectors.http``."""

    def __init__(self, open_connector: OpenConnector) -> None:
        self._open = open_connector

    def __call__(self, request: HTTPRequest, job: JobContext) -> HTTPResult:
        """Call the service, or submit to it and follow the work; keep the answer as a file.

        Raises:
            NotFound: the tenant has no such connector.
            InputRejected: the input lacks what the configuration's templates need, or the service is not called so.
            EgressRefused, TooLarge, Transient, Permanent: as ``Wire.send`` and ``Follower.run``.
        """
        began = time.monotonic()
        connector = self._open(job, request.connector)
        service = connector.over_http()
        with Wire(connector, job) as wire:
            if service.poll is not None:
                followed = Follower(wire, service, job, given=request.input).run()
            else:
                job.report("calling", 0, None)
                answer = wire.send(wire.prepare(service.request, given=request.input, remote={}))
                followed = Followed(answer, {}, 0, resumed=False)
        answer = followed.answer
        kept = keep_answer(job, answer.content, answer.media_type, hidden=wire.hidden)
        return HTTPResult(
            connector=request.connector,
            status=answer.status,
            media_type=kept.media_type,
            artifact=kept.artifact,
            size_bytes=kept.size_bytes,
            answer=kept.answer,
            remote=followed.remote,
            polls=followed.polls,
            resumed=followed.resumed,
            took_s=round(time.monotonic() - began, 3),
        )

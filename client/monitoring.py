"""What goes on in all of a server, as one stream that reconnects by itself. A flow: no I/O."""

import json
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypedDict, cast

from pydantic import Field, ValidationError

from client.errors import ConnectionFailed, Unavailable, error_from
from client.limits import Limits
from client.models import Record
from client.sse import SSEParser
from client.steps import CloseChannel, Notice, OpenStream, Pause, ReadChunk, Reply, Request, Step, answered

_PATH = "/api/monitor/events"


class MonitorEvent(Record):
    """One event: ``snapshot``, ``resumed``, ``job.state``, ``job.progress``, ``queue.changed``, ``worker.connected`` …

    ``docs/api.md`` says what ``data`` has. A ``snapshot`` replaces everything that came before it.
    """

    type: str
    id: str | None = None
    """The cursor: give it as ``after`` to go on from here."""
    seq: int | None = None
    at: datetime | None = None
    topic: str | None = None
    """``job``, ``queue``, ``worker`` or ``system``; None of a ``snapshot`` and of ``resumed``."""
    data: dict[str, Any] = Field(default_factory=dict)


class MonitorFilters(TypedDict, total=False):
    """What to be told; of different ones all must fit."""

    topics: Iterable[str]
    """``job``, ``queue``, ``worker``, ``system``; all that you may see when none is given."""
    queues: Iterable[str]
    kinds: Iterable[str]
    tenants: Iterable[str]
    """By name; for operators."""
    jobs: Iterable[str]
    workers: Iterable[str]
    after: str
    """The id of the last event seen."""


MonitorFlow: TypeAlias = Generator[Step | MonitorEvent, Reply, None]

_PARAMETERS = {
    "topics": "topic",
    "queues": "queue",
    "kinds": "kind",
    "tenants": "tenant",
    "jobs": "job",
    "workers": "worker",
}


class MonitorReading:
    """One reader's place, between its connections."""

    def __init__(self, wanted: MonitorFilters, limits: Limits) -> None:
        values = cast("Mapping[str, Iterable[str]]", wanted)
        unknown = [name for name in values if name not in {*_PARAMETERS, "after"}]
        if unknown:
            raise TypeError(f"monitor() has no {unknown[0]!r}: choose from {', '.join([*_PARAMETERS, 'after'])}")
        self._params = tuple(
            (parameter, one) for name, parameter in _PARAMETERS.items() for one in _listed(values.get(name, ()))
        )
        self._cursor = wanted.get("after")
        self._limits = limits
        self._failures = 0

    def flow(self) -> MonitorFlow:
        """Yield events, and the steps that get them, for ever.

        Raises (into whoever iterates): a typed error of the server, or ``ConnectionFailed`` after too many
        reconnects in a row.
        """
        while True:
            try:
                yield from self._read()
            except (ConnectionFailed, Unavailable) as exc:
                yield CloseChannel()
                self._failures += 1
                if self._failures > self._limits.reconnects:
                    raise
                yield Notice("disconnected", exc.detail, "sse", self._failures)
                yield Pause(self._limits.pause_s(self._failures, asked_s=exc.retry_after_s))

    def _read(self) -> MonitorFlow:
        headers = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}
        if self._cursor is not None:
            headers["last-event-id"] = self._cursor
        request = Request("GET", _PATH, params=self._params, headers=headers)
        head = yield from answered(OpenStream(request, self._limits.connect_s, self._limits.silence_s))
        if head.status != 200:
            raise error_from(head.status, head.headers, head.body)
        if head.media_type != "text/event-stream":
            raise ConnectionFailed(f"expected an event stream, got {head.media_type or 'no media type'}")
        parser = SSEParser()
        while chunk := (yield ReadChunk()):
            for frame in parser.feed(cast("bytes", chunk)):
                event = _event(frame.data)
                if event is not None:
                    yield from self._welcome()
                    self._cursor = event.id or self._cursor
                    yield event
            # Heartbeats bring the place on, too, past what was not wanted.
            self._cursor = parser.last_id or self._cursor
        raise ConnectionFailed("the server ended the stream: it restarts")

    def _welcome(self) -> Generator[Notice, Reply, None]:
        if self._failures:
            yield Notice("reconnected", transport="sse")
        self._failures = 0


def _listed(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _event(text: str) -> MonitorEvent | None:
    try:
        return MonitorEvent.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        return None

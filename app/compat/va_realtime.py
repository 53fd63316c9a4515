"""The older VA calibration service's realtime mode: its socket messages, made of our events. Loaded with WebSockets."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.aliases import Aliases
from app.compat.va import REFUSED_BODY, VACreated, submit_va, va_job, va_record
from app.compat.va_requests import VACalibration
from app.compat.va_words import described, result_of, va_paths, word_of
from app.openapi import answer
from app.services import Services
from app.streams.conversation import RESTARTING, UpgradeRequired, converse, is_ping, refuse, require_socket
from app.streams.cursor import OLDEST
from app.streams.feed import Frame
from app.streams.services import StreamServices
from app.streams.subscription import Draining
from tasks.calibration.terms import KIND
from tasks.core.clock import now, rfc3339
from tasks.core.errors import InputRejected, NotAuthenticated, NotFound
from tasks.core.records import TERMINAL, JobRecord, JobState

# A client that comes late is told the last messages of the job, as many as this.
_MOST_REPLAYED = 100
_UNKNOWN_JOB = 4004


class VASockets(BaseModel):
    """The tenant's open sockets in this process."""

    websocket_connections: dict[str, Any]
    server_time: str


MODELS: tuple[type[BaseModel], ...] = (VASockets,)


@dataclass(slots=True)
class _Watched:
    connections: int = 0
    last_sequence: int = 0


@dataclass(slots=True)
class _Sockets:
    """Who is connected here, by tenant and job."""

    lock: Lock = field(default_factory=Lock)
    watched: dict[tuple[str, str], _Watched] = field(default_factory=dict)

    @contextmanager
    def connected(self, tenant: str, job_id: str) -> Iterator[_Watched]:
        """Count a socket for as long as the block lasts."""
        with self.lock:
            watched = self.watched.setdefault((tenant, job_id), _Watched())
            watched.connections += 1
        try:
            yield watched
        finally:
            with self.lock:
                watched.connections -= 1
                if not watched.connections:
                    del self.watched[tenant, job_id]

    def of(self, tenant: str) -> dict[str, _Watched]:
        """Return one tenant's."""
        with self.lock:
            return {job_id: watched for (owner, job_id), watched in self.watched.items() if owner == tenant}


class _Messages:
    """Our events as its messages: type, job_id, timestamp, data, sequence.

    An event numbered n gives message 2n, and 2n + 1 where it also brings the result or an error.
    """

    def __init__(self, record_of: Callable[[str], JobRecord], job_id: str, watched: _Watched, *, after: int) -> None:
        self._record_of = record_of
        self._job_id = job_id
        self._watched = watched
        self._after = after
        self._is_first = True
        self._sequence = 0

    def opening(self) -> Iterable[str]:
        """Confirm the connection."""
        about = {"status": "connected", "message": f"Connected to job {self._job_id}"}
        yield self._message("connection", about | {"server_time": rfc3339(now())})

    def told(self, frames: Sequence[Frame]) -> Iterable[str]:
        """Return what the events say; of those before the client came only the last, and none that it has."""
        messages = [message for frame in frames for message in self._of(frame)]
        if self._is_first:
            self._is_first = False
            newest = messages[-1]["sequence"] if messages else 0
            # A stream that is younger than what the client has seen is another one.
            seen = self._after if newest >= self._after else 0
            messages = [message for message in messages if message["sequence"] > seen][-_MOST_REPLAYED:]
        for message in messages:
            self._sequence = self._watched.last_sequence = message["sequence"]
            yield json.dumps(message, ensure_ascii=False)

    def reply(self, message: str | bytes) -> str | None:
        """Answer a ping."""
        return self._message("heartbeat", {"pong": True}) if is_ping(message) else None

    def idle(self) -> str | None:
        """Give a sign of life."""
        return self._message("heartbeat", {"timestamp": rfc3339(now())})

    def _message(self, type_: str, data: dict[str, Any]) -> str:
        return json.dumps(self._made(type_, data, at=rfc3339(now()), sequence=self._sequence))

    def _made(self, type_: str, data: dict[str, Any], *, at: str, sequence: int) -> dict[str, Any]:
        return {"type": type_, "job_id": self._job_id, "timestamp": at, "data": data, "sequence": sequence}

    def _of(self, frame: Frame) -> Iterator[dict[str, Any]]:
        event = json.loads(frame.text)
        data, at, sequence = event["data"], event["at"], 2 * event["seq"]
        if frame.type == "log":
            line = {"line": data["line"], "level": data["level"], "source": data["stream"]}
            yield self._made("log", line, at=at, sequence=sequence)
        elif frame.type == "progress":
            yield self._made("progress", _progress(data), at=at, sequence=sequence)
        elif frame.type in {"state", "snapshot"}:
            record = self._record_of(self._job_id)
            state = data["state"] if frame.type == "state" else record.state
            yield from self._states(record, state, data.get("cause", record.cause), at=at, sequence=sequence)

    def _states(self, record: JobRecord, state: str, cause: str, *, at: str, sequence: int) -> Iterator[dict[str, Any]]:
        told = record.model_copy(update={"state": state, "cause": cause})
        status = {"status": word_of(told, done="completed"), "message": cause, "timestamp": at}
        yield self._made("status", status, at=at, sequence=sequence)
        if state not in TERMINAL or state != record.state:
            return
        if record.state == JobState.SUCCEEDED and record.result is not None:
            result = result_of(record)
            data = {"results": result.model_dump(mode="json"), "completed_at": rfc3339(result.completed_at)}
            yield self._made("result", data, at=at, sequence=sequence + 1)
        elif record.error is not None:
            error = {"error": record.error.message, "error_type": record.error.code, "timestamp": at}
            yield self._made("error", error, at=at, sequence=sequence + 1)


def _progress(data: dict[str, Any]) -> dict[str, Any]:
    percent = data["percent"] or 0.0
    return {"progress": percent, "stage": data["message"] or data["stage"], "percentage": f"{percent:.1f}%"}


def realtime_paths(at: Services, streams: StreamServices) -> tuple[Aliases, Blueprint]:
    """Return the routes of the realtime mode, and its socket."""
    sockets = _Sockets()
    aliases = va_paths("va_realtime")

    @aliases.route(
        "POST",
        "/calibrate/realtime",
        successor=f"/api/jobs/{KIND}",
        responses={200: answer(VACreated, "Created."), **REFUSED_BODY},
    )
    def create_realtime_job(body: VACalibration) -> Response:
        """Create a calibration job, to be watched over the WebSocket."""
        job = submit_va(body)
        message = f"Real-time calibration job created. Connect to WebSocket: /ws/calibrate/{job.id}/logs"
        return json_answer(VACreated(job_id=job.id, status="pending", message=message, created_at=job.created_at))

    @aliases.route(
        "GET",
        "/websocket/stats",
        successor="/metrics",
        responses={200: answer(VASockets, "Now."), **described(401, 503)},
    )
    def read_socket_stats() -> Response:
        """Count the tenant's open sockets in this process."""
        mine = sockets.of(tenant_id())
        jobs = {
            job_id: {"connections": one.connections, "last_sequence": one.last_sequence} for job_id, one in mine.items()
        }
        total = sum(one.connections for one in mine.values())
        counted = {"total_jobs": len(mine), "total_connections": total, "jobs": jobs}
        return json_answer(VASockets(websocket_connections=counted, server_time=rfc3339(now())))

    return aliases, _socket(at, streams, aliases, sockets)


def _socket(at: Services, streams: StreamServices, aliases: Aliases, sockets: _Sockets) -> Blueprint:
    blueprint = Blueprint("va_socket", __name__)
    rule = "/ws/calibrate/<any_id:job_id>/logs"

    @blueprint.get(rule)
    def refuse_plain_logs(job_id: str) -> Response:  # noqa: ARG001  # part of the route
        """Tell a client that came in plain HTTP."""
        raise UpgradeRequired

    @blueprint.get(rule, websocket=True)
    def watch_logs(job_id: str) -> Response:
        """Stream a calibration's log, progress, states and result as messages."""
        require_socket()
        try:
            viewer = _viewer(at, streams, aliases, job_id)
            after = _sequence(request.args.get("after"))
            job = va_job(at, job_id, tenant=viewer)
            subscription = streams.subscribe(job, after=OLDEST)
        except (NotAuthenticated, InputRejected) as exc:
            return refuse(exc.message)
        except NotFound:
            return refuse("Job not found", code=_UNKNOWN_JOB)
        except Draining:
            return refuse("This server is restarting.", code=RESTARTING)
        with ExitStack() as closing:
            if subscription is not None:
                closing.callback(subscription.close)
            closing.enter_context(streams.counted("websocket"))
            watched = closing.enter_context(sockets.connected(viewer, job_id))
            messages = _Messages(lambda one: va_record(at, one, tenant=viewer), job_id, watched, after=after)
            return converse(subscription, messages, heartbeat_s=streams.kernel.settings.heartbeat_s)

    return blueprint


def _viewer(at: Services, streams: StreamServices, aliases: Aliases, job_id: str) -> str:
    token = request.args.get("token")
    if token is not None:
        return streams.tokens.tenant_of(token, job_id=job_id)
    return aliases.tenant_of_request(at).id


def _sequence(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise InputRejected("after: send a message's sequence.", field="after")
    return int(text)

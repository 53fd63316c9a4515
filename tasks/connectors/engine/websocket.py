"""A service that is spoken to over a WebSocket, as a job."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from tasks.connectors.connector import Connector
from tasks.connectors.contract import WebSocketRequest, WebSocketResult
from tasks.connectors.engine.answers import keep_answer
from tasks.connectors.engine.http import OpenConnector
from tasks.connectors.engine.pointer import MISSING, found_at
from tasks.connectors.engine.socket import Address, Socket
from tasks.connectors.engine.telling import REMOTE_FAILED, UNREADABLE, Teller, is_name
from tasks.connectors.engine.wire import REFUSED, filled_headers
from tasks.connectors.template import filled, filled_path, filled_texts, placeholders
from tasks.core.errors import AppError, JobCancelled, Permanent
from tasks.core.hidden import Hidden
from tasks.core.job import JobContext

log = structlog.get_logger()

# A cancelled attempt is killed after SWITCHYARD_CANCEL_GRACE_S, two seconds by default.
_NAME_GRACE_S = 0.5
_CANCEL_TIMEOUT_S = 0.5
# After these nothing of the work is left that could be gone on with.
_OVER = frozenset({REMOTE_FAILED, REFUSED})


class WebSocketConnector:
    """Does ``connectors.websocket``."""

    def __init__(self, open_connector: OpenConnector) -> None:
        self._open = open_connector

    def __call__(self, request: WebSocketRequest, job: JobContext) -> WebSocketResult:
        """Send the service its frame and follow the work to its end; keep the answer as a file.

        Raises:
            NotFound: the tenant has no such connector.
            InputRejected: the input lacks what the configuration's templates need, or the service is not spoken to so.
            EgressRefused, TooLarge, Transient, Permanent: as ``Socket.open``, ``Socket.receive`` and
                ``Conversation.run``.
        """
        began = time.monotonic()
        connector = self._open(job, request.connector)
        hidden = connector.hidden()
        templates = Templates(connector, job.id, given=request.input)
        with Socket(templates.service, job, hidden=hidden) as socket:
            answered = Conversation(socket, templates, job, hidden=hidden).run()
            frames = socket.frames
        kept = keep_answer(job, answered.content, answered.media_type, hidden=hidden)
        return WebSocketResult(
            connector=request.connector,
            media_type=kept.media_type,
            artifact=kept.artifact,
            size_bytes=kept.size_bytes,
            answer=kept.answer,
            remote={name: hidden.struck_from(value) for name, value in answered.remote.items()},
            frames=frames,
            resumed=answered.resumed,
            took_s=round(time.monotonic() - began, 3),
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """The service's answer, and how it was come by."""

    content: bytes = field(repr=False)
    media_type: str
    remote: dict[str, str]
    resumed: bool


class Templates:
    """The frames of a configuration for one job."""

    def __init__(self, connector: Connector, job_id: str, *, given: Mapping[str, Any]) -> None:
        self.service = connector.over_websocket()
        self._secrets = connector.secrets
        self._given = given
        self._job_id = job_id
        # How often work of this job has come to an end at the service; a retry on request begins another.
        self.submission = 0

    def address(self) -> Address:
        """Return where the socket is opened.

        Raises:
            InputRejected: a value is missing, or does not fit where it is to stand.
        """
        scope = self._scope({})
        url = self.service.base_url.rstrip("/") + filled_path(self.service.path, scope)
        query = filled_texts(self.service.query, scope)
        return Address(str(httpx.URL(url).copy_merge_params(query)), filled_headers(self.service.headers, scope))

    def fill(self, template: Any, remote: Mapping[str, str] | None = None) -> Any:
        """Return a frame with its values in place.

        Raises:
            InputRejected: as ``address``.
        """
        return filled(template, self._scope(remote or {}))

    def fill_all(self) -> None:
        """Find out before anything is sent whether each frame can be.

        Raises:
            InputRejected: as ``address``.
        """
        self.address()
        service = self.service
        remote = dict.fromkeys(service.remote, "x")
        for template in (service.opening, service.request, service.resume, service.cancel, service.match):
            self.fill(template, remote)

    def _scope(self, remote: Mapping[str, str]) -> dict[str, Any]:
        key = f"{self._job_id}-{self.submission}" if self.submission else self._job_id
        job = {"id": self._job_id, "key": key}
        return {"input": self._given, "secret": self._secrets, "job": job, "remote": remote}


class Conversation:
    """One job's work over a WebSocket: begun once where that can be, followed, gone on with, cancelled with its job."""

    def __init__(self, socket: Socket, templates: Templates, job: JobContext, *, hidden: Hidden) -> None:
        self._socket = socket
        self._templates = templates
        self._service = templates.service
        self._job = job
        self._teller = Teller(job, hidden, templates.service)
        self._remote: dict[str, str] = {}
        self._is_begun = False
        self._pieces: list[bytes] = []
        self._matches: dict[str, Any] = {}

    def run(self) -> Answered:
        """Return the service's answer.

        Raises:
            InputRejected: a template cannot be filled; nothing was sent.
            Transient, Permanent, TooLarge: as ``Socket.receive``; ``remote_failed``: the service says that the work
                failed; ``remote_unsure``: an earlier attempt had begun, this one cannot go on with it, and must not
                begin again.
        """
        resumed = self._recall()
        self._templates.fill_all()
        self._matches = self._templates.fill(self._service.match)
        try:
            self._job.report("connecting", 0, None)
            self._connect()
            self._begin(resumed=resumed)
            content, media_type = self._followed()
        except JobCancelled:
            # Control flow that goes on its way: only the service is told first, as nobody else could.
            if self._is_begun:
                self._cancel()
                self._forget()
            raise
        except Permanent as exc:
            if exc.code in _OVER:
                self._forget()
            raise
        return Answered(content, media_type, self._remote, resumed)

    def probe(self) -> None:
        """Find out whether the service is well.

        Raises:
            Transient, Permanent, TooLarge: it is not; as ``Socket.receive``.
        """
        health = self._service.health
        self._connect()
        if health is None:
            return
        self._socket.send(self._templates.fill(health.send))
        expected = self._templates.fill(health.expect)
        until = time.monotonic() + self._service.timeout_s
        while True:
            left_s = max(until - time.monotonic(), 0.01)
            if _fits(_document(self._socket.receive(timeout_s=left_s)), expected):
                return

    def _connect(self, *, meanwhile: Callable[[], None] | None = None, timeout_s: float | None = None) -> None:
        self._socket.open(self._templates.address(), meanwhile=meanwhile, timeout_s=timeout_s)
        for frame in self._service.opening:
            self._socket.send(self._templates.fill(frame), meanwhile=meanwhile, timeout_s=timeout_s)

    def _recall(self) -> bool:
        """Learn what an earlier attempt has begun; return whether this one goes on with it."""
        state = self._job.resume.load() or {}
        submission, remote = state.get("submission"), state.get("remote")
        self._templates.submission = submission if isinstance(submission, int) else 0
        self._is_begun = bool(state.get("is_submitted"))
        if isinstance(remote, dict):
            self._remote = {str(name): str(value) for name, value in remote.items()}
            if self._service.resume is not None:
                return True
        if self._is_begun and self._service.if_unsure == "fail":
            raise Permanent(
                "An earlier attempt lost its connection or its worker after it had sent its request: whether the "
                "service has done the work is not known. Look there, and submit anew.",
                code="remote_unsure",
            )
        return False

    def _begin(self, *, resumed: bool) -> None:
        if resumed:
            self._job.log(f"Going on with what an earlier attempt began: {self._teller.shown(self._remote)}")
            self._socket.send(self._templates.fill(self._service.resume, self._remote))
            return
        self._remote = {}
        self._note(is_submitted=True)
        self._is_begun = True
        self._socket.send(self._templates.fill(self._service.request))
        self._job.report("sent", 0, None)

    def _followed(self) -> tuple[bytes, str]:
        while (answer := self._heard(self._socket.receive())) is None:
            pass
        return answer

    def _heard(self, frame: str | bytes) -> tuple[bytes, str] | None:
        """Take in a frame; return the answer and its media type if it is the last one."""
        service = self._service
        if isinstance(frame, bytes):
            if service.binary is None:
                raise Permanent("The service sent a binary frame: `binary` says what those are.", code=UNREADABLE)
            self._pieces.append(frame)
            return None
        document = _document(frame)
        if document is MISSING or not _fits(document, self._matches):
            return None
        self._learn(document)
        if service.pieces is not None and isinstance(piece := found_at(service.pieces, document), str):
            self._pieces.append(piece.encode())
        word = self._teller.word(document)
        if word is not None and self._teller.has_ended(word, document):
            return self._answer(document)
        self._teller.report(document, step=self._socket.frames, otherwise=word or "")
        return None

    def _learn(self, document: Any) -> None:
        """Keep what the service calls the work as soon as it has said so."""
        if len(self._remote) == len(self._service.remote):
            return
        found = {name: found_at(pointer, document) for name, pointer in self._service.remote.items()}
        self._remote |= {name: str(value) for name, value in found.items() if is_name(value)}
        if len(self._remote) == len(self._service.remote):
            self._note(is_submitted=True, remote=self._remote)
            self._job.log(f"Begun: {self._teller.shown(self._remote)}")

    def _answer(self, document: Any) -> tuple[bytes, str]:
        service = self._service
        if service.binary is not None or service.pieces is not None:
            return b"".join(self._pieces), service.binary or "text/plain"
        found = found_at(service.result, document)
        if found is MISSING:
            raise Permanent(f"The last frame has no answer at {service.result!r}.", code=UNREADABLE)
        if isinstance(found, str):
            return found.encode(), "text/plain"
        return json.dumps(found, ensure_ascii=False).encode(), "application/json"

    def _note(self, **state: object) -> None:
        self._job.resume.save({"submission": self._templates.submission, **state})

    def _forget(self) -> None:
        """Let a later attempt of the job begin anew, under another key: this work is over."""
        self._templates.submission += 1
        self._note()

    def _cancel(self) -> None:
        cancel = self._service.cancel
        if cancel is None:
            return
        try:
            if not self._socket.is_open:
                self._connect(meanwhile=_nothing, timeout_s=_CANCEL_TIMEOUT_S)
            if any(scope == "remote" for scope, _ in placeholders(cancel)):
                self._await_name()
            frame = self._templates.fill(cancel, self._remote)
            self._socket.send(frame, meanwhile=_nothing, timeout_s=_CANCEL_TIMEOUT_S)
        except AppError as exc:
            # The job is cancelled all the same; that its work goes on elsewhere, somebody should know.
            log.warning("remote_not_cancelled", code=exc.code)
            self._job.log(f"The service was not told to cancel: {exc.message}", level="warning")
        else:
            self._job.log("The service was told to cancel.")

    def _await_name(self) -> None:
        """Wait for a moment until the service has said what it calls the work, without which nothing can be ended."""
        until = time.monotonic() + _NAME_GRACE_S
        while len(self._remote) < len(self._service.remote) and (left_s := until - time.monotonic()) > 0:
            document = _document(self._socket.receive(meanwhile=_nothing, timeout_s=left_s))
            if _fits(document, self._matches):
                self._learn(document)


def _nothing() -> None:
    """Let nothing end a waiting: the job is cancelled already."""


def _document(frame: str | bytes) -> Any:
    """Return a frame as JSON, or ``MISSING``: what is none is a sign of life at most."""
    if isinstance(frame, bytes):
        return MISSING
    try:
        return json.loads(frame)
    except (ValueError, RecursionError):
        return MISSING


def _fits(document: Any, matches: Mapping[str, Any]) -> bool:
    return document is not MISSING and all(found_at(pointer, document) == value for pointer, value in matches.items())

"""A job's events as one gapless stream, whatever carries them: SSE, WebSocket or polling. A flow: no I/O."""

import json
import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias, cast

from pydantic import ValidationError

from client import calls
from client.errors import (
    AnswerTimedOut,
    ConnectionFailed,
    NotAuthenticated,
    NotSupported,
    SwitchyardError,
    TransportRefused,
    Unavailable,
    error_from,
)
from client.limits import Limits
from client.models import TERMINAL, Event
from client.modes import Mode, Transport
from client.polling import Poller
from client.sse import SSEParser
from client.steps import (
    Answer,
    CloseChannel,
    Exchange,
    Notice,
    OpenSocket,
    OpenStream,
    Pause,
    ReadChunk,
    ReadFrame,
    Reply,
    Request,
    SendFrame,
    Step,
    answered,
)

EventFlow: TypeAlias = Generator[Step | Event, Reply, None]

# So many connections in a row that bring nothing, while other calls are answered, are no accident.
_BLOCKED_AFTER = 3
_PING = json.dumps({"type": "ping"})


class Follower:
    """What is known of one stream between its connections: the cursor, the transport, whether the job has ended."""

    def __init__(self, job_id: str, *, after: str | None, mode: Mode, limits: Limits) -> None:
        self.job_id = job_id
        self._mode = mode
        self._left = mode.order()
        self.transport: Transport = self._left[0]
        self._limits = limits
        self._cursor = after
        # A stream asked for from the past may hold an end after which the job was retried: the server knows the last.
        self._is_replay = after is not None
        self._is_proven = False
        self._failures = 0
        self._ended = False
        self._last_state: tuple[str, int] | None = None
        self._poller = Poller(job_id, limits)

    def flow(self) -> EventFlow:
        """Yield events, and the steps that get them, until the job's terminal event.

        Raises (into whoever iterates): a typed error of the server, or ``ConnectionFailed`` after too many
        reconnects in a row.
        """
        readers = {"sse": self._sse, "websocket": self._socket, "polling": self._poll}
        while self._left:
            self.transport, *others = self._left
            self._left, self._is_proven = tuple(others), False
            try:
                yield from self._persist(readers[self.transport])
            except TransportRefused as exc:
                if not self._may_change:
                    raise
                yield Notice("refused", exc.detail, self.transport)
                yield CloseChannel()
                self._failures = 0
            else:
                return

    def _persist(self, read: Callable[[], EventFlow]) -> EventFlow:
        while not self._ended:
            try:
                yield from read()
            except TransportRefused:
                raise
            except (ConnectionFailed, Unavailable) as exc:
                yield CloseChannel()
                self._is_replay = self._cursor is not None
                self._failures += 1
                if self._failures > self._limits.reconnects:
                    raise
                if self._may_change and self._failures % _BLOCKED_AFTER == 0 and (yield from self._is_answered()):
                    raise TransportRefused(f"other calls are answered, and this is not: {exc.detail}") from exc
                yield Notice("disconnected", exc.detail, self.transport, self._failures)
                yield Pause(self._limits.pause_s(self._failures, asked_s=exc.retry_after_s))

    def _is_answered(self) -> Generator[Step, Reply, bool]:
        """Ask whether the server is there at all."""
        request = Exchange(Poller(self.job_id, self._limits).request(), self._limits.connect_s, self._limits.status_s)
        try:
            answer = yield from answered(request)
        except ConnectionFailed:
            return False
        return answer.status < 500

    def _sse(self) -> EventFlow:
        """Read one connection; return when the job ended, or to be called again at once."""
        probing = self._is_probing
        headers = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}
        if self._cursor is not None:
            headers["last-event-id"] = self._cursor
        request = Request("GET", f"{calls.job_path(self.job_id)}/events", headers=headers)
        read_s = self._limits.first_event_s if probing else self._limits.silence_s
        seen = 0
        try:
            head = yield from answered(OpenStream(request, self._limits.connect_s, read_s))
            if head.status == 204:
                self._ended = True
                return
            if head.status != 200 or head.media_type != "text/event-stream":
                raise _refusal(head)
            parser, opened_at = SSEParser(), time.monotonic()
            while chunk := (yield ReadChunk()):
                self._breathed(opened_at)
                for frame in parser.feed(cast("bytes", chunk)):
                    for event in self._accept(frame.data, fallback_id=frame.id):
                        seen += 1
                        yield from self._welcome(seen)
                        yield event
                        if event.is_terminal and not self._is_replay:
                            return
        except AnswerTimedOut as exc:
            if self._ended:
                return
            if probing and not seen:
                raise TransportRefused(f"no event within {read_s:g} s: something buffers the stream") from exc
            if probing:
                # The stream works and is merely quiet: open it once more, this time with the patience of a heartbeat.
                yield CloseChannel()
                return
            raise
        self._need_end("the stream ended before the job did")

    def _socket(self) -> EventFlow:
        probing = self._is_probing
        params = (("after", self._cursor),) if self._cursor is not None else ()
        head = yield from answered(
            OpenSocket(Request("GET", calls.socket_path(self.job_id), params), self._limits.connect_s)
        )
        if head.status != 101:
            raise _refusal(head)
        seen, pinged, opened_at = 0, False, time.monotonic()
        while True:
            is_first = probing and not seen
            wait_s = self._limits.first_event_s if is_first else self._limits.silence_s
            try:
                frame = yield ReadFrame(wait_s)
            except AnswerTimedOut as exc:
                if self._ended:
                    return
                if is_first:
                    raise TransportRefused(f"no event within {wait_s:g} s over the WebSocket") from exc
                if pinged:
                    raise
                pinged = True
                yield SendFrame(_PING)
                continue
            pinged = False
            if isinstance(frame, int):
                break
            self._breathed(opened_at)
            for event in self._accept(str(frame)):
                seen += 1
                yield from self._welcome(seen)
                yield event
                if event.is_terminal and not self._is_replay:
                    return
        if frame == 1008:
            raise NotAuthenticated("the server closed the WebSocket: it does not accept this key")
        self._need_end(f"the server closed the WebSocket with code {frame} before the job ended")

    def _poll(self) -> EventFlow:
        """Make events of a record that is read again whenever it has changed."""
        poller = self._poller
        answer = yield from answered(
            Exchange(poller.request(), self._limits.connect_s, poller.wait_s + self._limits.status_s)
        )
        calls.checked(answer)
        yield from self._welcome(1)
        for event in poller.events(answer, is_first_sight=self._cursor is None):
            if event.type == "state" and (event.state, event.attempt) == self._last_state:
                continue
            self._ended = event.is_terminal
            yield event
        if not self._ended:
            yield Pause(poller.pause_s())

    @property
    def _is_probing(self) -> bool:
        # A resumed stream may rightly say nothing until its first heartbeat.
        return self._may_change and not self._is_proven and self._cursor is None

    @property
    def _may_change(self) -> bool:
        return bool(self._left)

    def _welcome(self, seen: int) -> Generator[Notice, Reply, None]:
        if seen == 1 and (not self._is_proven or self._failures):
            yield Notice("reconnected" if self._failures else "connected", transport=self.transport)
        self._is_proven, self._failures = True, 0
        self._mode.note(self.transport)

    def _breathed(self, opened_at: float) -> None:
        # A proxy may cut every stream after a minute. If heartbeats came until then, that is no failure to count.
        if time.monotonic() - opened_at > self._limits.backoff_s and self._failures:
            self._failures = 0

    def _accept(self, text: str, *, fallback_id: str | None = None) -> list[Event]:
        """Read one frame; leave out what is no event and what was seen before."""
        payload = _object(text)
        if payload is None or not isinstance(payload.get("data"), dict):
            return []
        payload.setdefault("id", fallback_id)
        try:
            event = Event.model_validate(payload)
        except ValidationError:
            return []
        if event.type == "snapshot":
            self._ended = event.state in TERMINAL
        elif self._is_repeat(event):
            return []
        elif event.type == "state":
            self._ended = event.is_terminal
        self._cursor = event.id or self._cursor
        self._last_state = (event.state, event.attempt) if event.state else self._last_state
        return [event]

    def _is_repeat(self, event: Event) -> bool:
        # After the snapshot of an ended job comes its terminal event, which is older than that snapshot.
        if event.is_terminal and self._ended:
            return False
        epoch, _, seq = (event.id or "").rpartition("-")
        last_epoch, _, last_seq = (self._cursor or "").rpartition("-")
        if not epoch or epoch != last_epoch or not (seq.isdigit() and last_seq.isdigit()):
            return False
        return int(seq) <= int(last_seq)

    def _need_end(self, complaint: str) -> None:
        if not self._ended:
            raise ConnectionFailed(complaint)


def _refusal(head: Answer) -> SwitchyardError:
    """Tell the server's own word from that of something in between."""
    error = error_from(head.status, head.headers, head.body)
    speaks_for_itself = head.media_type == "application/problem+json"
    if isinstance(error, Unavailable) or (speaks_for_itself and not isinstance(error, NotSupported)):
        return error
    return TransportRefused(f"expected an event stream, got {head.status} {head.media_type or 'without a media type'}")


def _object(text: str) -> dict[str, Any] | None:
    try:
        payload = json.loads(text)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None

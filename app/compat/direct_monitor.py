"""The earlier hub's monitor socket, ``/ws/monitor/{id}``: it looks and asks, and changes nothing."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Response, g

from app.compat.aliases import tenant_by
from app.compat.direct_monitor_words import (
    EVERYTHING,
    HISTORY,
    DirectResync,
    DirectSubscription,
    messages_of,
    snapshot_of,
    stats_of,
    wanted_by,
)
from app.compat.direct_telling import Telling
from app.compat.direct_vocabulary import CHANGES, refusal_of
from app.compat.direct_words import reason_of, stamped
from app.inputs import read_object, validate_body
from app.monitor.feed import Told
from app.services import Services
from app.streams.conversation import RESTARTING, UpgradeRequired, hold, refuse, require_socket
from app.streams.feed import Bell
from app.streams.services import StreamServices
from tasks.core.clock import rfc3339
from tasks.core.errors import InputRejected, LedgerUnavailable, NotAuthenticated

Answer = dict[str, Any]

_LONGEST_MESSAGE_BYTES = 65_536


def monitor_blueprint(at: Services, streams: StreamServices) -> Blueprint:
    """Return the monitor socket."""
    blueprint = Blueprint("direct_monitor", __name__)

    # Werkzeug routes upgrades and plain requests apart.
    @blueprint.get("/ws/monitor/<any_id:monitor_id>")
    def refuse_plain_monitor(monitor_id: str) -> Response:  # noqa: ARG001  # part of the route
        """Tell a monitor that came in plain HTTP."""
        raise UpgradeRequired

    @blueprint.get("/ws/monitor/<any_id:monitor_id>", websocket=True)
    def talk_with_monitor(monitor_id: str) -> Response:
        """Talk with a monitor."""
        require_socket()
        try:
            _sign_in(at)
        except NotAuthenticated as exc:
            return refuse(exc.message)
        if at.is_draining:
            return refuse("This server is restarting.", code=RESTARTING)
        try:
            monitor = _Monitor(at, monitor_id)
        except LedgerUnavailable as exc:
            return refuse(exc.message, code=RESTARTING)
        try:
            with streams.counted("monitor"):
                heartbeat_s = at.settings.heartbeat_s
                return hold(monitor, heartbeat_s=heartbeat_s, longest_message_bytes=_LONGEST_MESSAGE_BYTES)
        finally:
            monitor.close()

    return blueprint


def _sign_in(at: Services) -> None:
    g.tenant = tenant_by(at, header="X-API-Key", parameter="token")


class _Monitor:
    """One connection. Until it subscribes it is told what it asks for, and nothing else."""

    def __init__(self, at: Services, monitor_id: str) -> None:
        self._at = at
        self._monitor_id = monitor_id
        self.bell = Bell()
        self._viewer = at.monitor.view(wanted_by(at, g.tenant, EVERYTHING), bell=self.bell)
        self._viewer.skip()
        self._telling = Telling(self._viewer, ())
        self._spoken_at = time.monotonic()
        self._handlers: dict[str, Callable[[Answer], list[Answer]]] = {
            "monitor_connect": self._connect,
            "subscribe": self._subscribe,
            "heartbeat": lambda _: [{"type": "heartbeat_ack"}],
            "resync_request": self._resync,
            "request_stats": lambda _: [{"type": "response_stats", "data": stats_of(self._viewer)}],
            "ping": lambda _: [{"type": "pong"}],
            "ack": lambda _: [],
        }

    @property
    def is_over(self) -> bool:
        """Whether this process drains."""
        return self._at.is_draining

    def close(self) -> None:
        """Stop watching."""
        self._viewer.close()

    def opening(self) -> Iterable[str]:
        """Confirm the connection."""
        yield self._text({"type": "connected", "monitor_id": self._monitor_id})

    def answers(self, message: str | bytes) -> Iterable[str]:
        """Tell what the monitor asks for, as long as its key is good."""
        _sign_in(self._at)
        said: Answer = {}
        try:
            said = read_object(message.encode() if isinstance(message, str) else message)
            answers = self._handler_of(said)(said)
        except (InputRejected, LedgerUnavailable) as exc:
            answers = [{"type": "error", "error": reason_of(exc), "code": exc.code}]
        message_id = said.get("message_id", said.get("id"))
        for answer in answers:
            yield self._text(answer if message_id is None else answer | {"message_id": message_id})

    def news(self) -> Iterable[str]:
        """Tell what goes on, as far as it has subscribed to it."""
        if not self._telling.topics:
            self._viewer.skip()
            return
        for _, message in self._telling.take():
            yield self._text(message)
        silence_s = time.monotonic() - self._spoken_at
        if "heartbeat" in self._telling.topics and silence_s >= self._at.settings.heartbeat_s:
            yield self._text({"type": "heartbeat"})

    def idle(self) -> None:
        """See to it that somebody reads."""
        self._at.monitor.keep_running()

    def _handler_of(self, said: Answer) -> Callable[[Answer], list[Answer]]:
        type_ = said.get("type")
        handler = self._handlers.get(type_) if isinstance(type_, str) else None
        if handler is not None:
            return handler
        if type_ in CHANGES:
            raise InputRejected(
                f"{type_} changes something, and monitors only look: say it at /ws/client/{{id}}.",
                field="type",
                code="message_refused",
            )
        raise refusal_of(type_)

    def _connect(self, said: Answer) -> list[Answer]:
        asked = _body(said)
        topics = asked.get("topics")
        answers = self._subscribe({"topics": topics, "filters": asked.get("filters") or {}}) if topics else []
        if asked.get("request_full_state") is True:
            answers.append(self._full_state())
        return answers or [{"type": "ack"}]

    def _subscribe(self, said: Answer) -> list[Answer]:
        asked = _body(said)
        asked = {name: asked[name] for name in ("topics", "filters") if asked.get(name) is not None}
        wish = validate_body(DirectSubscription, asked)
        if not self._telling.topics:
            self._viewer.skip()
        self._viewer.turn_to(wanted_by(self._at, g.tenant, wish.topics or EVERYTHING, wish.filters))
        self._telling.turn_to(frozenset(wish.topics))
        return [{"type": "subscribed", "topics": wish.topics}]

    def _full_state(self) -> Answer:
        return snapshot_of(self._viewer, self._viewer.snapshot("asked"))

    def _resync(self, said: Answer) -> list[Answer]:
        asked = _body(said)
        since = asked.get("since_timestamp", asked.get("since"))
        most = asked.get("max_events", asked.get("max", HISTORY))
        wish = validate_body(DirectResync, {"since": since, "most": most})
        if not self._telling.topics:
            self._viewer.skip()
        told, oldest = self._at.monitor.feed.told_since(wish.since)
        events = [message for one in told if self._wants(one) for message in self._words_of(one)]
        response = {
            "type": "resync_response",
            "events": events[: wish.most],
            "has_more": len(events) > wish.most,
            "oldest_available_timestamp": rfc3339(oldest),
            "is_complete": wish.since >= oldest,
        }
        # What is not there any more cannot be told again; how everything stands now can.
        return [response] if wish.since >= oldest else [response, self._full_state()]

    def _wants(self, told: Told) -> bool:
        # What comes after its place comes by itself.
        return told.seq <= self._viewer.cursor.seq and self._viewer.wanted.matches(told.found)

    def _words_of(self, told: Told) -> list[Answer]:
        return messages_of(told, self._telling.topics or EVERYTHING)

    def _text(self, message: Answer) -> str:
        self._spoken_at = time.monotonic()
        return json.dumps(stamped(message), ensure_ascii=False)


def _body(said: Answer) -> Answer:
    nested = said.get("data")
    return nested if isinstance(nested, dict) else said

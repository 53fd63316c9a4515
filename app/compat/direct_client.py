"""The earlier hub's client sockets, ``/`` and ``/ws/client/{id}``: submit, watch, ask and cancel on one connection."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, abort, g

from app.auth import tenant_id
from app.compat.aliases import tenant_by
from app.compat.direct_monitor_words import Figures, stats_of, wanted_by
from app.compat.direct_vocabulary import refusal_of
from app.compat.direct_words import accept_theirs, job_of, progress_of, reason_of, stamped, word_of
from app.inputs import read_object
from app.monitor.viewer import MonitorViewer
from app.record import record_of
from app.relaying import MUCH_BYTES, MuchWork
from app.services import Services
from app.streams.conversation import RESTARTING, UpgradeRequired, hold, refuse, require_socket
from app.streams.feed import Bell
from app.streams.services import StreamServices
from app.streams.subscription import Draining, End, Subscription
from tasks.core.errors import (
    Conflict,
    InputRejected,
    LedgerUnavailable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooLarge,
)
from tasks.core.ids import is_id
from tasks.core.ledger import queries
from tasks.core.records import Job, JobState
from tasks.dispatch import cancel, retry

Answer = dict[str, Any]

# Jobs that one socket may watch at a time.
_MOST_WATCHED = 100
# What stands around a submission that is not nested in `data`.
_ENVELOPE = frozenset({"type", "id", "message_id", "timestamp", "token"})
_TOLD = (InputRejected, NotFound, Conflict, NotAllowed, TooLarge, LedgerUnavailable)


def _sign_in(at: Services) -> None:
    g.tenant = tenant_by(at, header="X-API-Key", parameter="token")


def client_blueprint(at: Services, streams: StreamServices) -> Blueprint:
    """Return the client sockets."""
    blueprint = Blueprint("direct_client", __name__)

    def talk(client_id: str) -> Response:
        require_socket()
        try:
            _sign_in(at)
        except NotAuthenticated as exc:
            return refuse(exc.message)
        if at.is_draining:
            return refuse("This server is restarting.", code=RESTARTING)
        client = _Client(at, streams, client_id)
        try:
            with streams.counted("websocket"):
                heartbeat_s = streams.kernel.settings.heartbeat_s
                return hold(client, heartbeat_s=heartbeat_s, longest_message_bytes=MUCH_BYTES)
        finally:
            client.close()

    # Werkzeug routes upgrades and plain requests apart; to the latter, nothing is served at the root.
    @blueprint.get("/")
    def refuse_plain_root() -> Response:
        """Serve nothing."""
        abort(404)

    @blueprint.get("/", websocket=True)
    def talk_at_root() -> Response:
        """Talk with a client that has no name."""
        return talk("client")

    @blueprint.get("/ws/client/<any_id:client_id>")
    def refuse_plain_client(client_id: str) -> Response:  # noqa: ARG001  # part of the route
        """Tell a client that came in plain HTTP."""
        raise UpgradeRequired

    @blueprint.get("/ws/client/<any_id:client_id>", websocket=True)
    def talk_with_client(client_id: str) -> Response:
        """Talk with a client."""
        return talk(client_id)

    return blueprint


class _Client:
    """One connection: what it asks is done by the calls that everybody else uses, what it watches by subscriptions."""

    def __init__(self, at: Services, streams: StreamServices, client_id: str) -> None:
        self._at = at
        self._streams = streams
        self._client_id = client_id
        self._watched: dict[str, Subscription] = {}
        self._viewer: MonitorViewer | None = None
        self._figures: Figures | None = None
        self.bell = Bell()
        self._handlers: dict[str, Callable[[dict[str, Any]], Answer | None]] = {
            "submit_job": self._submit,
            "subscribe_progress": lambda said: self._subscribe(said, "subscribed"),
            "subscribe_job": lambda said: self._subscribe(said, "job_notifications_subscribed"),
            "unsubscribe_progress": self._unsubscribe,
            "get_job_status": lambda said: self._status(said, "job_status"),
            "request_job_status": lambda said: self._status(said, "response_job_status"),
            "sync_job_state": lambda said: self._status(said, "job_status"),
            "cancel_job": self._cancel,
            "force_retry_job": self._retry,
            "request_stats": lambda _: {"type": "response_stats", "data": stats_of(self._figures_viewer())},
            "subscribe_stats": self._subscribe_stats,
            "ping": lambda _: {"type": "pong"},
            "ack": lambda _: None,
        }

    @property
    def is_over(self) -> bool:
        """Whether this process drains."""
        return self._at.is_draining

    def close(self) -> None:
        """Stop watching."""
        for subscription in self._watched.values():
            subscription.close()
        self._watched.clear()
        if self._viewer is not None:
            self._viewer.close()

    def opening(self) -> Iterable[str]:
        """Confirm the connection."""
        yield _text({"type": "connected", "client_id": self._client_id})

    def answers(self, message: str | bytes) -> Iterable[str]:
        """Do what the client asks, as long as its key is good."""
        _sign_in(self._at)
        said: dict[str, Any] = {}
        try:
            said = read_object(message.encode() if isinstance(message, str) else message)
            answer = self._handler_of(said)(said)
        except MuchWork:
            answer = _error("This job names too much to be submitted over a socket: use POST /api/jobs.", "too_large")
        except _TOLD as exc:
            answer = _error(reason_of(exc), exc.code)
        if answer is not None:
            message_id = said.get("message_id", said.get("id"))
            yield _text(answer if message_id is None else answer | {"message_id": message_id})

    def news(self) -> Iterable[str]:
        """Tell what became of the watched jobs."""
        for job_id, subscription in list(self._watched.items()):
            yield from self._told(subscription)
            if subscription.end is End.INTERRUPTED and not self.is_over:
                raise LedgerUnavailable("The ledger is away.")
            if subscription.end is not None:
                del self._watched[job_id]
                subscription.close()
        if self._viewer is not None and self._figures is not None:
            if self._viewer.pass_over():
                self._figures.changed()
            if self._figures.are_due():
                yield _text({"type": "stats_broadcast", "data": stats_of(self._viewer)})

    def idle(self) -> None:
        """See to it that somebody reads what is watched."""
        if self._viewer is not None:
            self._at.monitor.keep_running()
        for subscription in self._watched.values():
            subscription.keep_running()

    def _told(self, subscription: Subscription) -> Iterator[str]:
        for frame in subscription.take():
            message = progress_of(frame)
            if message is not None:
                yield _text(message)

    def _handler_of(self, said: dict[str, Any]) -> Callable[[dict[str, Any]], Answer | None]:
        type_ = said.get("type")
        handler = self._handlers.get(type_) if isinstance(type_, str) else None
        if handler is None:
            raise refusal_of(type_)
        return handler

    def _submit(self, said: dict[str, Any]) -> Answer:
        nested = said.get("data")
        body = nested if isinstance(nested, dict) else {k: v for k, v in said.items() if k not in _ENVELOPE}
        return {"type": "job_submitted", "success": True, "job_id": accept_theirs(self._at, body).id}

    def _subscribe(self, said: dict[str, Any], reply: str) -> Answer:
        job = self._job(said)
        if job.id not in self._watched:
            if len(self._watched) >= _MOST_WATCHED:
                raise InputRejected(f"A socket watches {_MOST_WATCHED} jobs at most: unsubscribe from some.")
            try:
                subscription = self._streams.subscribe(job, after=None, bell=self.bell)
            except Draining as exc:
                raise Conflict("This server is restarting: connect again.") from exc
            if subscription is not None:
                self._watched[job.id] = subscription
        return {"type": reply, "job_id": job.id}

    def _unsubscribe(self, said: dict[str, Any]) -> Answer:
        job_id = _job_id(said)
        subscription = self._watched.pop(job_id, None)
        if subscription is not None:
            subscription.close()
        return {"type": "unsubscribed", "job_id": job_id}

    def _status(self, said: dict[str, Any], reply: str) -> Answer:
        job = job_of(record_of(self._at, self._job(said)))
        flat = {name: job[name] for name in ("status", "progress", "worker_id")}
        return {"type": reply, "job_id": job["id"], "job": job, **flat}

    def _cancel(self, said: dict[str, Any]) -> Answer:
        job = cancel(self._at.kernel, self._job(said).id, tenant_id=tenant_id())
        is_now = job.state is JobState.CANCELLED
        status = word_of(job.state, cause=job.cause)
        return {"type": "job_cancelled", "job_id": job.id, "status": status, "is_stopping": not is_now}

    def _retry(self, said: dict[str, Any]) -> Answer:
        job = retry(self._at.kernel, self._at.carrier, self._job(said).id, tenant_id=tenant_id())
        return {"type": "job_status", "job_id": job.id, "job": job_of(record_of(self._at, job))}

    def _figures_viewer(self) -> MonitorViewer:
        if self._viewer is None:
            wanted = wanted_by(self._at, g.tenant, {"jobs", "system_stats"})
            self._viewer = self._at.monitor.view(wanted, bell=self.bell)
            self._viewer.skip()
        return self._viewer

    def _subscribe_stats(self, _: dict[str, Any]) -> Answer:
        self._figures_viewer()
        self._figures = Figures()
        return {"type": "subscription_confirmed", "subscription": "stats"}

    def _job(self, said: dict[str, Any]) -> Job:
        job_id = _job_id(said)
        job = queries.job(self._at.kernel.ledger, job_id, tenant_id=tenant_id()) if is_id(job_id) else None
        if job is None:
            raise NotFound("Job not found")
        return job


def _job_id(said: dict[str, Any]) -> str:
    nested = said.get("data")
    job_id = said.get("job_id", nested.get("job_id") if isinstance(nested, dict) else None)
    if not isinstance(job_id, str):
        raise InputRejected("job_id: required: name a job.", field="job_id")
    return job_id


def _error(reason: str, code: str) -> Answer:
    return {"type": "error", "error": reason, "code": code}


def _text(message: Answer) -> str:
    return json.dumps(stamped(message), ensure_ascii=False)

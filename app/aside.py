"""A process beside this one that answers what is a lot of work, with the same application.

Working through hundreds of thousands of rows holds the interpreter for seconds, a tenth of a second at a time and more,
and with it every other request of its process. See docs/decisions/0028-large-requests-aside.md.
"""

import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from tasks.core.errors import AppError
from tasks.core.log import configure_logging
from tasks.core.settings import Settings

if TYPE_CHECKING:
    from app.openapi import API

# How long the process stays for the next large request: the first one waits for it to start, a second or two.
_IDLE_S = 60.0
_START_S = 60.0
# Ten times what the largest body takes; a process that needs longer is stuck.
_ANSWER_S = 120.0


class AsideFailed(AppError):
    """The process for large requests died or was stuck; whether it did what was asked is not known."""

    code = "aside_failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the texts of its WSGI environment, and its body."""

    environ: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """What to answer; ``accepted`` and ``replayed`` count jobs by kind."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    accepted: Mapping[str, int]
    replayed: Mapping[str, int]


class Aside:
    """Owns that process: started by the first request, ended when there was none for a while. One at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def answer(self, asked: Asked) -> Answered:
        """Have a request answered; others wait for their turn.

        Raises:
            AsideFailed: the process died or took too long.
        """
        with self._lock:
            try:
                connection = self._ready()
                connection.send(asked)
                if connection.poll(_ANSWER_S):
                    answered: Answered = connection.recv()
                    return answered
            except (EOFError, OSError) as exc:
                self._stop()
                raise AsideFailed(_FAILED) from exc
            self._stop()
            raise AsideFailed(_FAILED)

    def close(self) -> None:
        """End the process; whoever waits for its answer gets an error."""
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._stop()

    def _ready(self) -> Connection:
        """Return the connection of a process that listens; what was idle for long may just have left."""
        if self._connection is not None:
            with suppress(EOFError, OSError):
                return _greeted(self._connection)
            self._stop()
        ours, theirs = get_context("spawn").Pipe()
        self._connection = ours
        self._process = get_context("spawn").Process(
            target=serve, args=(theirs, self._settings), name="switchyard-aside", daemon=True
        )
        self._process.start()
        theirs.close()
        return _greeted(ours)

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._connection = self._process = None


_FAILED = "The process for large requests ended: send the request again, with an Idempotency-Key if it makes a job."


def _greeted(connection: Connection) -> Connection:
    connection.send(None)
    if not connection.poll(_START_S):
        raise EOFError
    connection.recv()
    return connection


def serve(connection: Connection, settings: Settings) -> None:
    """Answer requests until the other side is gone, or silent for a while."""
    from app.factory import create_app  # noqa: PLC0415  # it imports this module
    from app.services import services_of  # noqa: PLC0415  # it imports this module

    # Ctrl-C reaches the whole group; this process leaves with the one that it belongs to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(settings)
    app = create_app(settings, is_aside=True)
    try:
        with suppress(EOFError, OSError):
            while connection.poll(_IDLE_S):
                asked: Asked | None = connection.recv()
                connection.send(None if asked is None else _answered(app, asked))
    finally:
        services_of(app).close()


def _answered(app: "API", asked: Asked) -> Answered:
    from app.services import services_of  # noqa: PLC0415  # it imports this module

    metrics = services_of(app).metrics
    before = metrics.submissions()
    length = {"CONTENT_LENGTH": str(len(asked.body)), "wsgi.input": BytesIO(asked.body), "wsgi.url_scheme": "http"}
    response = Response.from_app(app, {**asked.environ, **length}, buffered=True)
    accepted, replayed = (
        {kind: count - was.get(kind, 0) for kind, count in now.items()}
        for was, now in zip(before, metrics.submissions(), strict=True)
    )
    return Answered(response.status_code, tuple(response.headers.items()), response.get_data(), accepted, replayed)

"""Serves the application with gunicorn: one process, many threads, no file beside it."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from app.auth import ensure_key
from app.draining import DrainCall, DrainingArbiter
from app.factory import create_app
from app.openapi import API
from app.services import Services, services_of
from tasks.core.heap_trimming import keep_trimmed
from tasks.core.kernel import open_kernel
from tasks.core.log import configure_logging
from tasks.core.settings import Settings

log = structlog.get_logger()

# Requests that run when the process is told to stop; streams and long polls end by themselves at once.
_GRACE_S = 10
# Connections that gunicorn holds open between requests, beyond those that a thread is serving.
_IDLE_CONNECTIONS = 1000


class RoutedLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's own messages go where ours go; it writes no access log, which would show `?token=`."""

    def setup(self, cfg: Any) -> None:
        """Drop gunicorn's handlers."""
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.access_log.disabled = True


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn, configured by the settings alone."""

    def __init__(self, settings: Settings, *, workers: int = 1) -> None:
        self._settings = settings
        self._workers = workers
        self._call = DrainCall()
        super().__init__()

    def load_config(self) -> None:
        """Hand the settings to gunicorn."""
        options = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._workers,
            "worker_class": "gthread",
            "threads": self._settings.web_threads,
            "worker_connections": self._settings.web_threads + _IDLE_CONNECTIONS,
            "keepalive": 30,
            "graceful_timeout": _GRACE_S,
            "timeout": 60,
            "control_socket_disable": True,
            "logger_class": RoutedLogger,
            "accesslog": None,
            "post_fork": self._listen,
            "post_worker_init": self._drain_when_told,
            "worker_exit": _close,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> API:
        """Build the application in the process that serves it."""
        return create_app(self._settings)

    def run(self) -> None:
        """Serve; does not return."""
        DrainingArbiter(self, self._call, drain_s=self._settings.drain_s).run()

    def _listen(self, _server: Any, _worker: Any) -> None:
        self._call.listen()

    def _drain_when_told(self, worker: Any) -> None:
        keep_trimmed()
        services = services_of(worker.wsgi)

        def drain() -> None:
            # Gunicorn then ends each connection with its next answer, and none before.
            worker.max_keepalived = 0
            services.drain()

        self._call.answer_with(drain)
        # A terminal sends Ctrl-C to every process; the main one decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _drain_on_signal(services)


def serve(settings: Settings, *, workers: int = 1) -> None:
    """Serve until told to stop; does not return.

    Raises:
        ConfigurationRefused: the ledger does not fit, or nobody could sign in.
        LedgerUnavailable: the ledger cannot be reached.
    """
    configure_logging(settings)
    _check(settings)
    Server(settings, workers=workers).run()


def _check(settings: Settings) -> None:
    # The connections are closed before gunicorn forks: a child must not share them.
    kernel = open_kernel(settings)
    try:
        key = ensure_key(settings, kernel.ledger)
    finally:
        kernel.close()
    print(f"switchyard serves http://{settings.host}:{settings.port}  (pages: /docs)", flush=True)
    if key is not None:
        print(f"development key: {key}", flush=True)


def _drain_on_signal(services: Services) -> None:
    """Let requests go when gunicorn tells this process to stop, for a reload say, where no call was made."""
    before: Callable[[int, FrameType | None], Any] = signal.getsignal(signal.SIGTERM)  # type: ignore[assignment]  # gunicorn has set it

    def drain(signum: int, frame: FrameType | None) -> None:
        services.drain()
        before(signum, frame)

    signal.signal(signal.SIGTERM, drain)


def _close(_server: Any, worker: Any) -> None:
    app = getattr(worker, "wsgi", None)
    if app is not None:
        services_of(app).close()

"""A small front door around the streams, and the hands that move jobs behind it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from flask import request
from flask_openapi3.openapi import OpenAPI
from werkzeug.serving import make_server

from app.routes import add_converters
from app.streams.hub import Hub
from app.streams.routes import register_streams
from app.streams.services import StreamServices
from app.streams.subscription import Subscription
from app.streams.tokens import StreamTokens
from tasks import submission
from tasks.core.errors import AppError, InputRejected, LedgerUnavailable, NotAuthenticated, NotFound
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import accepting, queries, replaying, tenants, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tasks.core.relay import announce
from tasks.core.settings import load_settings
from tasks.maintenance.contract import SPECS

KEY = "sy_alice"
OTHER_KEY = "sy_bob"
TOKEN_KEY = "a key of more than thirty-two characters"
_STATUS = ((InputRejected, 422), (NotAuthenticated, 401), (NotFound, 404), (LedgerUnavailable, 503))


def record_of(job: Job) -> dict[str, Any]:
    return {"id": job.id, "state": job.state, "version": job.version, "result": job.result}


class House:
    """A kernel, a hub, and jobs that the test moves by hand."""

    def __init__(self, kernel: Kernel, **hub_options: Any) -> None:
        self.kernel = kernel
        self.hub = Hub(kernel, **hub_options)
        self.tenant = _tenant(kernel, "alice", KEY)
        self.tokens = StreamTokens(TOKEN_KEY, ttl_s=60)
        self.open_streams: Counter[str] = Counter()
        self.services = StreamServices(kernel, self.hub, self.tokens, self._tenant_of_request, record_of, self._counted)

    @contextmanager
    def _counted(self, transport: str) -> Iterator[None]:
        self.open_streams[transport] += 1
        try:
            yield
        finally:
            self.open_streams[transport] -= 1

    def _tenant_of_request(self) -> Tenant:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        tenant = tenants.tenant_of(self.kernel.ledger, key)
        if tenant is None:
            raise NotAuthenticated("Send a key.")
        return tenant

    def app(self) -> OpenAPI:
        app = OpenAPI("house")
        add_converters(app.url_map)
        app.register_error_handler(AppError, _problem)
        register_streams(app, self.services)
        return app

    def accept(self, *, announced: bool = True) -> Job:
        job = accepting.accept(self.kernel.ledger, new_job(self.tenant.id)).job
        return self._announced(job) if announced else job

    def claim(self, job: Job, *, announced: bool = True) -> Job:
        claimed = transitions.claim(self.kernel.ledger, job.id, carry=job.carry, worker="w", child_pid=1)
        assert claimed is not None
        return self._announced(claimed) if announced else claimed

    def running(self) -> Job:
        return self.claim(self.accept())

    def finish(self, job: Job, *, announced: bool = True) -> Job:
        ended = transitions.finish(
            self.kernel.ledger,
            job.id,
            fence=job.fence,
            state=JobState.SUCCEEDED,
            cause=Cause.COMPLETED,
            result={"answer": 42},
        )
        assert ended is not None
        return self._announced(ended) if announced else ended

    def fail(self, job: Job, *, announced: bool = True) -> Job:
        ended = transitions.finish(
            self.kernel.ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="permanent"
        )
        assert ended is not None
        return self._announced(ended) if announced else ended

    def replay(self, job: Job, *, announced: bool = True) -> Job:
        back = replaying.replay(self.kernel.ledger, job.id, tenant_id=job.tenant_id)
        return self._announced(back) if announced else back

    def report(self, job: Job, percent: int) -> str:
        entry_id = self.kernel.events.append(
            job.id, "progress", {"percent": percent}, fence=job.fence, attempt=job.attempt
        )
        assert entry_id is not None
        return entry_id

    def _announced(self, job: Job) -> Job:
        announce(self.kernel.ledger, self.kernel.events, job)
        return job

    def view(self, job: Job, after: str | None = None) -> "View | None":
        from app.streams.cursor import parse_cursor

        fresh = queries.job(self.kernel.ledger, job.id)
        assert fresh is not None
        subscription = self.services.subscribe(fresh, after=parse_cursor(after, field="after"))
        return None if subscription is None else View(subscription)

    def watch(self, job: Job, after: str | None = None) -> "View":
        view = self.view(job, after)
        assert view is not None
        return view

    def close(self) -> None:
        self.hub.close()
        self.kernel.close()


class View:
    """A subscription, read one event at a time."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._waiting: list[dict[str, Any]] = []

    def next(self, timeout_s: float = 5.0) -> dict[str, Any]:
        if not self._waiting:
            self._waiting = [json.loads(frame.text) for frame in self.subscription.frames(timeout_s)]
        assert self._waiting, "no event came in time"
        return self._waiting.pop(0)

    def rest(self) -> list[dict[str, Any]]:
        found = self._waiting
        while frames := self.subscription.frames(5):
            found += [json.loads(frame.text) for frame in frames]
        assert self.subscription.end is not None, "the stream did not end"
        return found

    def close(self) -> None:
        self.subscription.close()


def new_job(tenant_id: str) -> Job:
    return submission.new_job(SPECS[0], submission.Submission(tenant_id=tenant_id, request={}))


def _tenant(kernel: Kernel, name: str, key: str) -> Tenant:
    if tenants.tenant_of(kernel.ledger, key) is None:
        tenants.create_key(kernel.ledger, tenant=name, name="test", key=key)
    tenant = tenants.tenant_of(kernel.ledger, key)
    assert tenant is not None
    return tenant


def add_other_tenant(kernel: Kernel) -> Tenant:
    return _tenant(kernel, "bob", OTHER_KEY)


def _problem(exc: AppError) -> tuple[dict[str, Any], int]:
    status = next(status for class_, status in _STATUS if isinstance(exc, class_))
    return {"code": exc.code, "detail": exc.message, "field": exc.field}, status


def create_app() -> OpenAPI:
    """The front door as gunicorn loads it: settings from the environment, a tenant that is there already."""
    kernel = open_kernel(load_settings())
    return House(kernel).app()


@contextmanager
def served(app: OpenAPI) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class EventSource:
    """What a browser's EventSource does, one event at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self.comments: list[str] = []
        self.retry_ms: int | None = None

    def next(self) -> dict[str, Any] | None:
        """Return ``{id, event, data}``; None when the stream has ended."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return {"id": fields["id"], "event": fields["event"], "data": json.loads(fields["data"])}
            elif "retry" in fields:
                self.retry_ms = int(fields["retry"])
        return None

    def until_comment(self) -> None:
        for line in self._lines:
            if line.startswith(":"):
                self.comments.append(line)
                return


@contextmanager
def event_source(url: str, **kwargs: Any) -> Iterator[EventSource]:
    headers = {"Authorization": f"Bearer {KEY}"} | kwargs.pop("headers", {})
    with httpx.Client(timeout=20) as client, client.stream("GET", url, headers=headers, **kwargs) as response:
        yield EventSource(response)


def eventually(is_met: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_met():
            return True
        time.sleep(0.01)
    return is_met()

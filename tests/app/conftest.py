"""The front door on a temporary ledger, called in this process: no server, no broker."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import create_app
from app.openapi import API
from app.services import Services, services_of
from tasks.core.clock import now
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import fleet, queries, tenants, transitions
from tasks.core.ledger.fleet import Worker
from tasks.core.matching import Offers
from tasks.core.outbox_relay import OutboxRelay
from tasks.core.records import Job, JobState
from tasks.core.settings import Settings
from tasks.core.tenant_streams import TenantStreams
from tests.app.streams.house import served
from tests.servers import RedisServer

if TYPE_CHECKING:
    from tests.app.desk import Desk

PING = "/api/jobs/maintenance.ping"
WORKER = "maintenance@host#boot"


class ClosedCarrier:
    """Carries nothing, so that every job waits in the ledger."""

    is_open = False

    def offer(self, job: Job) -> None:
        """Refuse."""
        raise AssertionError(f"a closed carrier was offered {job.id}")

    def soon(self, act: Callable[[], None]) -> None:
        """Leave it out: nobody listens."""

    def close(self) -> None:
        """Hold nothing to close."""


@dataclass
class Caller:
    """One tenant's client."""

    client: FlaskClient
    tenant_id: str
    key: str

    def open(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send a request with this tenant's key."""
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, buffered=True, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        """Send a GET."""
        return self.open("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        """Send a POST."""
        return self.open("POST", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        """Send a DELETE."""
        return self.open("DELETE", path, **options)

    def submit(self, **body: Any) -> dict[str, Any]:
        """Submit a ping and return its record."""
        response = self.post(PING, json={"params": {"message": "hi"}} | body)
        assert response.status_code == 202, response.text
        record: dict[str, Any] = response.json
        return record


@pytest.fixture
def kernel(settings: Settings) -> Iterator[Kernel]:
    """A kernel on an empty SQLite ledger, without a Redis."""
    opened = open_kernel(settings)
    yield opened
    opened.close()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> str:
    """The URL of a private, empty redis-server."""
    redis_process.restore()
    return redis_process.url


@pytest.fixture
def make_app(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., API]]:
    """A factory of applications, each closed at the test's end."""
    made: list[API] = []

    def make(**values: object) -> API:
        made.append(create_app(make_settings(**values), carrier=ClosedCarrier()))
        return made[-1]

    yield make
    for app in made:
        services_of(app).close()


@pytest.fixture
def app(make_app: Callable[..., API]) -> API:
    """An application without a Redis."""
    return make_app()


@pytest.fixture
def services(app: API) -> Services:
    """The application's services."""
    return services_of(app)


@pytest.fixture
def client(app: API) -> FlaskClient:
    """A client without a key."""
    return app.test_client()


def sign_in(app: API, tenant: str) -> Caller:
    """Make a key for ``tenant`` and return its client."""
    ledger = services_of(app).kernel.ledger
    key = tenants.create_key(ledger, tenant=tenant, name="test")
    found = tenants.tenant_of(ledger, key)
    assert found is not None
    return Caller(app.test_client(), found.id, key)


@pytest.fixture
def alice(app: API) -> Caller:
    """One tenant's client."""
    return sign_in(app, "alice")


@pytest.fixture
def bob(app: API) -> Caller:
    """Another tenant's client."""
    return sign_in(app, "bob")


def claim(kernel: Kernel, job_id: str, *, worker: str = WORKER) -> Job:
    """Begin an attempt as a worker child would that got the newest message."""
    waiting = queries.job(kernel.ledger, job_id)
    assert waiting is not None
    job = transitions.claim(kernel.ledger, job_id, carry=waiting.carry, worker=worker, child_pid=1)
    assert job is not None
    return job


def finish(kernel: Kernel, job: Job, **values: Any) -> Job:
    """End a claimed job, well unless ``values`` say otherwise."""
    how = {"state": JobState.SUCCEEDED, "cause": "completed", "result": {"message": "hi"}} | values
    ended = transitions.finish(kernel.ledger, job.id, fence=job.fence, **how)
    assert ended is not None
    return ended


def add_worker(
    kernel: Kernel,
    *,
    queues: tuple[str, ...] = ("maintenance",),
    name: str = WORKER,
    capabilities: tuple[str, ...] = ("chromium",),
    offers: Offers | None = None,
) -> None:
    """Register a live worker; ``offers``: what one of this version says besides."""
    at, told = now(), None if offers is None else offers.as_row()
    queues = () if offers is not None and offers.is_restricted else queues
    worker = Worker(name, "host", 7, list(queues), 2, list(capabilities), "0.1.0", at, 1, at, 1000, "up", told)
    fleet.register(kernel.ledger, worker)


@pytest.fixture
def desk(make_app: Callable[..., API], redis_process: RedisServer) -> "Iterator[Desk]":
    """The front door on a server, with a Redis, and the dispatcher's hand."""
    from tests.app.desk import Desk

    redis_process.restore()
    app = make_app(redis_url=redis_process.url, heartbeat_s=0.3)
    services = services_of(app)
    streams = TenantStreams(redis_process.url)
    with served(app) as address:
        relay = OutboxRelay(services.kernel.ledger, streams)
        yield Desk(address, services, sign_in(app, "alice"), sign_in(app, "bob"), relay)
    streams.close()
    redis_process.restore()

"""What the views of one process may use: opened once by the factory, closed by one call."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from flask import Flask, current_app
from pydantic import BaseModel

from app.aside import Aside
from app.keyring import Keyring
from app.knowledge_desk import KnowledgeDesk
from app.live import LiveDispatcher, LiveWorkers
from app.metrics import Metrics
from app.monitor.hub import MonitorHub
from app.quotas import Quotas
from app.streams.hub import Hub
from app.streams.tenant_hub import TenantHub
from app.streams.waiter import HubWaiter
from tasks.core.carriage import Carriage
from tasks.core.kernel import Kernel
from tasks.core.known_results import KnownResults
from tasks.core.settings import Settings
from tasks.core.spec import JobSpec
from tasks.core.telemetry import Telemetry
from tasks.core.uploads.store import Uploads

EXTENSION = "switchyard"


@dataclass(frozen=True, slots=True)
class Services:
    """The owner of this process's resources.

    Args:
        answers: finds earlier jobs that answer what is submitted again.
        aside: answers what is a lot of work; None in the process that does it.
        forms: the model of a submission, by kind.
        owned: closes, in reverse order of opening, what was opened for this application.
    """

    settings: Settings
    kernel: Kernel
    carrier: Carriage
    specs: Mapping[str, JobSpec]
    forms: Mapping[str, type[BaseModel]]
    hub: Hub
    tenant_hub: TenantHub
    monitor: MonitorHub
    knowledge: KnowledgeDesk
    waiter: HubWaiter
    keyring: Keyring
    workers: LiveWorkers
    dispatcher: LiveDispatcher
    metrics: Metrics
    quotas: Quotas
    telemetry: Telemetry
    answers: KnownResults
    aside: Aside | None
    owned: ExitStack = field(default_factory=ExitStack)

    @property
    def uploads(self) -> Uploads:
        """The files that tenants sent, counted as they come."""
        return self.kernel.uploads_watched_by(self.metrics)

    @property
    def is_draining(self) -> bool:
        """Whether this process was told to stop: waits end early, ``/health/ready`` says 503."""
        return self.hub.is_draining

    def drain(self) -> None:
        """Let waiting requests go, and end every stream."""
        self.hub.drain()
        self.tenant_hub.drain()
        self.monitor.drain()

    def close(self) -> None:
        """Drain, and close every resource."""
        self.drain()
        self.owned.close()


def services_of(app: Flask) -> Services:
    """Return the services of ``app``."""
    found: Services = app.extensions[EXTENSION]
    return found


def services() -> Services:
    """Return the services of the application that serves this request."""
    return services_of(current_app)

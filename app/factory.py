"""Builds the application: opens its services, registers its blueprints, puts the edge around them."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType

from app import (
    advice,
    artifacts,
    audit,
    backends,
    batches,
    calibration,
    calibration_cache,
    callback_deliveries,
    catalogue,
    chains,
    connectors,
    discovery,
    domain_events,
    fleet,
    health,
    job_batches,
    jobs,
    knowledge,
    limit_records,
    logs,
    matrices,
    pauses,
    previews,
    retries,
    schedules,
    sessions,
    sites,
    submissions,
    tool_exports,
    tools,
    uploads,
    webhooks,
)
from app.aside import Aside
from app.auth import bearer_tenant, register_authentication
from app.compat.registration import register_dialects
from app.docs import docs_blueprint
from app.errors import Problem, register_error_handlers
from app.forms import form_of
from app.keyring import Keyring
from app.knowledge_desk import KnowledgeDesk
from app.live import LiveDispatcher, LiveWorkers
from app.mcp import routes as mcp
from app.metrics import Metrics
from app.middleware import register_middleware
from app.monitor import routes as monitor
from app.monitor.hub import MonitorHub
from app.openapi import API, INFO, SECURITY_SCHEMES
from app.quotas import Quotas
from app.record import record_of
from app.routes import add_converters
from app.services import EXTENSION, Services
from app.streams.hub import Hub
from app.streams.routes import register_streams
from app.streams.services import StreamServices
from app.streams.tenant_hub import TenantHub, Waiter
from app.streams.tokens import StreamTokens
from app.streams.waiter import HubWaiter
from app.tenant_news import TenantNews
from tasks.core.carriage import Carriage, NoCarriage
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.result_cache import MAX_ENTRIES, ResultCache
from tasks.core.secret_key import secret_key
from tasks.core.settings import Settings
from tasks.core.telemetry import configure_telemetry
from tasks.knowledge.contract import KNOWLEDGE_UPDATED
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.store.reading import LedgerLibrary
from tasks.registry import load_specs

_CONCERNS = (
    *(submissions, jobs, retries, batches, job_batches, chains, logs, artifacts, uploads, domain_events),
    *(catalogue, calibration, calibration_cache, matrices, fleet, backends, advice, health),
    *(discovery, tools, tool_exports, sessions, knowledge, sites, previews),
    *(webhooks, callback_deliveries, connectors, schedules, monitor),
    *(pauses, limit_records, audit),
)
# One process serves many short requests at a time; each holds a connection for a millisecond or so.
_POOL_SIZE = 16


def create_app(
    settings: Settings, *, kernel: Kernel | None = None, carrier: Carriage | None = None, is_aside: bool = False
) -> API:
    """Build the application. Its owner calls ``services_of(app).close()``, which leaves a given kernel or carrier open.

    Args:
        is_aside: it runs in the process for large requests, and leaves them to nobody.

    Raises:
        ConfigurationRefused: the ledger, a family or an optional hook does not fit the settings.
        LedgerUnavailable: the ledger cannot be reached.
    """
    app = API(
        "app",
        info=INFO,
        security_schemes=SECURITY_SCHEMES,
        operation_id_callback=_operation_id,
        validation_error_model=Problem,
        doc_ui=False,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes
    services = open_services(settings, kernel=kernel, carrier=carrier, is_aside=is_aside)
    app.extensions[EXTENSION] = services
    add_converters(app.url_map)
    register_error_handlers(app)
    register_middleware(app, services)
    register_authentication(app, services)
    for concern in _CONCERNS:
        app.register_api(concern.bp)
    models = [model for concern in _CONCERNS for model in concern.MODELS]
    if settings.serves_sse:
        app.register_api(monitor.streamed)
    if settings.mcp:
        app.register_api(mcp.bp)
    streams = _stream_services(services)
    models += register_streams(app, streams)
    answered, read = register_dialects(app, services, streams)
    app.register_blueprint(docs_blueprint(app, services, models=[*models, *answered], requests=read))
    return app


def open_services(
    settings: Settings, *, kernel: Kernel | None, carrier: Carriage | None, is_aside: bool = False
) -> Services:
    """Open what the views need, and own what was not given."""
    with ExitStack() as opening:
        telemetry = configure_telemetry(settings, service="switchyard-web")
        opening.callback(telemetry.close)
        specs = load_specs(settings.extra_families)
        if kernel is None:
            kernel = open_kernel(settings, pool_size=_POOL_SIZE)
            opening.callback(kernel.close)
        if carrier is None:
            carrier = _open_carriage(kernel)
            opening.callback(carrier.close)
        dispatcher = LiveDispatcher(kernel.ledger, lease_s=settings.lease_s)
        workers = LiveWorkers(kernel.ledger, lease_s=settings.lease_s)
        hub = Hub(kernel)
        opening.callback(hub.close)
        tenant_hub = TenantHub(kernel.ledger, _tenant_reader(settings))
        opening.callback(tenant_hub.close)
        monitor_hub = MonitorHub(kernel, dispatcher, partial(fleet.queues_now, live=workers))
        opening.callback(monitor_hub.close)
        knowledge_desk = _open_knowledge(kernel, tenant_hub)
        opening.callback(knowledge_desk.close)
        # The ledger alone: no request waits for Redis.
        answers = ResultCache(kernel.ledger, kernel.artifacts, max_entries=MAX_ENTRIES)
        aside = None
        if not is_aside:
            aside = Aside(settings)
            opening.callback(aside.close)
        return Services(
            settings=settings,
            kernel=kernel,
            carrier=carrier,
            specs=specs,
            forms=MappingProxyType({kind: form_of(spec) for kind, spec in specs.items()}),
            hub=hub,
            tenant_hub=tenant_hub,
            monitor=monitor_hub,
            knowledge=knowledge_desk,
            waiter=HubWaiter(hub, kernel.ledger),
            keyring=Keyring(kernel.ledger),
            workers=workers,
            dispatcher=dispatcher,
            metrics=Metrics(kernel.ledger, workers, dispatcher),
            quotas=Quotas(kernel.ledger, kernel.limits),
            telemetry=telemetry,
            answers=answers,
            aside=aside,
            owned=opening.pop_all(),
        )


def _open_knowledge(kernel: Kernel, hub: TenantHub) -> KnowledgeDesk:
    library = LedgerLibrary(kernel.ledger)
    shelf = IndexShelf(library, most_bytes=kernel.settings.knowledge_index_mb * 2**20)
    return KnowledgeDesk(library, shelf, TenantNews(hub, kernel.ledger, KNOWLEDGE_UPDATED))


def _tenant_reader(settings: Settings) -> Callable[[], Waiter] | None:
    if not settings.needs_redis:
        return None
    from tasks.core.tenant_streams import TenantReader  # noqa: PLC0415  # each profile loads only its own

    return lambda: TenantReader(settings.redis_url)


def _open_carriage(kernel: Kernel) -> Carriage:
    if not kernel.settings.needs_redis:
        return NoCarriage()
    from tasks.celery import app as celery  # noqa: PLC0415  # each profile loads only its own
    from tasks.core.carrier import Carrier  # noqa: PLC0415  # not where there is no broker

    return Carrier(celery, kernel.ledger)


def _stream_services(services: Services) -> StreamServices:
    return StreamServices(
        kernel=services.kernel,
        hub=services.hub,
        tokens=StreamTokens(secret_key(services.settings), ttl_s=services.settings.stream_token_ttl_s),
        tenant_of_request=lambda: bearer_tenant(services),
        record_of=lambda job: record_of(services, job).model_dump(mode="json"),
        counted=lambda transport: services.metrics.open_streams.labels(transport).track_inprogress(),
    )


def _operation_id(*, name: str, path: str, method: str) -> str:  # noqa: ARG001  # flask-openapi3 passes all three
    return name

"""A front door for measuring: the real streams, waits and accepts behind gunicorn, without keys."""

import os
from contextlib import nullcontext
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3.openapi import OpenAPI

from app.routes import add_converters
from app.streams.hub import Hub
from app.streams.routes import register_streams
from app.streams.services import StreamServices
from app.streams.tokens import StreamTokens
from app.streams.waiter import HubWaiter
from tasks.celery import app as celery
from tasks.core.carrier import Carrier
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import queries
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job
from tasks.core.settings import load_settings
from tasks.dispatch import submit
from tasks.maintenance.contract import SPECS
from tasks.submission import Submission

TENANT_VARIABLE = "BENCH_TENANT_ID"


def create_app() -> OpenAPI:
    """Return what gunicorn serves; the tenant's id comes from the environment."""
    kernel = open_kernel(load_settings())
    tenant = Tenant(os.environ[TENANT_VARIABLE], "bench")
    hub = Hub(kernel)
    tokens = StreamTokens("only for measuring, hence no secret", ttl_s=60)
    app = OpenAPI("bench")
    add_converters(app.url_map)
    register_streams(
        app,
        StreamServices(kernel, hub, tokens, lambda: tenant, lambda job: _record(kernel, job), lambda _: nullcontext()),
    )
    _add_accept(app, kernel, tenant)
    _add_poll(app, kernel, hub)
    return app


def _record(kernel: Kernel, job: Job) -> dict[str, Any]:
    attempts = [attempt.model_dump(mode="json") for attempt in queries.attempts_of(kernel.ledger, job.id)]
    progress = kernel.events.progress([job.id]).get(job.id)
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "version": job.version,
        "created_at": job.created_at.isoformat(),
        "request": job.request,
        "progress": progress and progress[1],
        "attempts": attempts,
    }


def _add_accept(app: OpenAPI, kernel: Kernel, tenant: Tenant) -> None:
    carrier = Carrier(celery, kernel.ledger)

    @app.route("/accept", methods=["POST"])
    def accept() -> tuple[Response, int]:
        submission = Submission(tenant.id, SPECS[0].request(**request.get_json()).model_dump())
        return jsonify(id=submit(kernel, carrier, SPECS[0], submission).job.id), 202


def _add_poll(app: OpenAPI, kernel: Kernel, hub: Hub) -> None:
    waiter = HubWaiter(hub, kernel.ledger)

    @app.route("/poll/<job_id>")
    def poll(job_id: str) -> Response:
        waiter.wait(job_id, None, 60)
        job = queries.job(kernel.ledger, job_id)
        return jsonify({} if job is None else _record(kernel, job))

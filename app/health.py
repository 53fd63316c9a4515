"""Whether this process lives, may be sent requests, and what it depends on."""

import hmac
import time
from collections.abc import Callable
from typing import Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import checked
from app.openapi import answer, problems, raw_answer
from app.services import Services, services
from tasks.core.errors import LedgerUnavailable, NotAuthenticated
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import tenants
from tasks.core.version import VERSION

bp = APIBlueprint("health", __name__, abp_tags=[Tag(name="health")])


class Check(BaseModel):
    """What one look found."""

    status: Literal["ok", "failed"]
    latency_ms: float
    detail: str | None = None


class Health(BaseModel):
    """The verdict, and what it rests on. ``degraded``: requests are served, live events or jobs may be late."""

    status: Literal["ok", "degraded", "unready"]
    checks: dict[str, Check] = {}


class Version(BaseModel):
    """What runs here."""

    name: str = "switchyard"
    version: str = Field(description="Of this installation.")


MODELS: tuple[type[BaseModel], ...] = (Health, Version)

# Without these, requests are still accepted and kept.
_DISPENSABLE = frozenset({"redis", "dispatcher"})

_READY: ResponseDict = {200: answer(Health, "Ready."), 503: answer(Health, "Not ready: do not send requests.")}


@bp.get("/health/live", responses={200: answer(Health, "The process answers.")})
@checked
def live() -> Response:
    """Tell that the process answers; nothing else is looked at."""
    return json_answer(Health(status="ok"))


@bp.get("/health/startup", responses=_READY)
@checked
def startup() -> Response:
    """Tell whether the process has reached its ledger."""
    return _verdict({"ledger": _ledger(services())})


@bp.get("/health/ready", responses=_READY)
@checked
def ready() -> Response:
    """Tell whether requests may be sent here: the ledger answers, and the process is not draining."""
    at = services()
    return _verdict({"ledger": _ledger(at), "accepting": _accepting(at)})


@bp.get("/health", responses=_READY)
@checked
def health() -> Response:
    """Tell how the process and all that it depends on are."""
    at = services()
    checks = {"ledger": _ledger(at), "accepting": _accepting(at), "dispatcher": _dispatcher(at)}
    if at.settings.needs_redis:
        checks["redis"] = _redis(at)
    return _verdict(checks)


@bp.get("/version", responses={200: answer(Version, "The version.")})
@checked
def version() -> Response:
    """Tell the version."""
    return json_answer(Version(version=VERSION))


@bp.get("/metrics", responses={200: raw_answer("The text format.", "text/plain"), **problems(401)})
@checked
def metrics() -> Response:
    """Return the metrics of this process and of the queues, for Prometheus."""
    at = services()
    token = at.settings.metrics_token
    if token is not None:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), token.get_secret_value().encode()):
            raise NotAuthenticated("The metrics need their token: add `Authorization: Bearer <token>`.")
    return Response(at.metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


def _verdict(checks: dict[str, Check]) -> Response:
    failed = {name for name, check in checks.items() if check.status == "failed"}
    if failed - _DISPENSABLE:
        response = json_answer(Health(status="unready", checks=checks), status=503)
        response.headers["Retry-After"] = "5"
        return response
    return json_answer(Health(status="degraded" if failed else "ok", checks=checks))


def _ledger(at: Services) -> Check:
    return _timed(lambda: tenants.any_live_key(at.kernel.ledger))


def _redis(at: Services) -> Check:
    return _timed(at.kernel.events.ping)


def _dispatcher(at: Services) -> Check:
    leads: list[bool] = []
    check = _timed(lambda: leads.append(at.dispatcher.leads()))
    if check.status == "ok" and not leads[0]:
        return check.model_copy(
            update={"status": "failed", "detail": "none leads; waiting jobs are late, none is lost"}
        )
    return check


def _accepting(at: Services) -> Check:
    draining = at.is_draining
    return Check(status="failed" if draining else "ok", latency_ms=0.0, detail="draining" if draining else None)


def _timed(look: Callable[[], object]) -> Check:
    began = time.perf_counter()
    detail = None
    try:
        look()
    except LedgerUnavailable as exc:
        detail = exc.code
    except EventsUnavailable:
        detail = "no answer; live events are late, nothing accepted is lost"
    latency_ms = round((time.perf_counter() - began) * 1000, 2)
    return Check(status="ok" if detail is None else "failed", latency_ms=latency_ms, detail=detail)

"""What happens around every request: correlation, body cap, CORS, security headers, counting, tracing."""

import re
import time
from contextlib import ExitStack

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.quotas import tell_quotas
from app.receiving import body_limit, pass_over, sends_files
from app.services import Services
from tasks.core.ids import new_id

log = structlog.get_logger()

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_EXPOSED = (
    "Deprecation, ETag, Idempotency-Replayed, Job-Duplicate, Link, Location, Preference-Applied, RateLimit, "
    "RateLimit-Policy, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, "
    "Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset, X-Correlation-ID"
)
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Traceparent, Tus-Resumable, "
    "Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, X-API-Key, X-Correlation-ID, "
    "X-HTTP-Method-Override"
)
_ALLOWED_METHODS = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": _API_POLICY,
    "Cache-Control": "no-store",
}

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def register_middleware(app: Flask, services: Services) -> None:
    """Put it around every request of ``app``."""
    origins = frozenset(services.settings.cors_origins)

    def begin() -> Response | None:
        g.began = time.perf_counter()
        sent = request.headers.get("X-Correlation-ID", "")
        g.correlation_id = sent if _CORRELATION_ID.fullmatch(sent) else new_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(correlation_id=g.correlation_id)
        g.closing = ExitStack()
        span = services.telemetry.request_span(
            f"{_method()} {_route()}", traceparent=request.headers.get("Traceparent")
        )
        g.span = g.closing.enter_context(span)
        if _is_preflight():
            return Response(status=204)
        request.max_content_length = body_limit(app.view_functions.get(request.endpoint or ""), services.settings)
        if (request.content_length or 0) > request.max_content_length:
            raise RequestEntityTooLarge
        return None

    def finish(response: Response) -> Response:
        view = app.view_functions.get(request.endpoint or "")
        if response.status_code >= 400 and "tenant" in g and sends_files(view):
            pass_over(services.settings)
            services.metrics.uploads.labels("refused").inc()
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Correlation-ID"] = g.correlation_id
        tell_quotas(response)
        _allow_origin(response, origins)
        _account(services, response)
        return response

    def end(_exc: BaseException | None) -> None:
        closing: ExitStack | None = g.pop("closing", None)
        if closing is not None:
            closing.close()
        # Werkzeug lets the request and its environment hold each other: what thousands of polls leave behind would
        # wait for a full collection.
        request.environ.pop("werkzeug.request", None)
        structlog.contextvars.clear_contextvars()

    app.before_request(begin)
    app.after_request(finish)
    app.teardown_request(end)


def _method() -> str:
    # What a client makes up must not become a label: each would be kept for ever.
    return request.method if request.method in _METHODS else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule is not None else "unmatched"


def _is_preflight() -> bool:
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def _allow_origin(response: Response, origins: frozenset[str]) -> None:
    if not origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or not (origin in origins or "*" in origins):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if _is_preflight():
        response.headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"


def _account(services: Services, response: Response) -> None:
    took_s = time.perf_counter() - g.began
    route, status = _route(), response.status_code
    services.metrics.requests.labels(_method(), route, status).inc()
    services.metrics.request_seconds.labels(_method(), route).observe(took_s)
    g.span.set({"http.request.method": _method(), "http.route": route, "http.response.status_code": status})
    if status >= 500:
        g.span.fail(str(status))
    log.debug("request_answered", method=request.method, route=route, status=status, took_ms=round(took_s * 1000, 1))

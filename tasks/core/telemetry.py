"""Optional traces (OpenTelemetry) and error reports (Sentry): off by default, loaded only when a setting asks.

A trace begins at the HTTP request, is kept in the job's row as a W3C ``traceparent``, and goes on in the attempt,
however many processes and hours lie between.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from tasks.core.errors import AppError, ConfigurationRefused
from tasks.core.records import Job
from tasks.core.settings import Settings
from tasks.core.version import VERSION

# Version 00 of https://www.w3.org/TR/trace-context/#traceparent-header; all-zero ids are invalid there.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# What a process may wait at its end for spans and reports still to be sent.
_FLUSH_S = 2.0


class Telemetry:
    """Spans and reports of one process. Without a tracer and a reporter, every method does nothing."""

    def __init__(self, tracer: Any = None, reporter: Any = None, *, owned: ExitStack | None = None) -> None:
        self._tracer = tracer
        self._reporter = reporter
        self._owned = owned or ExitStack()

    @contextmanager
    def request_span(self, name: str, *, traceparent: str | None) -> Iterator["Span"]:
        """Trace one HTTP request, as a child of the caller's span if ``traceparent`` names one."""
        parent = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
        with self._span(name, kind="SERVER", traceparent=parent) as span:
            yield span

    @contextmanager
    def attempt_span(self, job: Job) -> Iterator["Span"]:
        """Trace one attempt, as a child of the request that submitted the job."""
        with self._span(f"attempt {job.kind}", kind="CONSUMER", traceparent=job.traceparent) as span:
            span.set(
                {
                    "switchyard.job_id": job.id,
                    "switchyard.kind": job.kind,
                    "switchyard.queue": job.queue,
                    "switchyard.attempt": job.attempt,
                }
            )
            yield span

    @contextmanager
    def _span(self, name: str, *, kind: str, traceparent: str | None) -> Iterator["Span"]:
        if self._tracer is None:
            yield Span(None, traceparent)
            return
        trace = import_module("opentelemetry.trace")
        propagation = import_module("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator()
        context = propagation.extract({"traceparent": traceparent}) if traceparent else None
        with self._tracer.start_as_current_span(name, context=context, kind=trace.SpanKind[kind]) as span:
            carrier: dict[str, str] = {}
            propagation.inject(carrier, trace.set_span_in_context(span))
            yield Span(span, carrier.get("traceparent"))

    def capture(self, exc: BaseException) -> None:
        """Report an error that nobody expected."""
        if self._reporter is not None and not isinstance(exc, AppError):
            self._reporter.capture_exception(exc)

    def close(self) -> None:
        """Send what is left, for at most two seconds."""
        self._owned.close()


class Span:
    """One span, or nothing: ``traceparent`` is what a child of it must be told."""

    def __init__(self, span: Any, traceparent: str | None) -> None:
        self._span = span
        self.traceparent = traceparent

    def set(self, attributes: Mapping[str, str | int | float | bool]) -> None:
        """Add attributes."""
        if self._span is not None:
            self._span.set_attributes(dict(attributes))

    def fail(self, reason: str) -> None:
        """Mark the span as failed."""
        if self._span is not None:
            status = import_module("opentelemetry.trace.status")
            self._span.set_status(status.Status(status.StatusCode.ERROR, reason))


def configure_telemetry(settings: Settings, *, service: str, exporter: Any = None) -> Telemetry:
    """Return the telemetry that the settings ask for. ``exporter`` replaces the OTLP one.

    Raises:
        ConfigurationRefused: a setting needs an extra that is not installed.
    """
    owned = ExitStack()
    tracer = reporter = None
    if settings.otel_endpoint:
        tracer = _open_tracer(settings.otel_endpoint, service=service, exporter=exporter, owned=owned)
    if settings.sentry_dsn:
        reporter = _open_reporter(settings.sentry_dsn.get_secret_value(), settings.environment, owned=owned)
    return Telemetry(tracer, reporter, owned=owned)


def _open_tracer(endpoint: str, *, service: str, exporter: Any, owned: ExitStack) -> Any:
    try:
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        if exporter is None:
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            exporter = otlp.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    except ImportError as exc:
        raise ConfigurationRefused(
            f"SWITCHYARD_OTEL_ENDPOINT: needs the telemetry extra (pip install 'switchyard[telemetry]'): {exc}"
        ) from exc
    resource = resources.Resource.create({"service.name": service, "service.version": VERSION})
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    owned.callback(provider.shutdown)
    owned.callback(provider.force_flush, int(_FLUSH_S * 1000))
    return provider.get_tracer("switchyard", VERSION)


def _open_reporter(dsn: str, environment: str, *, owned: ExitStack) -> Any:
    try:
        sentry = import_module("sentry_sdk")
    except ImportError as exc:
        raise ConfigurationRefused(
            f"SWITCHYARD_SENTRY_DSN: needs the sentry extra (pip install 'switchyard[sentry]'): {exc}"
        ) from exc
    # Its integrations would hook into Flask, Celery and logging and send bodies and headers, and local variables may
    # hold keys; so we report by hand, the traceback alone.
    sentry.init(
        dsn,
        environment=str(environment),
        release=VERSION,
        default_integrations=False,
        include_local_variables=False,
        max_request_body_size="never",
    )
    owned.callback(sentry.get_client().close, _FLUSH_S)
    return sentry

"""Optional traces and error reports."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tasks.core.errors import ConfigurationRefused, InputRejected
from tasks.core.records import Job
from tasks.core.settings import Settings
from tasks.core.telemetry import Telemetry, configure_telemetry
from tasks.maintenance.contract import SPECS
from tasks.submission import Submission, new_job

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keeps finished spans."""
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(make_settings: Callable[..., Settings], exporter: InMemorySpanExporter) -> Iterator[Telemetry]:
    """Telemetry that traces into the exporter."""
    settings = make_settings(otel_endpoint="http://127.0.0.1:4318")
    opened = configure_telemetry(settings, service="test", exporter=exporter)
    yield opened
    opened.close()


@pytest.fixture
def job() -> Job:
    """A job as it was submitted."""
    return new_job(SPECS[0], Submission(tenant_id="t", request={}))


def test_attempt_goes_on_with_the_requests_trace(
    telemetry: Telemetry, exporter: InMemorySpanExporter, job: Job
) -> None:
    """Caller, request and attempt are one trace, each the child of the one before."""
    with telemetry.request_span("POST /api/jobs", traceparent=SENT) as span:
        pass
    with telemetry.attempt_span(replace(job, traceparent=span.traceparent)):
        pass
    telemetry.close()
    request, attempt = exporter.get_finished_spans()
    assert f"{request.context.trace_id:032x}" == f"{attempt.context.trace_id:032x}" == SENT[3:35]
    assert f"{request.parent.span_id:016x}" == SENT[36:52]
    assert attempt.parent.span_id == request.context.span_id
    assert attempt.attributes["switchyard.kind"] == "maintenance.ping"


@pytest.mark.parametrize("sent", [None, "", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01"])
def test_unusable_traceparent_begins_a_new_trace(telemetry: Telemetry, sent: str | None) -> None:
    """A caller cannot break our traces."""
    with telemetry.request_span("GET /", traceparent=sent) as span:
        assert span.traceparent is not None
        assert span.traceparent != sent


def test_traceparent_is_kept_without_a_tracer(settings: Settings) -> None:
    """Workers may trace though the front door does not."""
    telemetry = configure_telemetry(settings, service="test")
    with telemetry.request_span("GET /", traceparent=SENT) as span:
        assert span.traceparent == SENT


def test_nothing_is_loaded_by_default(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings the extras need not be there."""
    for name in ("opentelemetry.sdk.trace", "opentelemetry.trace", "sentry_sdk"):
        monkeypatch.setitem(sys.modules, name, None)
    telemetry = configure_telemetry(settings, service="test")
    with telemetry.request_span("GET /", traceparent=None) as span:
        span.set({"a": 1})
        span.fail("500")
    telemetry.capture(ValueError())
    telemetry.close()


@pytest.mark.parametrize(
    ("values", "module", "extra"),
    [
        ({"otel_endpoint": "http://127.0.0.1:4318"}, "opentelemetry.sdk.trace", "telemetry"),
        ({"sentry_dsn": "https://k@127.0.0.1/1"}, "sentry_sdk", "sentry"),
    ],
)
def test_missing_extra_is_refused_by_name(
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, str],
    module: str,
    extra: str,
) -> None:
    """A setting that cannot be kept to stops the process and names the remedy."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationRefused, match=rf"switchyard\[{extra}\]"):
        configure_telemetry(make_settings(**values), service="test")


def test_only_unexpected_errors_are_reported() -> None:
    """A refused input is nobody's bug."""
    reported: list[BaseException] = []

    class Reporter:
        def capture_exception(self, exc: BaseException) -> None:
            reported.append(exc)

    telemetry, bug = Telemetry(reporter=Reporter()), ValueError("bug")
    for exc in (bug, InputRejected("no")):
        telemetry.capture(exc)
    assert reported == [bug]


def test_sentry_sends_the_traceback_alone(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report carries the error, but no local variable, which might be a key."""
    sent: list[bytes] = []
    transport = "sentry_sdk.transport.HttpTransport.capture_envelope"
    monkeypatch.setattr(transport, lambda _, envelope: sent.append(envelope.serialize()))
    telemetry = configure_telemetry(make_settings(sentry_dsn="https://k@127.0.0.1/1"), service="test")
    try:
        key = "-".join(["sy", "local"])
        raise ValueError(f"bug {len(key)}")
    except ValueError as exc:
        telemetry.capture(exc)
    telemetry.close()
    report = b"".join(sent)
    assert b"bug 8" in report
    assert b"sy-local" not in report

"""Around every request: problems, correlation, caps, CORS, security headers."""

import pytest
from flask.testing import FlaskClient

from app.openapi import API
from app.services import Services
from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import Ledger
from tests.app.conftest import PING, Caller, sign_in


def test_problem_has_every_member(alice: Caller) -> None:
    """Errors are RFC 9457 documents with our two extensions."""
    response = alice.get("/api/nothing", headers={"X-Correlation-ID": "c-1"})
    assert response.mimetype == "application/problem+json"
    detail = response.json.pop("detail")
    assert "/api/nothing" in detail
    assert {name: value for name, value in response.json.items() if name != "detail"} == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "no_such_path",
        "instance": "/api/nothing",
        "correlation_id": "c-1",
    }


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/api/jobs/{}", "job"),
        ("/api/jobs/{}/artifacts/pages.jsonl", "job"),
        ("/api/jobs/batch/{}", "batch"),
        ("/api/schedules/{}", "schedule"),
        ("/api/tools/{}", "tool"),
        ("/api/uploads/{}", "upload"),
        ("/api/webhooks/{}", "webhook"),
        ("/api/webhooks/deliveries/{}", "delivery"),
    ],
)
def test_what_is_no_id_is_told(alice: Caller, path: str, whose: str) -> None:
    """And how one looks."""
    answer = alice.get(path.format("nonsense"))
    assert (404, "not_found") == (answer.status_code, answer.json["code"])
    assert answer.json["detail"].startswith(f"'nonsense' is no {whose}'s id, such as 0189")
    assert whose in alice.delete(path.format("0-1")).json["detail"]


def test_what_is_wrong_with_a_path_besides_its_id_is_not_laid_to_that(alice: Caller) -> None:
    """A kind that is none, or a path below a right id that leads nowhere."""
    assert "no_such_path" == alice.post("/api/jobs/nonsense", json={}).json["code"]
    assert "no_such_path" == alice.get("/api/jobs/01890000-0000-7000-8000-000000000000/nonsense").json["code"]


def test_wrong_method_is_405_and_says_which_are_right(alice: Caller) -> None:
    """A path that exists names its methods."""
    response = alice.open("PUT", "/api/jobs")
    assert (response.status_code, response.json["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_unexpected_error_is_500_without_a_traceback(app: API, client: FlaskClient) -> None:
    """Clients learn nothing of our insides; the log learns all."""

    @app.get("/boom")
    def boom() -> str:
        raise ZeroDivisionError("secret detail")

    response = client.get("/boom")
    assert (response.status_code, response.json["code"]) == (500, "internal_error")
    assert "secret detail" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize(("error", "code"), [(LedgerBusy, "ledger_busy"), (LedgerUnavailable, "ledger_unavailable")])
def test_ledger_that_does_not_answer_is_503_with_retry_after(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, error: type[LedgerUnavailable], code: str
) -> None:
    """Nothing was accepted, and the client knows when to come again."""
    alice.get("/api/jobs")

    def fail(_ledger: Ledger, **_how: bool) -> None:
        raise error("The ledger is away.")

    for name in ("write", "write_prepared"):
        monkeypatch.setattr(Ledger, name, fail)
    response = alice.post(PING, json={"params": {}})
    assert (response.status_code, response.json["code"]) == (503, code)
    assert int(response.headers["Retry-After"]) > 0


def test_correlation_id_comes_back_in_answer_and_record(alice: Caller) -> None:
    """One id follows the job from the caller's request on."""
    response = alice.post(PING, json={"params": {}}, headers={"X-Correlation-ID": "order:7"})
    assert (response.headers["X-Correlation-ID"], response.json["correlation_id"]) == ("order:7", "order:7")


@pytest.mark.parametrize("sent", [None, "two words", "x" * 129, 'a"b'])
def test_correlation_id_is_made_when_none_is_usable(client: FlaskClient, sent: str | None) -> None:
    """Every answer has one, and none that could forge a log line."""
    headers = {} if sent is None else {"X-Correlation-ID": sent}
    made = client.get("/health/live", headers=headers).headers["X-Correlation-ID"]
    assert made != sent
    assert len(made) == 36


def test_body_over_the_cap_is_413(make_app) -> None:
    """A large body is refused before it is read."""
    alice = sign_in(make_app(body_limit_bytes=1024), "alice")
    response = alice.post(PING, json={"params": {"message": "x" * 2000}})
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert "1024" in response.json["detail"]


def test_listed_origin_may_call_from_a_browser(make_app) -> None:
    """An allowed page can read our headers."""
    alice = sign_in(make_app(cors_origins="https://app.example"), "alice")
    response = alice.get("/api/jobs", headers={"Origin": "https://app.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Idempotency-Replayed" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]


def test_preflight_needs_no_key(make_app) -> None:
    """A browser asks before it sends the key."""
    client = make_app(cors_origins="https://app.example").test_client()
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    response = client.options(PING, headers=headers)
    assert response.status_code == 204
    assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null"])
def test_other_origin_may_not(make_app, origin: str) -> None:
    """Only exact origins are allowed."""
    client = make_app(cors_origins="https://app.example").test_client()
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = client.open("/health/live", method=method, headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/health/live", "/api/nothing", "/api/jobs", "/docs", "/openapi", "/openapi/openapi.json"]
)
def test_every_answer_has_security_headers(client: FlaskClient, path: str) -> None:
    """Whatever the route and the status."""
    headers = client.get(path).headers
    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_api_answers_are_not_stored(alice: Caller) -> None:
    """A shared cache must not keep what a key opened."""
    assert alice.get("/api/jobs").headers["Cache-Control"] == "no-store"


def test_requests_are_counted_by_route_not_by_path(alice: Caller, services: Services) -> None:
    """An id in a label would make a series for each job."""
    alice.get(f"/api/jobs/{alice.submit()['id']}")
    text = services.metrics.exposition().decode()
    assert 'route="/api/jobs/<job:job_id>",status="200"} 1.0' in text


def test_keys_and_tokens_are_not_logged(alice: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the header nor the query string reaches the log."""
    alice.get("/api/jobs?token=sesame")
    alice.submit()
    out = "".join(capsys.readouterr())
    assert alice.key not in out
    assert "sesame" not in out

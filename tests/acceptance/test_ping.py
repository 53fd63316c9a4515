"""The front door's promises, over HTTP with a real worker behind it."""

import httpx
import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def _post(yard: Yard, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{yard.url}{path}", json=body, headers={"Authorization": f"Bearer {yard.key}", **headers}, timeout=30
    )


def test_prefer_wait_answers_with_the_result(yard: Yard) -> None:
    """A short job is a synchronous call."""
    answer = _post(yard, "/api/jobs/maintenance.ping", {"params": {"message": "hello"}}, Prefer="wait=20")
    assert 200 == answer.status_code
    assert ("succeeded", {"message": "hello"}) == (answer.json()["state"], answer.json()["result"])


def test_an_idempotency_key_makes_one_job(yard: Yard) -> None:
    """The second request answers with the first's job and says so."""
    body = {"params": {"message": "once"}}
    first, second = (_post(yard, "/api/jobs/maintenance.ping", body, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert "true" == second.headers["Idempotency-Replayed"]


def test_the_correlation_id_comes_back_and_is_kept(yard: Yard) -> None:
    """In the answer's header and in the record."""
    answer = _post(yard, "/api/jobs/maintenance.ping", {}, **{"X-Correlation-ID": "trace-1"})
    assert ("trace-1", "trace-1") == (answer.headers["X-Correlation-ID"], answer.json()["correlation_id"])


def test_the_catalogue_says_what_can_run_now(client: Switchyard) -> None:
    """With a worker for all queues up, the kinds that need nothing special are runnable."""
    runnable = {kind.kind for kind in client.kinds() if kind.runnable}
    assert {"maintenance.ping", "crawling.site"} <= runnable


def test_another_tenant_does_not_find_the_job(yard: Yard, client: Switchyard) -> None:
    """Record, streams, logs, artifacts, cancel and delete are all 404 for a stranger."""
    job = client.submit("maintenance.ping", {})
    stranger = {"Authorization": f"Bearer {yard.other_key}"}
    paths = ["", "/events", "/progress", "/logs", "/artifacts", "/artifacts/pages.jsonl"]
    answers = [httpx.get(f"{yard.url}/api/jobs/{job.id}{path}", headers=stranger) for path in paths]
    answers += [
        httpx.post(f"{yard.url}/api/jobs/{job.id}/{act}", headers=stranger) for act in ("cancel", "stream-token")
    ]
    answers.append(httpx.delete(f"{yard.url}/api/jobs/{job.id}", headers=stranger))
    assert {404} == {answer.status_code for answer in answers}

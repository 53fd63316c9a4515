"""The short calls: submit and its retries, reading, lists, logs, files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from client import (
    Conflict,
    ConnectionFailed,
    IdempotencyKeyReused,
    InputRejected,
    Limits,
    NotFound,
    Notice,
    Switchyard,
    Unavailable,
    UnknownKind,
)
from tests.client.conftest import FAST
from tests.client.scripted_server import KEY, ScriptedServer, problem


class CrawlRequest(BaseModel):
    url: str
    depth: int = 1


class CrawlResult(BaseModel):
    pages: int


def test_submit_sends_options_and_params(server: ScriptedServer, client: Switchyard) -> None:
    """What is given goes into the body, what is not stays out."""
    job = client.submit(
        "crawling.site",
        {"url": "http://a"},
        priority=70,
        expires_in_s=60,
        not_before=datetime(2027, 1, 1, tzinfo=UTC),
        labels={"team": "x"},
    )
    assert (job.kind, job.replayed) == ("crawling.site", False)
    options = {"priority": 70, "expires_in_s": 60, "not_before": "2027-01-01T00:00:00+00:00", "labels": {"team": "x"}}
    assert server.submits[0][1] == {"params": {"url": "http://a"}, **options}


def test_submit_takes_a_model(server: ScriptedServer, client: Switchyard) -> None:
    """Params may be a pydantic model."""
    client.submit("crawling.site", CrawlRequest(url="http://a"))
    assert server.submits[0][1]["params"] == {"url": "http://a", "depth": 1}


def test_submit_after_a_lost_answer_makes_one_job(server: ScriptedServer, client: Switchyard) -> None:
    """The server took the job and the answer was lost: the retry finds that job."""
    server.faults.append("lost")
    job = client.submit("crawling.site", {"url": "http://a"})
    assert (len(server.submits), list(server.jobs), job.id, job.replayed) == (2, ["job-1"], "job-1", True)


def test_submit_tries_again_after_503(server: ScriptedServer, client: Switchyard, notices: list[Notice]) -> None:
    """A busy ledger delays a submit; the listener hears why."""
    server.faults += [problem(503, "ledger_busy", detail="busy", retry_after_s=0)] * 2
    assert client.submit("crawling.site", {"url": "http://a"}).id == "job-1"
    assert [(notice.name, notice.detail) for notice in notices] == [("retrying", "busy")] * 2


def test_submit_gives_up_after_the_reconnects(server: ScriptedServer, client: Switchyard) -> None:
    """One try and five more, then the server's own error."""
    server.faults += [problem(503, "draining", detail="stopping", retry_after_s=0)] * 9
    with pytest.raises(Unavailable):
        client.submit("crawling.site", {"url": "http://a"})
    assert server.count("POST", "/api/jobs/crawling.site") == 1 + Limits().reconnects


def test_refusal_is_not_tried_again(server: ScriptedServer, client: Switchyard) -> None:
    """Only what may pass by itself is repeated."""
    with pytest.raises(UnknownKind):
        client.submit("no.such")
    assert len(server.submits) == 1


def test_own_idempotency_key_replays(client: Switchyard) -> None:
    """The same key and body give the first job, marked."""
    first = client.submit("crawling.site", {"url": "http://a"}, idempotency_key="k")
    second = client.submit("crawling.site", {"url": "http://a"}, idempotency_key="k")
    assert (second.id, first.replayed, second.replayed) == (first.id, False, True)


def test_idempotency_key_for_another_request_is_refused(client: Switchyard) -> None:
    """The same key with another body is an error of its own."""
    client.submit("crawling.site", {"url": "http://a"}, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        client.submit("crawling.site", {"url": "http://b"}, idempotency_key="k")


def test_waiting_submit_prefers_to_wait(server: ScriptedServer, client: Switchyard) -> None:
    """``wait_s`` becomes the Prefer header."""
    client.submit("crawling.site", {"url": "http://a"}, wait_s=20)
    assert server.submits[0][0]["Prefer"] == "wait=20"


def test_unreachable_server_fails_as_connection(server: ScriptedServer) -> None:
    """Nobody listens there."""
    with Switchyard("http://127.0.0.1:9", KEY, limits=FAST) as client, pytest.raises(ConnectionFailed):
        client.job("job-1")


def test_answer_of_another_service_is_named(server: ScriptedServer, client: Switchyard) -> None:
    """A 200 that is no record is an error about the address, not a crash."""
    server.job().record = {"state": "sunny"}
    with pytest.raises(ConnectionFailed, match="not a Job"):
        client.job("job-1")


def test_unknown_fields_are_kept(server: ScriptedServer, client: Switchyard) -> None:
    """A newer server's field is readable, not refused."""
    server.job().record["colour"] = "green"
    assert client.job("job-1").model_dump()["colour"] == "green"


def test_jobs_reads_every_page(server: ScriptedServer, client: Switchyard) -> None:
    """The iterator follows the cursor to the end."""
    for number in range(5):
        server.job(f"job-{number}")
    assert [job.id for job in client.jobs()] == [f"job-{number}" for number in range(5)]


def test_page_filters_and_tells_the_total(server: ScriptedServer, client: Switchyard) -> None:
    """Filters go to the server; the total is that of all matches."""
    for number in range(4):
        server.job(f"job-{number}")
    server.job("job-1").succeed()
    page = client.page(state=["queued", "running"])
    assert (page.total, [job.id for job in page.jobs]) == (3, ["job-0", "job-2"])


def test_cancel_of_an_ended_job_conflicts(server: ScriptedServer, client: Switchyard) -> None:
    """What has ended cannot be cancelled."""
    server.job().succeed()
    with pytest.raises(Conflict):
        client.cancel("job-1")


def test_delete_erases(server: ScriptedServer, client: Switchyard) -> None:
    """A deleted job is gone."""
    server.job().succeed()
    assert client.delete("job-1") is None
    with pytest.raises(NotFound):
        client.job("job-1")


def test_logs_reads_every_page_of_a_level(server: ScriptedServer, client: Switchyard) -> None:
    """The iterator follows the offset; the level is the least shown."""
    server.logs["job-1"] = [{"line": str(n), "level": "info" if n % 2 else "debug"} for n in range(10)]
    assert [line.line for line in client.logs("job-1", level="info")] == ["1", "3", "5", "7", "9"]


def test_followed_logs_end_with_the_job(
    server: ScriptedServer, client: Switchyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines written just before the end are not missed."""
    monkeypatch.setattr("client.switchyard.LOG_POLL_S", 0.01)
    job = server.job()
    lines = server.logs["job-1"] = [{"line": "first", "level": "info"}]
    follower = client.logs("job-1", follow=True)
    seen = [next(follower).line]
    lines.append({"line": "last", "level": "info"})
    job.succeed()
    assert seen + [line.line for line in follower] == ["first", "last"]


def test_kinds_queues_and_workers_are_typed(client: Switchyard) -> None:
    """Each list gives records."""
    assert client.kinds()[0].example == client.kind("crawling.site").example
    assert (client.queues()[0].waiting, client.workers()[0].pid) == (2, 7)


def test_download_is_whole_after_a_drop(server: ScriptedServer, client: Switchyard, tmp_path: Path) -> None:
    """A connection that breaks in the middle is resumed by range, and no temporary file stays."""
    content = server.files["job-1", "pages/all.jsonl"] = bytes(range(256)) * 1000
    server.drop_file_at = 100_000
    target = client.download("job-1", "pages/all.jsonl", tmp_path)
    assert (target.name, target.read_bytes() == content) == ("all.jsonl", True)
    assert [path.name for path in tmp_path.iterdir()] == ["all.jsonl"]


def test_pages_are_fetched_in_another_format(server: ScriptedServer, client: Switchyard, tmp_path: Path) -> None:
    """Under its usual ending, whole after a drop; the lines need no asking for."""
    server.files |= {("job-1", "pages.jsonl"): b"lines", ("job-1", "pages.jsonl?format=sqlite"): b"d" * 100_000}
    server.drop_file_at = 50_000
    target = client.download("job-1", "pages.jsonl", tmp_path, as_format="sqlite")
    assert ("pages.sqlite", b"d" * 100_000) == (target.name, target.read_bytes())
    assert b"lines" == client.download("job-1", "pages.jsonl", tmp_path, as_format="jsonl").read_bytes()


def test_failed_download_leaves_no_file(client: Switchyard, tmp_path: Path) -> None:
    """What does not exist makes no file either."""
    with pytest.raises(NotFound):
        client.download("job-1", "nothing", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_result_comes_as_the_model_asked_for(server: ScriptedServer, client: Switchyard) -> None:
    """Typed results."""
    server.job().succeed(pages=12)
    assert client.result("job-1", model=CrawlResult) == CrawlResult(pages=12)
    assert client.result("job-1") == {"pages": 12}


def test_run_submits_and_waits(server: ScriptedServer, client: Switchyard) -> None:
    """One call from request to final record."""
    server.on_submit = lambda job: job.succeed(pages=3)
    assert client.run("crawling.site", {"url": "http://a"}).result == {"pages": 3}


def test_retry_runs_a_failed_job_again(server: ScriptedServer, client: Switchyard) -> None:
    """The same job, queued; what runs already conflicts, and is not asked twice."""
    server.job().run().fail()
    assert client.retry("job-1").state == "queued"
    with pytest.raises(Conflict):
        client.retry("job-1")
    assert server.count("POST", "/api/jobs/job-1/retry") == 2


def test_lost_answer_to_a_retry_is_not_asked_again(server: ScriptedServer, client: Switchyard) -> None:
    """The first may have been heard, and the second would be told of a conflict."""
    server.job().run().fail()
    server.faults = ["dropped"]
    with pytest.raises(ConnectionFailed):
        client.retry("job-1")
    assert server.count("POST", "/api/jobs/job-1/retry") == 1


def test_many_jobs_are_changed_by_filter(server: ScriptedServer, client: Switchyard) -> None:
    """Each act has its call; the filters are those of the list."""
    server.job("job-1").run().fail()
    server.job("job-2")
    assert (client.retry_many(state="failed", confirm=True).changed, client.cancel_many(confirm=True).matched) == (1, 2)
    answer = client.erase_many(confirm=True, limit=1)
    assert (answer.matched, answer.changed, answer.more) == (2, 1, True)


def test_many_jobs_are_not_changed_unconfirmed(server: ScriptedServer, client: Switchyard) -> None:
    """The refusal says how many it would be."""
    server.job()
    with pytest.raises(InputRejected, match="would erase 1") as refused:
        client.erase_many()
    assert refused.value.code == "confirmation_required"

"""Logs and artifacts."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing

import pytest

from app.openapi import API
from app.services import Services, services_of
from tasks.core.artifacts import LOG_NAME
from tasks.core.kernel import Kernel
from tasks.core.ledger import transitions
from tasks.core.records import Job
from tests.app.conftest import Caller, claim, sign_in


def write_log(kernel: Kernel, job: Job, *lines: tuple[str, str]) -> None:
    """Write ``(level, line)`` pairs as an attempt does."""
    path = kernel.artifacts.folder(job.id, job.fence) / LOG_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as out:
        for n, (level, line) in enumerate(lines, start=1):
            row = {"at": "2026-01-01T00:00:00.000Z", "attempt": job.attempt, "fence": job.fence, "n": n}
            out.write(json.dumps(row | {"level": level, "stream": "engine", "line": line}) + "\n")


@pytest.fixture
def job(alice: Caller, services: Services) -> Job:
    """Alice's running job."""
    return claim(services.kernel, alice.submit()["id"])


def save(services: Services, job: Job, name: str, content: bytes, media_type: str) -> str:
    """Keep an artifact; return its path in the API."""
    services.kernel.artifacts.save(job.id, name, content, fence=job.fence, attempt=1, media_type=media_type)
    return f"/api/jobs/{job.id}/artifacts/{name}"


def test_log_of_a_job_that_has_not_run_is_empty(alice: Caller) -> None:
    """No lines is an answer."""
    page = alice.get(f"/api/jobs/{alice.submit()['id']}/logs").json
    assert page == {"lines": [], "total": 0, "next_offset": None}


def test_log_pages_have_true_totals(alice: Caller, services: Services, job: Job) -> None:
    """Following `next_offset` meets every line once."""
    write_log(services.kernel, job, *[("info", f"line {n}") for n in range(5)])
    path, seen, offset = f"/api/jobs/{job.id}/logs", [], 0
    while offset is not None:
        page = alice.get(f"{path}?limit=2&offset={offset}").json
        assert page["total"] == 5
        seen += [line["line"] for line in page["lines"]]
        offset = page["next_offset"]
    assert seen == [f"line {n}" for n in range(5)]


def test_level_is_the_least_that_is_shown(alice: Caller, services: Services, job: Job) -> None:
    """Lines below the level are neither shown nor counted."""
    write_log(services.kernel, job, ("debug", "a"), ("warning", "b"), ("error", "c"))
    page = alice.get(f"/api/jobs/{job.id}/logs?level=warning").json
    assert ([line["line"] for line in page["lines"]], page["total"]) == (["b", "c"], 2)


def test_log_goes_over_all_attempts_in_order(alice: Caller, services: Services, job: Job) -> None:
    """A second attempt's lines come after the first's."""
    write_log(services.kernel, job, ("info", "first"))
    transitions.requeue(services.kernel.ledger, job.id, fence=job.fence, cause="worker_lost")
    write_log(services.kernel, claim(services.kernel, job.id), ("info", "second"))
    lines = alice.get(f"/api/jobs/{job.id}/logs").json["lines"]
    assert [(line["attempt"], line["line"]) for line in lines] == [(1, "first"), (2, "second")]


def test_half_written_line_waits(alice: Caller, services: Services, job: Job) -> None:
    """A line that the worker is still writing is not shown, and breaks nothing."""
    write_log(services.kernel, job, ("info", "whole"))
    with (services.kernel.artifacts.folder(job.id, job.fence) / LOG_NAME).open("a") as out:
        out.write('{"at": "2026-')
    assert alice.get(f"/api/jobs/{job.id}/logs").json["total"] == 1


def test_lines_that_only_the_stream_has_are_added_once(make_app: Callable[..., API], redis_server: str) -> None:
    """The file and the stream tell one log."""
    app = make_app(redis_url=redis_server)
    alice, kernel = sign_in(app, "alice"), services_of(app).kernel
    job = claim(kernel, alice.submit()["id"])
    write_log(kernel, job, ("info", "both"))
    for n, line in enumerate(("both", "stream only"), start=1):
        data = {"line": line, "level": "info", "stream": "engine", "n": n}
        kernel.events.append(job.id, "log", data, fence=job.fence, attempt=1)
    lines = alice.get(f"/api/jobs/{job.id}/logs").json["lines"]
    assert [line["line"] for line in lines] == ["both", "stream only"]


def test_artifacts_are_listed_with_their_digests(alice: Caller, services: Services, job: Job) -> None:
    """A client can check what it fetched."""
    save(services, job, "out/pages.jsonl", b"{}\n", "application/x-ndjson")
    (artifact,) = alice.get(f"/api/jobs/{job.id}/artifacts").json["artifacts"]
    assert (artifact["name"], artifact["size_bytes"], artifact["attempt"]) == ("out/pages.jsonl", 3, 1)
    assert alice.get(artifact["href"]).data == b"{}\n"


def test_plain_data_is_shown_with_its_type(alice: Caller, services: Services, job: Job) -> None:
    """Plain data may be looked at."""
    response = alice.get(save(services, job, "a.csv", b"a,b\n", "text/csv"))
    assert response.mimetype == "text/csv"
    assert "attachment" not in response.headers.get("Content-Disposition", "")


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/pdf", "text/html; charset=utf-8"])
def test_anything_else_is_a_download(alice: Caller, services: Services, job: Job, media_type: str) -> None:
    """A page that a crawl saved must not run in our origin."""
    response = alice.get(save(services, job, "page", b"<script>", media_type))
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]


def test_range_gives_a_part(alice: Caller, services: Services, job: Job) -> None:
    """A broken download can go on."""
    path = save(services, job, "a.txt", b"0123456789", "text/plain")
    response = alice.get(path, headers={"Range": "bytes=2-4"})
    assert (response.status_code, response.data) == (206, b"234")
    assert response.headers["Content-Range"] == "bytes 2-4/10"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=0-1,4-5", "bytes=4-2-1", "line", ""])
def test_range_of_another_kind_is_ignored(alice: Caller, services: Services, job: Job, wanted: str) -> None:
    """An unknown unit must be (RFC 9110, 14.2); several parts may be, and the client gets the whole file."""
    path = save(services, job, "a.txt", b"0123456789", "text/plain")
    response = alice.get(path, headers={"Range": wanted})
    assert (response.status_code, response.data) == (200, b"0123456789")


def test_range_beyond_the_end_is_416(alice: Caller, services: Services, job: Job) -> None:
    """What is not there cannot be sent."""
    path = save(services, job, "a.txt", b"0123456789", "text/plain")
    response = alice.get(path, headers={"Range": "bytes=99-"})
    assert (response.status_code, response.json["code"]) == (416, "range_not_satisfiable")


def test_artifact_etag_answers_304(alice: Caller, services: Services, job: Job) -> None:
    """An unchanged file is not sent again."""
    path = save(services, job, "a.txt", b"x", "text/plain")
    etag = alice.get(path).headers["ETag"]
    assert alice.get(path, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    "name", ["b.txt", "../a.txt", "%2e%2e/secret", "a.txt/", ".hidden", "a%00b", "x/../../1/a.txt"]
)
def test_name_that_is_no_artifact_is_404(alice: Caller, services: Services, job: Job, name: str) -> None:
    """Names reach nothing but this job's files."""
    save(services, job, "a.txt", b"x", "text/plain")
    assert alice.get(f"/api/jobs/{job.id}/artifacts/{name}").status_code == 404


LINES = b"".join(
    json.dumps({"url": f"https://a.example/{name}", "title": name, "text": f"# {name}", "status": 200, "depth": 1})
    .encode() + b"\n"
    for name in ("one", "two")
)  # fmt: skip
LINE_TYPE = "application/x-ndjson"


@pytest.fixture
def crawl(alice: Caller, services: Services) -> Job:
    """Alice's running crawl."""
    accepted = alice.post("/api/jobs/crawling.site", json={"params": {"url": "https://a.example/"}})
    return claim(services.kernel, accepted.json["id"])


def test_pages_are_given_in_the_format_that_is_asked_for(alice: Caller, services: Services, crawl: Job) -> None:
    """By name, or by the media type that the client likes best; else as they are."""
    path = save(services, crawl, "pages.jsonl", LINES, LINE_TYPE)
    for one in (alice.get(path), alice.get(f"{path}?format=jsonl"), alice.get(path, headers={"Accept": "*/*"})):
        assert (LINES, LINE_TYPE, "Accept") == (one.data, one.mimetype, one.headers["Vary"])
    for one in (alice.get(f"{path}?format=markdown"), alice.get(path, headers={"Accept": "application/zip"})):
        assert ("application/zip", "attachment; filename=pages.zip") == (
            one.mimetype,
            one.headers["Content-Disposition"],
        )
        with zipfile.ZipFile(io.BytesIO(one.data)) as archive:
            assert ["a.example/one.md", "a.example/two.md"] == archive.namelist()
    by_type = alice.get(path, headers={"Accept": "application/vnd.sqlite3"})
    by_name = alice.get(f"{path}?format=sqlite")
    assert by_name.data == by_type.data
    assert (len(by_name.data), "application/vnd.sqlite3") == (by_name.content_length, by_name.mimetype)
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(by_name.data)
        assert [("one",), ("two",)] == database.execute("SELECT title FROM pages ORDER BY url").fetchall()


def test_a_format_that_the_client_has_is_not_made_again(alice: Caller, services: Services, crawl: Job) -> None:
    """Each has an ETag of its own; asking for the head makes none."""
    path = save(services, crawl, "pages.jsonl", LINES, LINE_TYPE)
    etags = set()
    for form in ("jsonl", "markdown", "sqlite"):
        first = alice.get(f"{path}?format={form}")
        etags.add(first.headers["ETag"])
        again = alice.get(f"{path}?format={form}", headers={"If-None-Match": first.headers["ETag"]})
        assert (304, b"") == (again.status_code, again.data)
        assert first.mimetype == alice.open("HEAD", f"{path}?format={form}").mimetype
    assert 3 == len(etags)


def test_other_files_have_one_format(alice: Caller, services: Services, crawl: Job, job: Job) -> None:
    """Of the same name, too, where the job is no crawl; a format that is none is named."""
    other = save(services, crawl, "changes.jsonl", LINES, LINE_TYPE)
    same_name = save(services, job, "pages.jsonl", LINES, LINE_TYPE)
    for path in (other, same_name):
        refused = alice.get(f"{path}?format=sqlite")
        assert (422, "format") == (refused.status_code, refused.json["errors"][0]["field"])
        assert LINES == alice.get(path, headers={"Accept": "application/zip"}).data
    assert 422 == alice.get(f"{save(services, crawl, 'pages.jsonl', LINES, LINE_TYPE)}?format=pdf").status_code

"""Crawls of sites that misbehave, and crawls that are stopped."""

import asyncio
import socket
import time
from pathlib import Path
from threading import Event, Timer

import httpx
import pytest

from tasks.core.egress import Egress
from tasks.core.errors import AppError, EgressRefused, InputRejected, JobCancelled, Permanent, TooLarge, Transient
from tasks.crawling.contract import SiteRequest, StopReason
from tasks.crawling.engine import site as engine
from tasks.crawling.engine import walk
from tasks.crawling.engine.fetch import FetchFailed, FetchLimits
from tasks.crawling.engine.shared_turns import SharedTurns
from tasks.crawling.engine.start import start_error
from tasks.crawling.records import FailureReason
from tests.crawling.conftest import QUICK, Crawl, FailingWeb, MakeJob
from tests.crawling.local_site import LocalSite, Reply
from tests.fakes import FakeJob
from tests.samples import children


def test_broken_pages_do_not_fail_the_crawl(site: LocalSite, crawl: Crawl) -> None:
    """Each is counted by its reason, logged and shown; the rest is kept."""
    site.page("/", "/404", "/500", "/loop", "/large", "/slow", "/ok")
    site.answers["/500"] = Reply(status=500)
    site.answers["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    site.answers["/large"] = Reply(b"x" * 9000)
    site.page("/slow", delay_s=9)
    site.page("/ok")
    limits = FetchLimits(request_s=0.2, retries=0)
    done = crawl(max_page_bytes=8000, limits=limits)
    assert done.paths == ["/", "/ok"]
    assert set(done.result.failed_by_reason) == {"http_4xx", "http_5xx", "redirects", "too_large", "timeout"}
    assert done.result.is_mostly_failed
    assert len([line for line in done.job.lines if line.startswith("warning")]) == 5
    told = {error.reason: error.message for error in done.result.errors}
    assert "larger than 8000 bytes (max_page_bytes); raise max_page_bytes" == told[FailureReason.TOO_LARGE]


def test_sample_of_errors_is_bounded(site: LocalSite, crawl: Crawl) -> None:
    """The result stays small; the log has every line."""
    site.page("/", *(f"/missing/{n}" for n in range(30)))
    done = crawl()
    assert (len(done.result.errors), done.result.pages_failed, len(done.job.lines)) == (20, 30, 30)


def test_endless_failures_end(site: LocalSite, crawl: Crawl) -> None:
    """What brings no page has a cap of its own: four times the page cap and a hundred."""
    site.page("/", *(f"/missing/{n}" for n in range(300)))
    result = crawl(max_pages=2).result
    assert (result.stopped_by, result.pages_ok) == (StopReason.MAX_REQUESTS, 1)
    assert result.pages_failed == 107


def test_disallowed_links_do_not_use_up_the_requests(site: LocalSite, crawl: Crawl) -> None:
    """They cost none."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /p/\n")
    site.page("/", *(f"/p/{n}" for n in range(200)), "/last")
    site.page("/last")
    assert crawl(max_pages=5).paths == ["/", "/last"]


def test_site_that_stops_answering_ends_the_crawl(
    site: LocalSite, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pages kept so far, rather than after an hour of timeouts."""
    monkeypatch.setattr(walk, "UNANSWERED_UNTIL_DOWN", 4)
    site.page("/", *(f"/{n}" for n in range(60)))
    for n in range(60):
        site.page(f"/{n}", delay_s=9)
    done = crawl(concurrency=2, limits=FetchLimits(request_s=0.1, retries=0))
    assert (done.paths, done.result.stopped_by) == (["/"], StopReason.SITE_DOWN)
    assert done.result.pages_failed < 8


@pytest.mark.parametrize(
    ("answer", "error", "needle"),
    [
        (Reply(status=404), InputRejected, "answered 404"),
        (Reply(status=403), InputRejected, "answered 403: the site does not let this crawler in"),
        (Reply(status=500), Transient, "answered 500"),
        (Reply(status=429), Transient, "answered 429"),
        (Reply(b"%PDF", headers={"Content-Type": "application/pdf"}), InputRejected, "application/pdf"),
        (Reply(status=408), Transient, "answered 408"),
        (Reply(status=404), InputRejected, "the URL must be of a page that exists"),
        (Reply(status=302, headers={"Location": "/"}), InputRejected, "redirected too often; give the address of"),
        (Reply(b"x" * 9000), InputRejected, r"larger than 8000 bytes \(max_page_bytes\); raise max_page_bytes$"),
        (Reply(b"x" * 7000), InputRejected, "has 7000 bytes; raise max_total_bytes"),
        (Reply(delay_s=9), Transient, "in time"),
    ],
)
def test_start_url_that_is_no_page_fails_the_job(
    site: LocalSite, crawl: Crawl, answer: Reply, error: type[AppError], needle: str
) -> None:
    """For good where it stands, to be tried again where it may pass."""
    site.answers["/"] = answer
    with pytest.raises(error, match=needle):
        crawl(max_page_bytes=8000, max_total_bytes=6000, limits=FetchLimits(request_s=0.2, retries=0))


@pytest.mark.parametrize("status", [500, 503])
def test_unreachable_robots_of_the_start_is_tried_again_later(site: LocalSite, crawl: Crawl, status: int) -> None:
    """Nothing of the site may be fetched meanwhile, so the attempt ends."""
    site.answers["/robots.txt"] = Reply(status=status)
    site.page("/")
    with pytest.raises(Transient, match=r"robots\.txt of .* may be fetched"):
        crawl()
    assert site.targets() == []


def test_disallowed_start_url_fails_the_job(site: LocalSite, crawl: Crawl) -> None:
    """With a code of its own; no page is asked for."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /\n")
    with pytest.raises(Permanent, match=r"disallows the start URL .* let respect_robots be false") as caught:
        crawl()
    assert (caught.value.code, site.targets()) == ("robots_disallowed", [])


def test_disallowed_start_url_is_fetched_where_robots_are_not_obeyed(site: LocalSite, crawl: Crawl) -> None:
    """That is what respect_robots is for."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /\n")
    site.page("/")
    assert crawl(respect_robots=False, delay_s=None, max_pages=1).paths == ["/"]


def test_nobody_listening_is_transient(crawl: Crawl, site: LocalSite, make_job: MakeJob) -> None:
    """The server may be restarting."""
    job = make_job(site)
    job.http = RefusingEgress(httpx.ConnectError("refused"))
    with pytest.raises(Transient, match="refused"):
        crawl(job=job)


def test_refused_address_is_refused_as_such(crawl: Crawl, site: LocalSite, make_job: MakeJob) -> None:
    """Not as a mere failure to fetch."""
    job = make_job(site)
    job.http = RefusingEgress(EgressRefused("not allowed"))
    with pytest.raises(EgressRefused, match="not allowed"):
        crawl(job=job)


@pytest.mark.parametrize(("errno", "error"), [(socket.EAI_NONAME, InputRejected), (socket.EAI_AGAIN, Transient)])
def test_unknown_host_is_rejected_and_a_silent_name_server_is_not(errno: int, error: type[AppError]) -> None:
    """By what the lookup said, however deep in the chain of causes."""
    failure = FetchFailed("connection failed", reason=FailureReason.CONNECTION)
    failure.__cause__ = httpx.ConnectError("no")
    failure.__cause__.__context__ = socket.gaierror(errno, "no")
    assert type(start_error(failure, url="http://x.invalid/")) is error


@pytest.mark.parametrize(
    ("reason", "cause", "error"),
    [
        (FailureReason.RENDERING, Transient("The browser was not done after 45 s"), Transient),
        (FailureReason.RENDERING, TooLarge("more than a visit may load"), InputRejected),
        (FailureReason.RENDERING, EgressRefused("not allowed"), EgressRefused),
        (FailureReason.PROTOCOL, httpx.RemoteProtocolError("no HTTP"), Transient),
    ],
)
def test_start_page_that_fails_for_no_fault_of_the_url_does_not_blame_it(
    reason: FailureReason, cause: Exception, error: type[AppError]
) -> None:
    """What may pass is tried again."""
    failure = FetchFailed("it failed", reason=reason)
    failure.__cause__ = cause
    told = start_error(failure, url="http://x.example/")
    assert type(told) is error
    assert "page that exists" not in told.message


class RefusingEgress(Egress):
    """Every request ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def downloads(self, **options: object) -> FailingWeb:  # type: ignore[override]
        return FailingWeb(self.error)


def test_time_allowed_ends_the_crawl_with_its_pages(site: LocalSite, crawl: Crawl) -> None:
    """What was kept until then is the result."""
    site.page("/", "/slow")
    site.page("/slow", delay_s=9)
    started = time.monotonic()
    done = crawl(max_duration_s=1, limits=FetchLimits(request_s=5))
    assert (done.paths, done.result.stopped_by) == (["/"], StopReason.MAX_DURATION)
    assert time.monotonic() - started < 2


def test_time_allowed_that_brings_no_page_fails_the_job(site: LocalSite, crawl: Crawl) -> None:
    """Such as by a Crawl-delay longer than it."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 60\n")
    site.page("/")
    with pytest.raises(Permanent, match=r"no page within 1 s .* asks for 60 s between requests \(Crawl-delay\); raise"):
        crawl(max_duration_s=1)
    site.answers["/robots.txt"] = Reply(delay_s=9)
    with pytest.raises(Permanent, match=r"no page within 1 s \(max_duration_s\); raise max_duration_s$"):
        crawl(max_duration_s=1, limits=FetchLimits(request_s=9))


def test_time_allowed_that_goes_by_in_a_line_of_crawls_is_given_again(
    site: LocalSite, crawl: Crawl, make_job: MakeJob
) -> None:
    """Others were before it at the host; once they have ended its turn comes at once."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 0.4\n")
    site.page("/")
    job = make_job(site)

    async def take_turns() -> None:
        with SharedTurns(job.sharedir) as turns:
            for _ in range(20):
                await turns.reserve(f"127.0.0.1:{site.port}", 0.4)

    asyncio.run(take_turns())
    with pytest.raises(Transient, match=r"asks for 0\.4 s .* others are before this one; raise max_duration_s"):
        crawl(job=job, max_duration_s=1)


@pytest.mark.parametrize("after", [1, 3])
def test_cancel_at_a_page_stops_there(site: LocalSite, crawl: Crawl, make_job: MakeJob, after: int) -> None:
    """No further page is reported and nothing is saved."""
    site.page("/", *(f"/{n}" for n in range(20)))
    for n in range(20):
        site.page(f"/{n}")
    job = make_job(site, cancel_after=after)
    with pytest.raises(JobCancelled):
        crawl(job=job)
    assert (len(job.reports), job.saved) == (after, {})


@pytest.mark.parametrize("slow", ["/robots.txt", "/", "/sitemap.xml", "/a"])
def test_cancel_waits_for_no_answer(site: LocalSite, crawl: Crawl, make_job: MakeJob, slow: str) -> None:
    """Whatever the crawl waits for."""
    site.page("/", "/a")
    site.page("/a")
    site.answers[slow] = Reply(delay_s=9)
    job = make_job(site)
    timer = Timer(0.3, lambda: setattr(job, "is_cancelled", True))
    timer.start()
    started = time.monotonic()
    with pytest.raises(JobCancelled):
        crawl(job=job, limits=FetchLimits(request_s=9))
    assert time.monotonic() - started < 6
    timer.join()


def test_cancel_does_not_wait_for_a_hanging_name_lookup(crawl: Crawl, tmp_path: Path) -> None:
    """It cannot be interrupted, so it is left behind."""
    released = Event()

    def hanging(_host: str, _port: int) -> list[str]:
        released.wait(5)
        return []

    with Egress(resolver=hanging) as egress:
        job = FakeJob(workdir=tmp_path, http=egress)
        Timer(0.1, lambda: setattr(job, "is_cancelled", True)).start()
        started = time.monotonic()
        with pytest.raises(JobCancelled):
            engine.crawl(SiteRequest(url="http://example.com/", delay_s=0), job, limits=QUICK)
        assert time.monotonic() - started < 1.7
        released.set()


def test_crawl_with_its_processes_leaves_none_behind(site: LocalSite, make_job: MakeJob) -> None:
    """Neither when it ends nor when it is cancelled at a page."""
    site.page("/", "/a", "/b")
    site.page("/a")
    site.page("/b")
    request = SiteRequest(url=f"{site.url}/", delay_s=0)
    result = engine.crawl(request, make_job(site), limits=QUICK)
    assert result.pages_ok == 3
    with pytest.raises(JobCancelled):
        engine.crawl(request, make_job(site, cancel_after=2), limits=QUICK)
    assert children("extraction_process") == []

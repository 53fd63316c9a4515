"""One URL over HTTP."""

import asyncio
import gzip
import socket
from datetime import timedelta
from email.utils import format_datetime

import pytest

from tasks.core.clock import now
from tasks.core.errors import EgressRefused, TooLarge
from tasks.crawling.engine.fetch import Fetched, Fetcher, FetchFailed, FetchLimits, FetchSkipped
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.tally import SkipReason
from tasks.crawling.records import FailureReason
from tests.crawling.conftest import QUICK, FailingWeb, web_of
from tests.crawling.local_site import LocalSite, Reply

HTML = frozenset({"text/html"})


def fetch(url: str, *, web: FailingWeb | None = None, limits: FetchLimits = QUICK, **options: object) -> Fetched:
    async def run() -> Fetched:
        async with web or web_of(url) as used:
            fetcher = Fetcher(used, Politeness(delay_s=0, concurrency=4), user_agent="TestBot/1.0", limits=limits)
            return await fetcher.fetch(url, **{"max_bytes": 10_000, "types": HTML, **options})  # type: ignore[arg-type]

    return asyncio.run(run())


def failure(url: str, **options: object) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        fetch(url, **options)  # type: ignore[arg-type]
    return caught.value


def test_page_comes_with_its_charset_and_our_name(site: LocalSite) -> None:
    """The body is decoded from its content encoding; the user agent is what the request said."""
    site.answers["/"] = Reply(
        gzip.compress(b"hello"), headers={"Content-Encoding": "gzip", "Content-Type": "text/html; charset=koi8-r"}
    )
    assert fetch(f"{site.url}/") == Fetched(url=f"{site.url}/", status=200, charset="koi8-r", body=b"hello")
    assert site.hits[0].headers["User-Agent"] == "TestBot/1.0"


def test_redirects_are_followed_to_their_end(site: LocalSite) -> None:
    """Relative and absolute ones; the fetched address is the last."""
    site.answers["/a"] = Reply(status=301, headers={"Location": "b#part"})
    site.answers["/b"] = Reply(status=307, headers={"Location": f"{site.url}/c"})
    site.page("/c")
    assert fetch(f"{site.url}/a").url == f"{site.url}/c"


@pytest.mark.parametrize(("location", "asked"), [("/caf\u00c3\u00a9", "/caf%C3%A9"), ("/caf\u00e9", "/caf%C3%A9")])
def test_redirect_in_raw_letters_is_read_as_browsers_do(site: LocalSite, location: str, asked: str) -> None:
    """Servers write UTF-8 where only ASCII is allowed, and old ones Latin-1; the headers here go out as Latin-1."""
    site.answers["/a"] = Reply(status=302, headers={"Location": location})
    site.page(asked)
    assert fetch(f"{site.url}/a").url == f"{site.url}{asked}"


def test_redirect_loop_ends(site: LocalSite) -> None:
    """After ten redirects."""
    site.answers["/a"] = Reply(status=302, headers={"Location": "/a"})
    assert failure(f"{site.url}/a").reason is FailureReason.REDIRECTS
    assert len(site.hits) == 11


@pytest.mark.parametrize("headers", [{"Location": "ftp://x/"}, {}, {"Location": "http://[x"}])
def test_redirect_to_nowhere_fails(site: LocalSite, headers: dict[str, str]) -> None:
    """Other schemes and missing or broken targets are reported, not guessed."""
    site.answers["/a"] = Reply(status=302, headers=headers)
    assert failure(f"{site.url}/a").reason is FailureReason.REDIRECTS


def test_judge_ends_a_redirect(site: LocalSite) -> None:
    """The target is not asked for, and its reason is handed on."""
    site.answers["/a"] = Reply(status=302, headers={"Location": "/b"})

    async def judge(target: str) -> SkipReason | None:
        return "scope"

    with pytest.raises(FetchSkipped) as caught:
        fetch(f"{site.url}/a", judge=judge)
    assert (caught.value.reason, site.targets()) == ("scope", ["/a"])


def test_other_type_is_skipped_unread(site: LocalSite) -> None:
    """A PDF is no page and no failure."""
    site.answers["/a"] = Reply(b"%PDF", headers={"Content-Type": "application/pdf"})
    with pytest.raises(FetchSkipped) as caught:
        fetch(f"{site.url}/a")
    assert caught.value.reason == "type"


def test_absent_type_is_read(site: LocalSite) -> None:
    """Small servers forget the header."""
    site.answers["/a"] = Reply(b"hello", headers={"Content-Type": ""})
    assert fetch(f"{site.url}/a").body == b"hello"


def test_body_over_the_cap_fails_decoded(site: LocalSite) -> None:
    """The cap counts what the body becomes, not what came over the wire."""
    site.answers["/a"] = Reply(gzip.compress(b"x" * 10_001), headers={"Content-Encoding": "gzip"})
    assert failure(f"{site.url}/a").reason is FailureReason.TOO_LARGE
    site.answers["/a"] = Reply(b"x" * 10_000)
    assert len(fetch(f"{site.url}/a").body) == 10_000


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (404, FailureReason.HTTP_4XX, 1),
        (403, FailureReason.HTTP_4XX, 1),
        (429, FailureReason.HTTP_4XX, 2),
        (500, FailureReason.HTTP_5XX, 2),
        (503, FailureReason.HTTP_5XX, 2),
        (501, FailureReason.HTTP_5XX, 1),
        (304, FailureReason.PROTOCOL, 1),
    ],
)
def test_status_decides_whether_it_is_tried_again(
    site: LocalSite, status: int, reason: FailureReason, requests: int
) -> None:
    """What may pass is tried again, once here; what stands is not."""
    site.answers["/a"] = Reply(status=status)
    found = failure(f"{site.url}/a")
    assert (found.reason, found.status, len(site.hits)) == (reason, status, requests)


def test_retry_that_succeeds_is_a_success(site: LocalSite) -> None:
    """One bad moment of the server costs nothing but time."""
    site.answers["/a"] = lambda times: Reply(status=503) if times == 0 else Reply(b"hello")
    assert fetch(f"{site.url}/a").body == b"hello"


def test_retry_after_is_kept(site: LocalSite) -> None:
    """A server that names a time is not asked before, up to the longest pause."""
    site.answers["/a"] = lambda times: Reply(status=429, headers={"Retry-After": "7"}) if times == 0 else Reply(b"hi")
    fetch(f"{site.url}/a")
    assert site.hits[1].at - site.hits[0].at >= QUICK.longest_pause_s


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        ("3600", 3600, 3600),
        ("in an hour", 3500, 3600),
        ("an hour ago", 0, 0),
        ("soon", None, None),
        ("9" * 9, None, None),
        (f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    site: LocalSite, wait: str, least: float | None, most: float | None
) -> None:
    """RFC 9110, 10.2.3; what is neither says nothing."""
    hours = {"in an hour": 1, "an hour ago": -1}
    if wait in hours:
        wait = format_datetime(now() + timedelta(hours=hours[wait]), usegmt=True)
    site.answers["/a"] = Reply(status=503, headers={"Retry-After": wait})
    found = failure(f"{site.url}/a").retry_after_s
    assert found == least or (least is not None and most is not None and found is not None and least <= found <= most)


def test_content_type_that_reads_as_no_number_says_no_charset(site: LocalSite) -> None:
    """The parts of a parameter are numbered; one of 5,000 digits is refused by Python."""
    site.answers["/a"] = Reply(b"x", headers={"Content-Type": f"text/html; charset*{'1' * 5000}=x"})
    assert fetch(f"{site.url}/a").body == b"x"


def test_slow_page_times_out(site: LocalSite) -> None:
    """One request has its time, however steadily it drips."""
    site.page("/a", delay_s=5)
    found = failure(f"{site.url}/a", limits=FetchLimits(request_s=0.1, retries=0))
    assert found.reason is FailureReason.TIMEOUT


def test_closed_port_is_a_failed_connection() -> None:
    """Nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/").reason is FailureReason.CONNECTION


def test_broken_content_encoding_is_a_broken_answer(site: LocalSite) -> None:
    """It says gzip and is not."""
    site.answers["/a"] = Reply(b"not gzip", headers={"Content-Encoding": "gzip"})
    assert failure(f"{site.url}/a").reason is FailureReason.PROTOCOL


@pytest.mark.parametrize(
    ("error", "reason"), [(EgressRefused("no"), FailureReason.REFUSED), (TooLarge("no"), FailureReason.TOO_LARGE)]
)
def test_refusal_of_the_guard_keeps_its_cause(error: Exception, reason: FailureReason) -> None:
    """So that a refused start URL can fail the job as what it is."""
    found = failure("http://example.org/", web=FailingWeb(error))
    assert (found.reason, found.__cause__) == (reason, error)

"""Pictures of a crawl's first pages: what is kept where the browser cannot show them."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.errors import AppError, EngineUnavailable, Transient
from tasks.core.web_address import host_of
from tasks.crawling.contract import SiteRequest
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.screenshots import keep_screenshots
from tasks.crawling.engine.shared_turns import SharedTurns
from tests.crawling.conftest import Crawl, MakeJob
from tests.crawling.local_site import LocalSite, Reply


class Browser:
    """Draws what its function gives, which gets how often it was asked before."""

    def __init__(self, draw: Callable[[int], bytes | AppError]) -> None:
        self.asked = 0
        self._draw = draw

    def visit(self, _work: object, *, timeout_s: float, options: object) -> tuple[bytes, None]:
        self.asked += 1
        drawn = self._draw(self.asked - 1)
        if isinstance(drawn, AppError):
            raise drawn
        return drawn, None


@pytest.fixture(autouse=True)
def pages(site: LocalSite) -> None:
    site.page("/", "".join(f"<a href='/{number}'>{number}</a>" for number in range(3)))
    for number in range(3):
        site.page(f"/{number}", text=f"Page {number}.")


def test_a_page_that_cannot_be_shown_is_named(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """The others are shown, and no more of them than were asked for."""
    job = make_job(site)
    job.browser = browser = Browser(lambda at: Transient("it hangs") if at == 1 else b"picture")
    done = crawl(job=job, screenshots=3, render="never")
    assert (2, 4, 3) == (done.result.screenshots, done.result.pages_ok, browser.asked)
    assert {"screenshot-1.png", "screenshot-2.png", "screenshots.jsonl"} <= set(job.saved)
    # The pages are in the order in which they were kept, which is that of their answers.
    (told,) = [line for line in job.lines if "picture" in line]
    assert told in {f"warning {site.url}/{number}: no picture: it hangs" for number in range(3)}


def test_a_machine_without_a_browser_keeps_the_pages(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """It says so once; and a crawl that asks for none opens none."""
    job = make_job(site)
    job.browser = browser = Browser(lambda _: EngineUnavailable("no Chromium"))
    done = crawl(job=job, screenshots=3, render="never")
    assert (0, 4, 1) == (done.result.screenshots, done.result.pages_ok, browser.asked)
    assert ["warning no page has a picture: no Chromium"] == [line for line in job.lines if "picture" in line]
    crawl(job=make_job(site), render="never")
    assert 1 == browser.asked


def test_pictures_take_turns_at_hosts_that_ask_for_a_delay(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Each host's own delay, and after the turns that other crawls have taken; the start's states none."""
    delay_s = 0.3
    with LocalSite().serving() as slow:
        slow.answers["/robots.txt"] = Reply(f"User-agent: *\nCrawl-delay: {delay_s}\n".encode())
        for path in ("/a", "/b"):
            slow.page(path, text=f"Page {path}.")
        site.page("/", f"<a href='{slow.url}/a'>a</a><a href='{slow.url}/b'>b</a>")
        job = make_job(site, slow)
        drawn: list[float] = []

        def draw(at: int) -> bytes:
            drawn.append(time.monotonic())
            if at == 0:  # the start page; another crawl takes the next turns
                asyncio.run(take_turns(job.sharedir, host_of(f"{slow.url}/"), delay_s))
            return b"picture"

        job.browser = Browser(draw)
        result = crawl(job=job, screenshots=3, render="never", scope="any").result
    assert (3, 0) == (result.screenshots, result.delay_s)
    assert drawn[1] - drawn[0] > 2 * delay_s - 0.01
    assert drawn[2] - drawn[1] > delay_s / 2


async def take_turns(folder: Path, host: str, delay_s: float) -> None:
    """Take three turns, as another crawl would."""
    with SharedTurns(folder) as turns:
        for _ in range(3):
            await turns.reserve(host, delay_s)


def test_pictures_for_which_there_is_no_time_are_counted(
    site: LocalSite, crawl: Crawl, make_job: MakeJob, tmp_path: Path
) -> None:
    """With what limits them and what to do."""
    job = make_job(site)
    job.browser = browser = Browser(lambda _: b"picture")
    done = crawl(job=job, render="never")
    request = SiteRequest(url=f"{site.url}/", screenshots=3, max_duration_s=60)
    pages = tmp_path / "kept.jsonl"
    pages.write_bytes(job.saved["pages.jsonl"])
    politeness = Politeness(delay_s=30, concurrency=1)
    politeness.gate(host_of(f"{site.url}/")).slow_to(30)
    result = done.result.model_copy(update={"duration_s": 45.0})
    assert 0 == keep_screenshots(pages, request, result, job, politeness=politeness)
    told = "warning max_duration_s (60) is used up: 3 of 3 pages have no picture; raise it"
    assert ([told], 0) == ([line for line in job.lines if "picture" in line], browser.asked)


def test_a_page_that_sends_its_reader_on_leads_there(site: LocalSite, crawl: Crawl) -> None:
    """By an element, as where a site's root only names its newest version; not by one that loads it again."""
    site.page("/", "<meta http-equiv='Refresh' content='0; URL=\"/1\"'><meta http-equiv=refresh content=300>")
    site.page("/1", "<noscript><meta http-equiv=refresh content='0;url=/2'></noscript>", text="Page 1.")
    assert ["/", "/1"] == crawl(render="never").paths

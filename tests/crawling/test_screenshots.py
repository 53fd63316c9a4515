"""Pictures of a crawl's first pages: what is kept where the browser cannot show them."""

from collections.abc import Callable

import pytest

from tasks.core.errors import AppError, EngineUnavailable, Transient
from tests.crawling.conftest import Crawl, MakeJob
from tests.crawling.local_site import LocalSite


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


def test_a_page_that_sends_its_reader_on_leads_there(site: LocalSite, crawl: Crawl) -> None:
    """By an element, as where a site's root only names its newest version; not by one that loads it again."""
    site.page("/", "<meta http-equiv='Refresh' content='0; URL=\"/1\"'><meta http-equiv=refresh content=300>")
    site.page("/1", "<noscript><meta http-equiv=refresh content='0;url=/2'></noscript>", text="Page 1.")
    assert ["/", "/1"] == crawl(render="never").paths

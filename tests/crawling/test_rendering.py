"""Pages that scripts fill, and when the browser is asked for them."""

import json
import shutil
import struct
from collections.abc import Awaitable, Callable, Iterator
from threading import Thread

import pytest

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.core.errors import EngineUnavailable, JobCancelled, Transient
from tasks.crawling.contract import PageRequest
from tasks.crawling.engine.one_page import read_page
from tasks.crawling.engine.page import parse_page, read_outline
from tasks.crawling.engine.picturing import MAX_HEIGHT_PX
from tasks.crawling.engine.rendering import VAIN_TRIES, Rendered
from tests.crawling.conftest import Crawl, MakeJob
from tests.crawling.local_site import LocalSite, Reply, html
from tests.crawling.test_delta import since
from tests.fakes import FakeJob
from tests.samples import eventually

SCRIPT = "<script src='/app.js'></script>"
SHELL = f"<!doctype html><html><head><title>App</title></head><body><div id=app></div>{SCRIPT}</body></html>".encode()
WORDS = "one two three four five six seven eight nine ten " * 3


class Browser:
    """Opens pages as its function says, which gets how often it was asked before."""

    def __init__(self, answer: Callable[[int], Rendered]) -> None:
        self.asked = 0
        self._answer = answer

    def visit(self, work: Callable[..., Awaitable[Rendered]], *, timeout_s: float, options: object) -> Rendered:
        self.asked += 1
        return self._answer(self.asked - 1)


@pytest.mark.parametrize(
    ("body", "is_shell"),
    [
        (SHELL, True),
        (SHELL.replace(b"<div id=app>", f"<div id=app>{WORDS}".encode()), False),
        (SHELL.replace(b"<div id=app>", f"<noscript>{WORDS}</noscript><template>{WORDS}</template><p>".encode()), True),
        (SHELL.replace(SCRIPT.encode(), b""), False),
        (SHELL.replace(SCRIPT.encode(), b"<script>count()</script>"), False),
        (SHELL.replace(SCRIPT.encode(), f"<script>{'x();' * 50}</script>".encode()), True),
        (SHELL.replace(SCRIPT.encode(), f"<script type='application/ld+json'>{'[1]' * 50}</script>".encode()), False),
        (b"", False),
    ],
)
def test_shell_is_a_page_with_scripts_and_without_words(body: bytes, is_shell: bool) -> None:
    """What only those see who run no scripts does not count."""
    assert read_outline(parse_page(body, charset=None), url="https://example.org/").is_shell is is_shell


def crawled_with(browser: Browser, crawl: Crawl, job: FakeJob, **fields: object) -> dict[str, object]:
    """Return why each page was opened in the browser, by path."""
    job.browser = browser
    done = crawl(job=job, **fields)
    return {str(page["url"]).removeprefix(done.base): page["rendered"] for page in done.pages}


def test_browser_is_asked_only_for_pages_without_a_text(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Its page is read, and its links are followed; the record says why."""
    site.page("/", "/app")
    site.answers["/app"] = Reply(SHELL, headers={"ETag": '"1"'})
    site.page("/deep")
    browser = Browser(lambda _: Rendered(f"{site.url}/app#/", html("/app", "/deep")))
    job = make_job(site)
    assert crawled_with(browser, crawl, job) == {"/": None, "/app": "shell", "/deep": None}
    assert browser.asked == 1
    assert b"Heading of /app" in job.saved["pages.jsonl"]


def test_page_of_scripts_is_not_taken_for_what_was_sent(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """The next crawl opens it again, although the shell has not changed; its words tell whether the page has."""
    site.answers["/"] = Reply(SHELL, headers={"ETag": '"1"'})
    texts = ["Once upon a time. ", "Once upon a time. ", "And then something else happened. "]
    browser = Browser(lambda n: Rendered(f"{site.url}/", html("/", text=texts[n] * 9)))
    first = make_job(site)
    first.browser = browser
    done = crawl(job=first)
    for told in ("unchanged", "changed"):
        job = make_job(site)
        job.browser = browser
        again = crawl(job=job, since="last", open_earlier=since(done))
        assert [page["change"] for page in again.pages] == [told]
    assert browser.asked == 3


def test_host_whose_scripts_bring_no_text_is_asked_no_more(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """After a few tries, unless another of its pages was worth it."""
    site.page("/", *(f"/{n}" for n in range(VAIN_TRIES + 2)))
    for n in range(VAIN_TRIES + 2):
        site.answers[f"/{n}"] = Reply(SHELL.replace(b"App", f"App {n}".encode()))
    browser = Browser(lambda n: Rendered(f"{site.url}/{n}", SHELL))
    job = make_job(site)
    crawled_with(browser, crawl, job, concurrency=1)
    assert browser.asked == VAIN_TRIES
    assert any("scripts bring no text" in line for line in job.lines)


def test_machine_without_a_browser_takes_pages_as_they_are(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """And says so, once; a crawl that wants every page opened cannot do without."""

    def refuse(_: int) -> Rendered:
        raise EngineUnavailable("No Chromium here")

    site.page("/", "/a", "/b")
    site.answers |= {"/a": Reply(SHELL), "/b": Reply(SHELL)}
    browser, job = Browser(refuse), make_job(site)
    assert crawled_with(browser, crawl, job, concurrency=1) == {"/": None, "/a": None, "/b": None}
    assert (browser.asked, len([line for line in job.lines if "No Chromium" in line])) == (1, 1)
    with pytest.raises(EngineUnavailable):
        crawled_with(Browser(refuse), crawl, make_job(site), render="always")


def test_page_that_the_browser_cannot_open(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """It is taken as it was sent; where every page is wanted so, it has failed."""

    def fail(n: int) -> Rendered:
        if n == 0:
            return Rendered(f"{site.url}/", html("/", "/a"))
        raise Transient("The browser failed")

    site.page("/", "/a")
    site.answers["/a"] = Reply(SHELL)
    job = make_job(site)
    assert crawled_with(Browser(lambda _: fail(1)), crawl, job) == {"/": None, "/a": None}
    assert any("taken without its scripts" in line for line in job.lines)
    job = make_job(site)
    job.browser = Browser(fail)
    done = crawl(job=job, render="always")
    assert (done.paths, done.result.failed_by_reason) == (["/"], {"rendering": 1})
    assert done.pages[0]["rendered"] == "asked_for"


def test_page_whose_scripts_lead_elsewhere(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """It is judged like a redirect."""
    site.page("/", "/in", "/out")
    site.answers |= {"/in": Reply(SHELL), "/out": Reply(SHELL)}
    places = [f"{site.url}/home", "https://elsewhere.example/"]
    browser = Browser(lambda n: Rendered(places[n], html(f"/{n}")))
    assert crawled_with(browser, crawl, make_job(site), concurrency=1) == {"/": None, "/home": "shell"}


def test_browser_is_never_asked_where_it_is_not_wanted(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Whatever the page is."""
    site.answers["/"] = Reply(SHELL)
    assert crawled_with(Browser(lambda _: pytest.fail("asked")), crawl, make_job(site), render="never") == {"/": None}


@pytest.fixture
def warm(site: LocalSite) -> Iterator[WarmBrowser]:
    """A browser that may go to the site."""
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium here: make setup installs it")
    warm = WarmBrowser(BrowserOptions(policy=EgressPolicy(allow=frozenset({f"127.0.0.1:{site.port}"}))))
    yield warm
    warm.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.xdist_group("browser")
def test_site_of_scripts_is_crawled(site: LocalSite, crawl: Crawl, make_job: MakeJob, warm: WarmBrowser) -> None:
    """With a real browser: what scripts write is read and followed, pictures are not loaded; a cancel ends it.

    The same browser then shows a page, and the first pages of another crawl.
    """
    script = b"""
      fetch('/data' + location.pathname).then(r => r.text()).then(t => { document.querySelector('#app').innerHTML = t })
    """
    site.answers["/app.js"] = Reply(script, headers={"Content-Type": "text/javascript"})
    for path, link in (("/", "/second"), ("/second", "/")):
        site.answers[path] = Reply(SHELL)
        text = (
            f"<h1>Heading of {path}</h1><p>{'Written by a script. ' * 9}</p><a href='{link}'>on</a><img src='/i.png'>"
        )
        site.answers[f"/data{path}"] = Reply(text.encode())
    job = make_job(site)
    job.browser = JobBrowser(warm, job)
    done = crawl(job=job)
    assert (done.paths, {page["rendered"] for page in done.pages}) == (["/", "/second"], {"shell"})
    assert all("Written by a script." in str(page["text"]) for page in done.pages)
    assert "/i.png" not in site.targets()
    agents = {hit.headers["User-Agent"] for hit in site.hits}
    assert agents == {"SwitchyardCrawler/0.1"}
    site.answers["/data/"] = Reply(delay_s=60)
    stuck = make_job(site)
    stuck.browser = JobBrowser(warm, stuck)
    site.hits.clear()

    def cancel_later() -> None:
        eventually(lambda: any(hit.target == "/data/" for hit in site.hits), within_s=60)
        stuck.is_cancelled = True

    thread = Thread(target=cancel_later)
    thread.start()
    with pytest.raises(JobCancelled):
        crawl(job=stuck)
    thread.join()
    # What a page says of its own height is not believed.
    lie = "Object.defineProperty(Element.prototype, 'scrollHeight', { get() { return 'none' } })"
    site.page("/tall", text="Tall. " * 20_000, head=f"<script>{lie}</script>")
    third = make_job(site)
    third.browser = JobBrowser(warm, third)
    request = PageRequest(url=f"{site.url}/tall", screenshot=True, pdf=True)
    assert read_page(request, third).artifacts == ("page.md", "pages.jsonl", "page.png", "page.pdf")
    assert (third.saved["page.png"][:4], third.saved["page.pdf"][:4]) == (b"\x89PNG", b"%PDF")
    width, height = struct.unpack(">II", third.saved["page.png"][16:24])
    assert (width, 900 < height <= MAX_HEIGHT_PX) == (1280, True)
    site.page("/home", "<a href='/tall'>on</a><a href='/jump'>on</a>", text="Home.")
    fourth = make_job(site)
    fourth.browser = JobBrowser(warm, fourth)
    done = crawl("/home", job=fourth, screenshots=2)
    shown = [json.loads(line) for line in fourth.saved["screenshots.jsonl"].splitlines()]
    assert (done.result.screenshots, [f"{site.url}/home", f"{site.url}/tall"]) == (2, [one["url"] for one in shown])
    assert {b"\x89PNG"} == {fourth.saved[one["artifact"]][:4] for one in shown}

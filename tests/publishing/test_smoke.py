"""A release that is well as files, and wrong in a browser, is taken back."""

import threading
from collections.abc import Iterator

import pytest

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.publishing.engine.verifying import VerificationFailed
from tasks.publishing.serving import SiteServer
from tests.chromium import chromium
from tests.fakes import FakeJob
from tests.publishing.bench import PAGE, SITE, Bench
from workers.sites import server_on_loopback

__all__ = ["chromium"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]


@pytest.fixture
def origin(bench: Bench) -> Iterator[str]:
    """Where ``docs`` is served, which workers may reach."""
    with server_on_loopback(SiteServer(bench.folder / "places" / "docs")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        bench.policy = EgressPolicy(allow=frozenset({f"127.0.0.1:{server.server_port}"}))
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def browser(bench: Bench, origin: str, chromium: str) -> Iterator[WarmBrowser]:
    """A browser that may visit the site."""
    warm = WarmBrowser(BrowserOptions(policy=bench.policy))
    yield warm
    warm.close()


def test_what_is_wrong_in_a_browser_is_taken_back(bench: Bench, origin: str, browser: WarmBrowser) -> None:
    """Scripts that throw, and assets that are not there; a page of another site's errors is none."""

    def job() -> FakeJob:
        made = bench.job()
        made.browser = JobBrowser(browser, made)
        return made

    well = SITE | {"app.js": "document.title += '!'\n", "index.html": PAGE.format("First").replace(
        "</body>", '<script src="app.js"></script><img src="http://127.0.0.1:9/other.png"></body>')}  # fmt: skip
    done = job()
    first = bench.publish(well, done, url=origin, smoke="browser")
    assert any("opened 2 pages without an error" in line for line in done.lines), done.lines
    for name, wrong, told in (
        ("app.js", "throw new Error('at once')", "at once"),
        ("other.html", "<title>x</title><img src=not-there.png>", "status 404"),
        ("other.html", "<title>x</title><script>console.error('told so')</script>", "told so"),
    ):
        with pytest.raises(VerificationFailed, match=told) as failed:
            bench.publish(well | {name: wrong}, job(), smoke="browser")
        assert "is live again" in failed.value.message
        assert first.release == bench.place().pointer().release
    loads = "<title>x</title><script>fetch('style.css?1'); fetch('style.css?2')</script>"
    # The page, what its script asks for, and the rules that its header names.
    options = {"refuse": ["heavy_page"], "max_page_requests": 3}
    with pytest.raises(VerificationFailed, match="in 4 requests, over"):
        bench.publish(SITE | {"index.html": loads}, job(), smoke="browser", options=options)
    done = job()
    bench.publish(SITE | {"index.html": loads}, done, smoke="browser")
    assert any("index.html: 4 requests" in line for line in done.lines), done.lines

"""What a page of another site can do with a stream token in a real browser: Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.acceptance.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]

_CHROMIUM = shutil.which("chromium")
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# Each has a limit of its own, because Playwright has none for a promise that is never kept.
_FOLLOW_SSE = """(url) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error('the stream did not end')), 30000);
  const seen = [], source = new EventSource(url);
  for (const type of ['snapshot', 'state', 'progress', 'log'])
    source.addEventListener(type, (event) => seen.push([type, JSON.parse(event.data)]));
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) done(seen); };
})"""

_FOLLOW_WEBSOCKET = """(url) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error('the socket did not close')), 30000);
  const seen = [], socket = new WebSocket(url);
  socket.onmessage = (message) => seen.push(JSON.parse(message.data));
  socket.onclose = (event) => done([event.code, seen]);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium here: make setup installs it")
    with (
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=_CHROMIUM, args=_OPTIONS)) as opened,
    ):
        yield opened


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of the site that the yard allows to call it."""
    with closing(browser.new_page()) as opened:
        opened.goto(site.url)
        yield opened


def _streams_of(yard: Yard, job_id: str) -> tuple[str, str]:
    """Get a token, as the site's own server would, and return the job's two addresses for the page."""
    answer = httpx.post(f"{yard.url}/api/jobs/{job_id}/stream-token", headers={"Authorization": f"Bearer {yard.key}"})
    token = answer.json()["token"]
    socket_url = yard.url.replace("http", "ws", 1)
    return f"{yard.url}/api/jobs/{job_id}/events?token={token}", f"{socket_url}/ws/jobs/{job_id}?token={token}"


def test_an_event_source_follows_a_job_and_then_stops(yard: Yard, client: Switchyard, page: Page) -> None:
    """The page sees the end; its browser comes back once, is told 204, and closes for good."""
    url, _ = _streams_of(yard, client.submit("maintenance.ping", {"message": "from a page"}).id)
    statuses: list[int] = []
    page.on("response", lambda response: statuses.append(response.status) if response.url == url else None)
    seen = page.evaluate(_FOLLOW_SSE, url)
    assert "snapshot" == seen[0][0]
    assert ("state", "succeeded") == (seen[-1][0], seen[-1][1]["data"]["state"])
    assert [200, 204] == statuses


def test_a_web_socket_follows_a_job_and_closes_in_order(yard: Yard, client: Switchyard, page: Page) -> None:
    """Close code 1000 after the terminal event."""
    _, url = _streams_of(yard, client.submit("maintenance.ping", {}).id)
    code, seen = page.evaluate(_FOLLOW_WEBSOCKET, url)
    assert (1000, "succeeded") == (code, seen[-1]["data"]["state"])


def test_a_forged_token_closes_the_socket_as_a_policy_violation(yard: Yard, client: Switchyard, page: Page) -> None:
    """Close code 1008, and nothing is told."""
    _, url = _streams_of(yard, client.submit("maintenance.ping", {}).id)
    assert [1008, []] == page.evaluate(_FOLLOW_WEBSOCKET, url.partition("=")[0] + "=forged")


def test_a_page_of_another_origin_cannot_read_the_stream(yard: Yard, client: Switchyard, browser: Browser) -> None:
    """Even a good token shows nothing to a site that is not allowed."""
    url, _ = _streams_of(yard, client.submit("maintenance.ping", {}).id)
    with Site() as stranger, closing(browser.new_page()) as page:
        page.goto(stranger.url)
        assert [] == page.evaluate(_FOLLOW_SSE, url)


def test_the_documentation_page_works_offline(yard: Yard, browser: Browser) -> None:
    """It shows the API's name as its heading, logs no error, and asks nobody but us."""
    errors: list[str] = []
    hosts: set[str] = set()
    with closing(browser.new_page()) as page:
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "//" in request.url else None)
        page.goto(f"{yard.url}/docs", wait_until="networkidle")
        expect(page.get_by_role("heading", name="Switchyard", level=1)).to_be_visible(timeout=30_000)
    assert ([], {yard.url.removeprefix("http://")}) == (errors, hosts)

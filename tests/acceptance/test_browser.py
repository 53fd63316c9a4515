"""What a page in a real browser can do with a stream token: Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from client import Switchyard
from tests.acceptance.conftest import Yard

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]

_CHROMIUM = shutil.which("chromium")

_COLLECT_SSE = """([url]) => new Promise((done) => {
  const seen = [], source = new EventSource(url);
  for (const type of ['snapshot', 'state', 'progress', 'log'])
    source.addEventListener(type, (event) => seen.push([type, JSON.parse(event.data)]));
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) done(seen); };
})"""

_COLLECT_WEBSOCKET = """([url]) => new Promise((done) => {
  const seen = [], socket = new WebSocket(url);
  socket.onmessage = (message) => seen.push(JSON.parse(message.data));
  socket.onclose = (event) => done([event.code, seen]);
})"""


@pytest.fixture
def page(yard: Yard) -> Iterator[Page]:
    """A page of our own origin."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium here: make setup installs it")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=options)
        opened = browser.new_page()
        opened.goto(f"{yard.url}/version")
        yield opened
        browser.close()


def _token(yard: Yard, client: Switchyard, job_id: str) -> str:
    import httpx

    answer = httpx.post(
        f"{yard.url}/api/jobs/{job_id}/stream-token", headers={"Authorization": f"Bearer {client.api_key}"}
    )
    return str(answer.json()["token"])


def test_an_event_source_follows_a_job_and_then_stops(yard: Yard, client: Switchyard, page: Page) -> None:
    """The browser sees the end, reconnects once, is told 204, and closes for good."""
    job = client.submit("maintenance.ping", {"message": "from a page"})
    token = _token(yard, client, job.id)
    seen = page.evaluate(_COLLECT_SSE, [f"/api/jobs/{job.id}/events?token={token}"])
    assert "snapshot" == seen[0][0]
    assert ["succeeded"] == [event["data"]["state"] for type_, event in seen if type_ == "state"][-1:]


def test_a_web_socket_follows_a_job_and_closes_in_order(yard: Yard, client: Switchyard, page: Page) -> None:
    """Close code 1000 after the terminal event."""
    job = client.submit("maintenance.ping", {})
    address = yard.url.replace("http", "ws") + f"/ws/jobs/{job.id}?token={_token(yard, client, job.id)}"
    code, seen = page.evaluate(_COLLECT_WEBSOCKET, [address])
    assert (1000, "succeeded") == (code, seen[-1]["data"]["state"])


def test_a_bad_token_closes_the_socket_as_a_policy_violation(yard: Yard, client: Switchyard, page: Page) -> None:
    """Close code 1008, and nothing is told."""
    job = client.submit("maintenance.ping", {})
    address = yard.url.replace("http", "ws") + f"/ws/jobs/{job.id}?token=forged"
    assert [1008, []] == page.evaluate(_COLLECT_WEBSOCKET, [address])


def test_the_documentation_page_works_offline(yard: Yard, page: Page) -> None:
    """It shows the API's title and logs no error, with nothing fetched from elsewhere."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{yard.url}/docs", wait_until="networkidle")
    assert page.get_by_text("Switchyard").first.is_visible()
    assert [] == errors

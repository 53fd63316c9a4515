"""``crawling.site`` from one HTTP request to clean text."""

import json
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.acceptance.site import PAGES, Site
from tests.integration.processes import await_true

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def _params(site: Site, **more: object) -> dict[str, object]:
    return {"url": site.url, "max_pages": 100, "delay_s": 0.0, **more}


def test_a_site_becomes_clean_text(client: Switchyard, site: Site, tmp_path: Path) -> None:
    """Every page is kept once, with its main text and without its navigation; the next crawl finds it unchanged."""
    job = client.wait(client.submit("crawling.site", _params(site)).id, timeout_s=90)
    lines = client.download(job.id, "pages.jsonl", tmp_path / "pages.jsonl").read_text().splitlines()
    pages = {page["url"]: page for page in map(json.loads, lines)}
    assert PAGES == len(pages) == len(lines)
    assert "This is page number 7." in pages[f"{site.url}page/7"]["text"]
    assert "page 28" not in pages[f"{site.url}page/7"]["text"]
    again = client.wait(client.submit("crawling.site", _params(site, since="last")).id, timeout_s=90)
    assert again.result is not None
    assert (job.id, PAGES) == (again.result["delta"]["since"], again.result["delta"]["same_bytes"])


def test_the_record_sums_up_the_crawl(client: Switchyard, site: Site) -> None:
    """Pages, the dead link and what robots.txt forbids are all counted."""
    job = client.wait(client.submit("crawling.site", _params(site)).id, timeout_s=90)
    assert job.result is not None
    assert (PAGES, 1, 1) == (job.result["pages_ok"], job.result["pages_failed"], job.result["skipped"]["robots"])
    assert ["pages.jsonl"] == [artifact.name for artifact in client.artifacts(job.id)]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here: make setup installs it")
def test_a_crawl_keeps_pictures_of_its_first_pages(client: Switchyard, site: Site, tmp_path: Path) -> None:
    """The worker's browser takes them; each is downloaded by the name that the index gives it."""
    job = client.wait(client.submit("crawling.site", _params(site, screenshots=2, max_pages=3)).id, timeout_s=90)
    assert job.result is not None
    assert (2, 3) == (job.result["screenshots"], job.result["pages_ok"])
    index = client.download(job.id, "screenshots.jsonl", tmp_path / "index").read_text().splitlines()
    shown = [json.loads(line) for line in index]
    kept = client.download(job.id, "pages.jsonl", tmp_path / "pages").read_text().splitlines()
    assert [json.loads(line)["url"] for line in kept[:2]] == [one["url"] for one in shown]
    for one in shown:
        picture = client.download(job.id, one["artifact"], tmp_path / one["artifact"]).read_bytes()
        width = int.from_bytes(picture[16:20], "big")
        assert (b"\x89PNG", 1280) == (picture[:4], width)


def test_the_end_of_a_crawl_is_a_domain_event(client: Switchyard, site: Site) -> None:
    """Emitted by the worker's child, numbered by the dispatcher, awaited by the client."""
    cursor = client.event_cursor()
    job = client.submit("crawling.site", _params(site))
    event = client.wait_for_event("site.crawled", lambda event: event.job_id == job.id, 90, after=cursor)
    assert (PAGES, job.id, urlsplit(site.url).netloc) == (event.data["pages"], event.data["job_id"], event.data["site"])


@pytest.mark.parametrize("transport", ["sse", "websocket", "polling"])
def test_a_crawl_is_watched_to_its_end(client: Switchyard, site: Site, transport: str) -> None:
    """Each transport shows progress and the end."""
    job = client.submit("crawling.site", _params(site))
    events = list(client.events(job.id, transport=transport))  # type: ignore[arg-type]
    states = [event.data["state"] for event in events if event.type == "state"]
    assert "succeeded" == states[-1]
    assert any(event.type == "progress" for event in events)


def test_a_crawl_is_cancelled_at_any_page(client: Switchyard, site: Site) -> None:
    """A running crawl ends as cancelled and holds no worker afterwards."""
    site.slow_s = 0.4
    try:
        job = client.submit("crawling.site", _params(site, concurrency=1))
        await_true(lambda: client.job(job.id).progress or None, what="the crawl reports")
        client.cancel(job.id)
        final = client.wait(job.id, timeout_s=30, check=False)
    finally:
        site.slow_s = 0.0
    assert ("cancelled", "cancel_requested") == (final.state, final.cause)


def test_a_crawl_goes_on_after_a_kill(client: Switchyard, site: Site) -> None:
    """SIGKILL of the worker's child: the next attempt asks for no page that was kept, and none is missing."""
    concurrency = 2
    site.slow_s = 0.2
    site.asked.clear()
    try:
        job = client.submit("crawling.site", _params(site, concurrency=concurrency))
        await_true(lambda: len(site.asked) > 10, what="the crawl is under way")
        _child_that_crawls().kill()
        final = client.wait(job.id, timeout_s=90)
    finally:
        site.slow_s = 0.0
    assert final.result is not None
    assert (2, PAGES, 1) == (final.attempt, final.result["pages_ok"], final.result["pages_failed"])
    twice = [path for path, times in Counter(site.asked).items() if times > 1 and path.startswith("/page/")]
    assert len(twice) <= concurrency


def _child_that_crawls() -> psutil.Process:
    """Return the worker's child that has started the processes that read pages."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            if "tasks.crawling.engine.extraction_process" in process.cmdline() and (child := process.parent()):
                return child
    pytest.fail("no process reads pages")


def test_loopback_is_refused_unless_it_is_allowed(client: Switchyard, yard: Yard) -> None:
    """The guard answers without saying what it found."""
    final = client.wait(client.submit("crawling.site", {"url": yard.url + "/docs"}).id, timeout_s=30, check=False)
    assert final.error is not None
    assert ("failed", "egress_refused") == (final.state, final.error.code)
    assert "127.0.0.1" not in final.error.message

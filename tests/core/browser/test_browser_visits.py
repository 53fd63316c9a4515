"""What a job gets: a fresh context each time, limits that hold, a browser that is replaced in time."""

import asyncio
import os
import platform
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.core.browser import BrowserOptions, JobBrowser, Visit, VisitOptions, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, EngineUnavailable, JobCancelled, TooLarge, Transient
from tests.core.browser.site import Site
from tests.core.egress.raw_server import RawServer
from tests.fakes import FakeJob
from tests.samples import eventually


@contextmanager
def own_browser(policy: EgressPolicy, **options: Any) -> Iterator[WarmBrowser]:
    """A browser for one test that does it harm."""
    warm = WarmBrowser(BrowserOptions(policy=policy, **options))
    try:
        yield warm
    finally:
        warm.close()


def opening(url: str, script: str) -> Any:
    """Return work that opens ``url`` and evaluates ``script`` there."""

    async def work(visit: Visit) -> Any:
        page = await visit.context.new_page()
        await visit.open(page, url)
        return await page.evaluate(script)

    return work


def group_of(pid: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _group(process) == pid]


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ProcessLookupError):
        return None


def test_visits_share_a_browser_and_nothing_else(browser: WarmBrowser, site: Site) -> None:
    """Cookies and storage of one job are unknown to the next; the process is the same."""
    remember = "document.cookie = 'a=1'; localStorage.setItem('a', '1'); document.cookie + localStorage.getItem('a')"
    assert "a=11" == browser.run(opening(site.url(), remember), timeout_s=30)
    pid = browser.pid
    assert [["", None], pid] == [
        browser.run(opening(site.url(), "[document.cookie, localStorage.getItem('a')]"), timeout_s=30),
        browser.pid,
    ]


def test_kept_state_signs_in_again(browser: WarmBrowser, site: Site) -> None:
    """What one visit hands over as storage state, another may bring along."""

    async def keep(visit: Visit) -> Any:
        page = await visit.context.new_page()
        await visit.open(page, site.url())
        # Chromium keeps a cookie that a script sets a moment later, unless somebody asks for it.
        await page.evaluate("document.cookie = 'a=1', document.cookie")
        return await visit.context.storage_state()

    state = browser.run(keep, timeout_s=30)
    again = VisitOptions(storage_state=state)
    assert "a=1" == browser.run(opening(site.url(), "document.cookie"), timeout_s=30, visit=again)


def test_user_agent_tells_who_asks(browser: WarmBrowser, site: Site) -> None:
    """Chromium's own with our name, to the server and to scripts; a job may name itself otherwise."""
    seen = browser.run(opening(site.url(), "navigator.userAgent"), timeout_s=30)
    assert "HeadlessChrome/" in seen
    assert " SwitchyardBrowser/" in seen
    assert seen == site.headers[-1]["user-agent"] or seen == site.headers[-2]["user-agent"]
    named = VisitOptions(user_agent="Named/1.0")
    assert "Named/1.0" == browser.run(opening(site.url(), "navigator.userAgent"), timeout_s=30, visit=named)


def test_refused_address_is_told_as_such(browser: WarmBrowser, site: Site, denied: RawServer) -> None:
    """At once, by redirect and by tunnel: one error class, and no answer of the proxy taken for a page."""
    for url in (
        f"http://{denied.endpoint}/",
        f"https://{denied.endpoint}/",
        "file:///etc/passwd",
        "http://a.internal/",
    ):
        with pytest.raises(EgressRefused):
            browser.run(opening(url, "1"), timeout_s=30)
    for scheme in ("http", "https"):
        with pytest.raises(EgressRefused):
            browser.run(opening(site.url(f"/302?to={scheme}://{denied.endpoint}/"), "1"), timeout_s=30)
    assert 0 == denied.arrivals


def test_tools_that_a_page_declares_can_be_listed(browser: WarmBrowser, site: Site) -> None:
    """Chromium's WebMCP is on, where this Chromium has it."""
    url = site.page("/declared", "<form toolname=find tooldescription='Find it'><input name=q></form>")
    if "undefined" == browser.run(opening(url, "typeof document.modelContext"), timeout_s=30):
        pytest.skip("this Chromium has no WebMCP")
    names = "document.modelContext.getTools().then(tools => tools.map(tool => tool.name))"
    assert ["find"] == browser.run(opening(url, names), timeout_s=30)


def test_page_that_never_gives_control_back_ends_with_the_time_limit(site: Site, policy: EgressPolicy) -> None:
    """A script in an endless loop costs its own visit, not the next one."""
    with own_browser(policy) as browser:
        began = time.monotonic()
        with pytest.raises(Transient, match="not done"):
            browser.run(opening(site.url(), "() => { while (true); }"), timeout_s=4)
        assert time.monotonic() - began < 30
        assert 2 == browser.run(opening(site.url(), "1 + 1"), timeout_s=60)


def test_cancel_works_while_a_page_loads(browser: WarmBrowser, site: Site) -> None:
    """The checkpoint's exception comes through although the server says nothing."""
    site.stay_silent("/silent")
    job = FakeJob(Path("unused"), http=Egress())
    cancel = threading.Timer(1.0, lambda: setattr(job, "is_cancelled", True))
    cancel.start()
    with pytest.raises(JobCancelled):
        JobBrowser(browser, job).visit(opening(site.url("/silent"), "1"), timeout_s=100)
    cancel.join()
    assert 2 == browser.run(opening(site.url(), "1 + 1"), timeout_s=60)


def test_signal_ends_a_visit(browser: WarmBrowser, site: Site) -> None:
    """What a signal's handler raises in the job's thread, as the soft limit does, ends the visit."""
    site.stay_silent("/silent")
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            browser.run(opening(site.url("/silent"), "1"), timeout_s=100)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_crashed_browser_is_replaced(site: Site, policy: EgressPolicy) -> None:
    """A visit during a crash fails and may be tried again; the next visit gets another browser."""
    with own_browser(policy) as browser:
        browser.run(opening(site.url(), "1"), timeout_s=60)
        first = browser.pid
        assert first is not None

        async def crash(visit: Visit) -> None:
            page = await visit.context.new_page()
            psutil.Process(first).kill()
            await page.evaluate("new Promise(() => 0)")

        with pytest.raises(Transient):
            browser.run(crash, timeout_s=60)
        assert 2 == browser.run(opening(site.url(), "1 + 1"), timeout_s=60)
        assert first != browser.pid
        assert eventually(lambda: group_of(first) == [], within_s=10)


def test_browser_is_replaced_by_count_and_by_memory(site: Site, policy: EgressPolicy) -> None:
    """After so many visits, or with more than so much memory, the next visit gets another browser."""
    for options in ({"max_visits": 1}, {"max_memory_bytes": 1}):
        with own_browser(policy, **options) as browser:
            browser.run(opening(site.url(), "1"), timeout_s=60)
            assert browser.pid is None


def test_nothing_is_left_when_it_is_closed(
    site: Site, policy: EgressPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Chromium nor Playwright's driver nor a thread nor a file, and nothing of an earlier, killed browser."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f"switchyard-browser-{platform.node()}-{gone.pid}-x").mkdir()
    (tmp_path / f"switchyard-browser-{platform.node()}-{os.getppid()}-x").mkdir()
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    threads = threading.active_count()
    with own_browser(policy) as browser:
        browser.run(opening(site.url(), "1"), timeout_s=60)
        assert len(psutil.Process().children(recursive=True)) > len(before)
        assert 2 == len(list(tmp_path.iterdir()))
    assert eventually(lambda: {one.pid for one in psutil.Process().children(recursive=True)} <= before, within_s=10)
    assert eventually(lambda: threading.active_count() <= threads, within_s=10)
    assert [str(os.getppid())] == [left.name.split("-")[-2] for left in tmp_path.iterdir()]


def test_traffic_of_a_visit_is_capped(browser: WarmBrowser, site: Site) -> None:
    """More bytes than the visit may fetch end it as too large."""
    site.serve("/large", b"x" * 3_000_000, Content_Type="text/html")
    with pytest.raises(TooLarge):
        browser.run(opening(site.url("/large"), "1"), timeout_s=30, visit=VisitOptions(max_bytes=1_000_000))


def test_job_learns_what_it_used_and_what_was_refused(browser: WarmBrowser, site: Site, denied: RawServer) -> None:
    """Seconds, bytes and refused addresses are kept for the job, the latter in its log too."""
    page = site.page("/asks", f"<img src='http://{denied.endpoint}/'>")
    job = FakeJob(Path("unused"), http=Egress())
    door = JobBrowser(browser, job)

    async def work(visit: Visit) -> None:
        await visit.open(await visit.context.new_page(), page, until="load")
        for _ in range(500):
            if visit.refused:
                return
            await asyncio.sleep(0.02)

    door.visit(work, timeout_s=30)
    assert [denied.endpoint] == list(door.refused)
    assert door.seconds > 0
    assert door.bytes_carried > 100
    assert any(denied.endpoint in line for line in job.lines)
    assert job.checkpoints > 0


def test_downloads_and_permissions_are_off(browser: WarmBrowser, site: Site) -> None:
    """No page asks for the camera or the place, and no file is kept."""
    states = (
        "Promise.all(['geolocation', 'notifications', 'camera'].map(async name => "
        "(await navigator.permissions.query({name})).state))"
    )
    assert "granted" not in browser.run(opening(site.url(), states), timeout_s=30)


def test_missing_chromium_is_named(policy: EgressPolicy) -> None:
    """The error tells what was looked for and which setting helps."""
    named = r"/nowhere/chromium.*SWITCHYARD_BROWSER_PROGRAM"
    with (
        own_browser(policy, program=Path("/nowhere/chromium")) as browser,
        pytest.raises(EngineUnavailable, match=named),
    ):
        browser.run(opening("http://example.com/", "1"), timeout_s=30)

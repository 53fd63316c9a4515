"""One warm browser for each module, and a site whose pages a test writes."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from tasks.core.browser import BrowserOptions, Visit, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tests.core.browser.site import Site

Snap = Callable[[str], Snapshot]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of it as slow, and keep it in one process."""
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(240))
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session", autouse=True)
def chromium() -> str:
    """Chromium's program; without one, all of this is skipped."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium here: make setup installs it")
    return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site that the browser may visit."""
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def other_site() -> Iterator[Site]:
    """A site of another origin."""
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def browser(site: Site, other_site: Site) -> Iterator[WarmBrowser]:
    """The module's browser."""
    policy = EgressPolicy(
        allow=frozenset({site.endpoint, other_site.endpoint}),
        allowed_ports=frozenset({80, 443}),
        connect_timeout_s=5,
    )
    warm = WarmBrowser(BrowserOptions(policy=policy))
    yield warm
    warm.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep refusals out of the test output."""
    with capture_logs():
        yield


@pytest.fixture
def snap(browser: WarmBrowser) -> Snap:
    """Return what opens a URL and takes a snapshot."""

    def take(url: str) -> Snapshot:
        async def work(visit: Visit) -> Snapshot:
            page = await visit.context.new_page()
            response = await visit.open(page, url, until="load")
            return await take_snapshot(page, status=response.status)

        return browser.run(work, timeout_s=60)

    return take

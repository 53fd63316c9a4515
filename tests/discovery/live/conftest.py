"""One warm browser for each module, and a site whose pages a test writes."""

from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from tasks.core.browser import BrowserOptions, Visit, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tests.chromium import chromium, keep_together
from tests.core.browser.site import Site

Snap = Callable[[str], Snapshot]

__all__ = ["chromium"]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of it as slow, and keep it in one process."""
    keep_together(items, __file__, timeout_s=240)


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

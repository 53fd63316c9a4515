"""One warm browser for each module, a site that it may visit, and a listener that it must never reach."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tasks.core.browser import BrowserOptions, WarmBrowser
from tasks.core.egress import EgressPolicy
from tests.chromium import chromium, keep_together
from tests.core.browser.site import Site
from tests.core.egress.raw_server import RawServer

__all__ = ["chromium"]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of it as slow, and keep it in one process."""
    keep_together(items, __file__, timeout_s=120)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site that the browser may visit."""
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def friend() -> Iterator[RawServer]:
    """Another server that it may reach: it shows that each way of asking really asks."""
    server = RawServer(b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n")
    yield server
    server.close()


@pytest.fixture(scope="module")
def denied() -> Iterator[RawServer]:
    """A service of this machine that nobody allowed."""
    server = RawServer(b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n")
    yield server
    server.close()


@pytest.fixture(scope="module")
def policy(site: Site, friend: RawServer, denied: RawServer) -> EgressPolicy:
    """Allows the site and its friend; the port of the denied service would do, its address does not."""
    return EgressPolicy(
        allow=frozenset({site.endpoint, friend.endpoint}),
        allowed_ports=frozenset({80, 443, denied.port}),
        connect_timeout_s=5,
    )


@pytest.fixture(scope="module")
def browser(policy: EgressPolicy) -> Iterator[WarmBrowser]:
    """The module's browser."""
    warm = WarmBrowser(BrowserOptions(policy=policy))
    yield warm
    warm.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep refusals out of the test output."""
    with capture_logs():
        yield

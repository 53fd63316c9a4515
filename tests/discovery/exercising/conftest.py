"""One warm browser, and a shop of one page whose server notes all that it is asked."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tasks.core.browser import BrowserOptions, WarmBrowser
from tasks.core.egress import EgressPolicy
from tests.chromium import chromium, keep_together
from tests.discovery.exercising.shop import Shop

__all__ = ["chromium"]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of it as slow, and keep it in one process."""
    keep_together(items, __file__, timeout_s=180)


@pytest.fixture(scope="package")
def open_shop() -> Iterator[Shop]:
    """The shop of all modules."""
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def shop(open_shop: Shop) -> Shop:
    """The shop, as if nobody had asked it anything yet."""
    open_shop.asked.clear()
    open_shop.messages.clear()
    open_shop.is_introspectable = True
    return open_shop


@pytest.fixture(scope="package")
def policy(open_shop: Shop) -> EgressPolicy:
    """Allows the shop and nothing else of this machine."""
    return EgressPolicy(allow=frozenset({open_shop.endpoint, open_shop.socket_endpoint}), connect_timeout_s=5)


@pytest.fixture(scope="package")
def browser(policy: EgressPolicy) -> Iterator[WarmBrowser]:
    """The browser of all modules."""
    warm = WarmBrowser(BrowserOptions(policy=policy))
    yield warm
    warm.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep refusals out of the test output."""
    with capture_logs():
        yield

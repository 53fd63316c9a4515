"""The schemas of real programs' forms beside those that Chromium compiles of them."""

from contextlib import closing

import pytest

from tasks.core.browser import BrowserOptions, Visit, VisitOptions, WarmBrowser
from tasks.core.egress import EgressPolicy
from tasks.discovery.engine.site import Snapshot
from tests.acceptance.targets.starting import NAMES, started
from tests.acceptance.targets.target import Target
from tests.acceptance.targets.wanted import wanted
from tests.discovery.live.chromium_schema import compare, declared_snapshot


def paths_of(target: Target) -> list[str]:
    """Return where its forms are: what a person is handed, and the pages of its list; numbers known at run time not."""
    pages = [*target.starts, *(entry.page for entry in wanted(target.name))]
    return [path for path in dict.fromkeys(pages) if "@" not in path and "{" not in path]


def cookies_of(target: Target) -> list[dict[str, object]]:
    if target.account is None:
        return []
    with closing(target.signed_in()) as client:
        return [
            {"name": one.name, "value": one.value or "", "url": target.url, "httpOnly": True, "secure": False}
            for one in client.cookies.jar
        ]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_schemas_of_a_program_are_the_same(name: str) -> None:
    """Signed in where that shows more; all but what is listed."""
    with started(name) as target:
        endpoint = target.url.partition("://")[2]
        warm = WarmBrowser(BrowserOptions(policy=EgressPolicy(allow=frozenset({endpoint}), connect_timeout_s=5)))
        cookies = cookies_of(target)

        async def work(visit: Visit) -> list[Snapshot]:
            await visit.context.add_cookies(cookies)  # type: ignore[arg-type]  # httpx's cookies as Playwright wants them
            return [await declared_snapshot(visit, target.url + path) for path in paths_of(target)]

        try:
            found = warm.run(work, timeout_s=150, visit=VisitOptions())
        finally:
            warm.close()
    if not any(snapshot.page.forms for snapshot in found):
        pytest.skip(f"{name} has no form")
    if not any(snapshot.declared for snapshot in found):
        pytest.skip("this Chromium compiles no forms: its flag WebMCP is gone")
    comparison = compare(found)
    print(f"{name}: {comparison}")
    assert len(comparison.unexplained) <= 0.01 * comparison.properties, comparison.unexplained

"""Our schemas of forms compared with those that Chromium compiles for WebMCP's declarative tools.

Chromium is the judge of what a form takes; the list of reasons in ``chromium_schema`` is in docs/discovery.md.
"""

import gzip
import json
from pathlib import Path

import pytest

from tasks.core.browser import WarmBrowser
from tests.core.browser.site import Site
from tests.discovery.live import spelled_schema
from tests.discovery.live.chromium_schema import compare, snapshots
from tests.discovery.live.test_agreement import NO_SCRIPTS, REAL
from tests.discovery.sources.pages import PAGES

# Of the real pages, so that it stays quick.
EVERY = 12


@pytest.fixture(autouse=True, scope="module")
def _needs_webmcp(site: Site, browser: WarmBrowser) -> None:
    (found,) = snapshots(browser, [site.page("/webmcp", "<form><input name=a></form>")])
    if not found.declared:
        pytest.skip("this Chromium compiles no forms: its flag WebMCP is gone")


def serve(site: Site, page: Path) -> str:
    site.serve(f"/{page.name}", page.read_bytes(), Content_Type="text/html; charset=utf-8")
    return site.url(f"/{page.name}")


def test_pages_with_every_control_give_the_same_schemas(site: Site, browser: WarmBrowser) -> None:
    """All but what is listed."""
    urls = [serve(site, page) for page in sorted(PAGES.glob("*.html"))]
    comparison = compare(snapshots(browser, urls))
    print(comparison, *comparison.unexplained, sep="\n")
    assert [] == [(one.name, one.theirs, one.ours) for one in comparison.unexplained]
    assert comparison.properties > 100
    reasons = {reason for one in comparison.differences for reason in one.reason.split("; ")}
    assert {
        "files are marked here and left out there",
        "names that several controls share are arrays here and left out there",
        "several addresses are an array here and one string there",
        "a range of any step is whole there",
        "steps of whole numbers from another whole number are whole here, any number there",
        "disabled options are no choices here",
        "the empty prompt of a required choice is no choice here",
        "options are called by their label here, by their text there",
        "choices that only a script brings are open here, none there",
    } == reasons
    named = {why for name, why in vars(spelled_schema).items() if name.isupper() and isinstance(why, str)}
    # No label here has a hint beside it; those of the programs have.
    assert named - {spelled_schema.MORE, spelled_schema.MORE_WORDS} <= set(comparison.spelled)


@pytest.mark.long
def test_real_pages_give_the_same_schemas(site: Site, browser: WarmBrowser) -> None:
    """At least 99 % of their properties are the same, the listed differences counted as such."""
    if not REAL.is_dir():
        pytest.skip(f"no real pages here: {REAL.name}")
    urls = []
    for at, line in enumerate((REAL / "index.jsonl").read_text().splitlines()[::EVERY]):
        html = gzip.decompress((REAL / json.loads(line)["file"]).read_bytes())
        site.serve(f"/r{at}", html, Content_Type="text/html; charset=utf-8", Content_Security_Policy=NO_SCRIPTS)
        urls.append(site.url(f"/r{at}"))
    comparison = compare(snapshots(browser, urls))
    print(comparison)
    assert comparison.properties > 200
    assert comparison.share >= 0.9
    assert len(comparison.unexplained) <= 0.01 * comparison.properties, comparison.unexplained

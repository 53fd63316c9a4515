"""Which URLs belong to a crawl."""

import time

import pytest

from tasks.core.web_address import is_page_like
from tasks.crawling.contract import CrawlRequest
from tasks.crawling.engine.scope import Glob, SiteScope
from tasks.crawling.patterns import AddressPattern

START = "https://example.org/docs/index.html"


@pytest.mark.parametrize(
    ("pattern", "url", "expected"),
    [
        ("/docs/*", "https://example.org/docs/a/b?c", True),
        ("/docs/*", "https://example.org/docs", False),
        ("/docs", "https://example.org/docs", True),
        ("/docs", "https://example.org/docs/", False),
        ("*.html", "https://example.org/a/b.html", True),
        ("*.html", "https://example.org/a/b.html?x", False),
        ("/a*b*c", "https://example.org/a1b2c", True),
        ("/a*b*c", "https://example.org/a1c2b", False),
        ("/ab*ba", "https://example.org/aba", False),
        ("/a.c", "https://example.org/abc", False),
        ("https://*.example.org/*", "https://www.example.org/x", True),
        ("https://*.example.org/*", "http://www.example.org/x", False),
        ("*", "https://example.org/", True),
    ],
)
def test_star_stands_for_anything_and_the_whole_must_match(pattern: str, url: str, expected: bool) -> None:
    """All but the star is literal."""
    assert expected is Glob(pattern).matches(url)


def test_hostile_pattern_is_matched_in_no_time() -> None:
    """Eight stars over the longest URL scan it a few times; a regular expression would not come back."""
    glob = Glob("/" + "*a" * 8 + "b")
    started = time.perf_counter()
    assert not glob.matches("https://example.org/" + "a" * 2000)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("host", "https://example.org/x", "https://www.example.org/x"),
        ("host", "http://example.org/x", "https://example.org:8443/x"),
        ("path", "https://example.org/docs/a", "https://example.org/docsy"),
        ("subdomains", "https://www.example.org/x", "https://notexample.org/x"),
        ("any", "https://elsewhere.net/", None),
    ],
)
def test_scope_draws_the_line(scope: str, inside: str, outside: str | None) -> None:
    """Each rule takes in what it names and no more."""
    rule = SiteScope(CrawlRequest.model_validate({"url": START, "scope": scope}), start_url=START)
    assert rule.covers(inside)
    assert outside is None or not rule.covers(outside)


def test_exclude_beats_include() -> None:
    """A URL must match an include pattern, if there are any, and no exclude pattern."""
    request = CrawlRequest(url=START, include=("/docs/*",), exclude=("*/old/*",))
    rule = SiteScope(request, start_url=START)
    urls = [f"https://example.org{path}" for path in ("/docs/a", "/docs/old/a", "/blog")]
    assert [rule.covers(url) for url in urls] == [True, False, False]


def test_regular_expression_matches_anywhere_in_the_address() -> None:
    """It lets in as a glob does, and leaves out whatever let in."""
    request = CrawlRequest(url=START, include=("/blog/*",), include_regex=(r"/v\d+/",), exclude_regex=(r"[?&]sort=",))
    rule = SiteScope(request, start_url=START)
    urls = [f"https://example.org{path}" for path in ("/blog/a", "/v12/a", "/vx/a", "/v1/a?x=1&sort=up", "/other")]
    assert [rule.covers(url) for url in urls] == [True, True, False, False, False]


def test_hostile_regular_expression_is_matched_in_no_time() -> None:
    """Its engine does not backtrack."""
    pattern = AddressPattern(r"(a*)*(a*)*b$")
    started = time.perf_counter()
    assert not pattern.matches("https://example.org/" + "a" * 2000)
    assert time.perf_counter() - started < 5


def test_image_is_no_page_by_its_ending() -> None:
    """Images and archives are not even asked for; a query changes nothing."""
    urls = [f"https://example.org/{name}" for name in ("a.PNG", "a.zip?x=1", "a.html", "a", "a.php?f=b.png", "v1.2/")]
    assert [is_page_like(url) for url in urls] == [False, False, True, True, True, True]

"""What is still to be fetched."""

import pytest

from tasks.crawling.contract import CrawlRequest, StopReason
from tasks.crawling.engine import frontier as module
from tasks.crawling.engine.frontier import Frontier
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.tally import Tally

BASE = "https://example.org"


def frontier(*, depth: int = 3) -> Frontier:
    scope = SiteScope(CrawlRequest(url=f"{BASE}/"), start_url=f"{BASE}/")
    return Frontier(scope, max_depth=depth, tally=Tally())


def urls(*paths: str) -> list[str]:
    return [BASE + path for path in paths]


def taken(front: Frontier) -> list[str]:
    found = []
    while visit := front.take():
        found.append(visit.url.removeprefix(BASE))
    return found


def test_url_is_given_out_once() -> None:
    """However often it is found, on whatever level."""
    front = frontier()
    front.add(urls("/a", "/b", "/a"), found_by=0)
    front.descend()
    assert taken(front) == ["/a", "/b"]
    front.add(urls("/a", "/c"), found_by=1)
    front.descend()
    assert taken(front) == ["/c"]


def test_order_does_not_depend_on_which_page_answers_first() -> None:
    """The links of an earlier page come first, also where a later page was read sooner."""
    swift, slow = frontier(), frontier()
    for front, finders in ((swift, (1, 2)), (slow, (2, 1))):
        for found_by in finders:
            front.add(urls("/both", f"/{found_by}"), found_by=found_by)
        front.descend()
    assert ["/both", "/1", "/2"] == taken(swift) == taken(slow)


def test_nothing_is_found_below_the_depth() -> None:
    """On the last level links lead nowhere."""
    front = frontier(depth=1)
    front.add(urls("/a"), found_by=0)
    front.descend()
    visit = front.take()
    assert visit is not None
    assert visit.depth == 1
    front.add(urls("/b"), found_by=visit.order)
    assert front.is_deepest


def test_redirect_claims_what_waits_and_not_what_was_given_out() -> None:
    """The target of a redirect is fetched once, by whoever comes first."""
    front = frontier()
    front.add(urls("/a", "/b"), found_by=0)
    front.descend()
    front.add(urls("/waits"), found_by=1)
    assert [front.claim(url) for url in urls("/waits", "/waits", "/a", "/new")] == [True, False, False, True]
    assert front.is_deepest


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site of endless addresses does not fill the machine; what was left out is counted."""
    monkeypatch.setattr(module, "MAX_KNOWN_URLS", 2)
    tally = Tally()
    front = Frontier(SiteScope(CrawlRequest(url=f"{BASE}/"), start_url=f"{BASE}/"), max_depth=1, tally=tally)
    front.add(urls("/1", "/2", "/3"), found_by=0)
    assert len(front) == 2
    result = tally.result(start_url=f"{BASE}/", delay_s=0, stopped_by=StopReason.EXHAUSTED)
    assert result.skipped.overflow == 1


def test_addresses_without_end_are_counted_and_left() -> None:
    """A session id makes no new page; a calendar's far future is no page."""
    front = frontier()
    front.add(urls("/a?sid=0123456789abcdef0", "/a?sid=fedcba98765432100", "/cal/2099/01", "/b"), found_by=0)
    front.descend()
    assert taken(front) == ["/a", "/b"]
    assert not front.claim(f"{BASE}/a?sid=00000000000000000001")

"""What is still to be fetched."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.crawling.contract import CrawlRequest, StopReason
from tasks.crawling.engine import frontier as module
from tasks.crawling.engine import traps
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.frontier import Frontier, Visit
from tasks.crawling.engine.scope import SiteScope
from tasks.crawling.engine.tally import Tally

BASE = "https://example.org"


Make = Callable[..., Frontier]


@pytest.fixture
def frontier(tmp_path: Path) -> Iterator[Make]:
    """Make a frontier; one of the same ``name`` as an earlier one goes on with its state."""
    with ExitStack() as states:

        def make(*, depth: int = 3, tally: Tally | None = None, name: str = "x", fence: int = 1) -> Frontier:
            state = states.enter_context(CrawlState(tmp_path / f"{name}.sqlite", fence=fence))
            scope = SiteScope(CrawlRequest(url=f"{BASE}/"), start_url=f"{BASE}/")
            return Frontier(scope, max_depth=depth, tally=tally or Tally(), state=state)

        yield make


def urls(*paths: str) -> list[str]:
    return [BASE + path for path in paths]


def taken(front: Frontier) -> list[str]:
    found = []
    while visit := front.take():
        found.append(visit.url.removeprefix(BASE))
    return found


def test_url_is_given_out_once(frontier: Make) -> None:
    """However often it is found, on whatever level."""
    front = frontier()
    front.add(urls("/a", "/b", "/a"), found_by=0)
    front.descend()
    assert taken(front) == ["/a", "/b"]
    front.add(urls("/a", "/c"), found_by=1)
    front.descend()
    assert taken(front) == ["/c"]


def test_order_does_not_depend_on_which_page_answers_first(frontier: Make) -> None:
    """The links of an earlier page come first, also where a later page was read sooner."""
    swift, slow = frontier(name="swift"), frontier(name="slow")
    for front, finders in ((swift, (1, 2)), (slow, (2, 1))):
        for found_by in finders:
            front.add(urls("/both", f"/{found_by}"), found_by=found_by)
        front.descend()
    assert ["/both", "/1", "/2"] == taken(swift) == taken(slow)


def test_nothing_is_found_below_the_depth(frontier: Make) -> None:
    """On the last level links lead nowhere."""
    front = frontier(depth=1)
    front.add(urls("/a"), found_by=0)
    front.descend()
    visit = front.take()
    assert visit is not None
    assert visit.depth == 1
    front.add(urls("/b"), found_by=visit.order)
    assert front.is_deepest


def test_redirect_claims_what_waits_and_not_what_was_given_out(frontier: Make) -> None:
    """The target of a redirect is fetched once, by whoever comes first."""
    front = frontier()
    front.add(urls("/a", "/b"), found_by=0)
    front.descend()
    front.add(urls("/waits"), found_by=1)
    by = Visit(f"{BASE}/a", depth=1, order=1)
    assert [front.claim(url, by=by) for url in urls("/waits", "/waits", "/a", "/new")] == [True, False, False, True]
    assert front.is_deepest


def test_what_is_known_is_bounded(frontier: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site of endless addresses does not fill the machine; what was left out is counted."""
    monkeypatch.setattr(module, "MAX_KNOWN_URLS", 2)
    tally = Tally()
    front = frontier(depth=1, tally=tally)
    front.add(urls("/1", "/2", "/3"), found_by=0)
    assert len(front) == 2
    result = tally.result(start_url=f"{BASE}/", delay_s=0, stopped_by=StopReason.EXHAUSTED)
    assert result.skipped.overflow == 1


def test_addresses_without_end_are_counted_and_left(frontier: Make) -> None:
    """A session id makes no new page; a calendar's far future is no page."""
    front = frontier()
    front.add(urls("/a?sid=0123456789abcdef0", "/a?sid=fedcba98765432100", "/cal/2099/01", "/b"), found_by=0)
    front.descend()
    assert taken(front) == ["/a", "/b"]
    assert not front.claim(f"{BASE}/a?sid=00000000000000000001", by=Visit(f"{BASE}/b", depth=1, order=2))


def test_next_attempt_is_given_what_was_under_way_and_what_waits(frontier: Make) -> None:
    """In the same order; what was done is not given again, nor found again, on whatever level."""
    front = frontier()
    front.add(urls("/a", "/b", "/c", "/cal/2024/01"), found_by=0)
    front.descend()
    first, second = front.take(), front.take()
    assert first is not None
    assert second is not None
    front.add(urls("/a", "/deep"), found_by=first.order)
    front.done(first)
    again = frontier(fence=2)
    assert taken(again) == ["/b", "/c", "/cal/2024/01"]
    again.add(urls("/a", "/b", "/deep"), found_by=second.order)
    again.descend()
    visit = again.take()
    assert visit == Visit(f"{BASE}/deep", depth=2, order=5)
    assert len(again) == 0


def test_target_of_a_redirect_that_was_under_way_is_free_again(frontier: Make) -> None:
    """Else the visit that leads there would take its own target for a duplicate."""
    front = frontier()
    front.add(urls("/moved", "/done"), found_by=0)
    front.descend()
    moved, done = front.take(), front.take()
    assert moved is not None
    assert done is not None
    assert front.claim(f"{BASE}/target", by=moved)
    assert front.claim(f"{BASE}/other", by=done)
    front.done(done)
    again = frontier(fence=2)
    assert [again.claim(url, by=moved) for url in urls("/target", "/other")] == [True, False]


def test_traps_are_remembered_by_the_next_attempt(frontier: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many pages of a calendar are followed by all attempts together."""
    monkeypatch.setattr(traps, "MAX_DATED", 3)
    frontier().add(urls("/cal/2024/01", "/cal/2024/02"), found_by=0)
    tally = Tally()
    again = frontier(fence=2, tally=tally)
    again.add(urls("/cal/2024/03", "/cal/2024/04", "/cal/2024/05"), found_by=0)
    assert len(again) == 3


def test_memory_does_not_grow_with_the_frontier(frontier: Make) -> None:
    """Addresses are on disk; what is in memory for speed has a bound that is reached soon."""
    front = frontier(depth=1)

    def add(count: int) -> None:
        for _ in range(count // 1000):
            numbers = range(len(front), len(front) + 1000)
            front.add([f"{BASE}/a/rather/long/path/of/a/page/number/{n}" for n in numbers], found_by=0)

    tracemalloc.start()
    try:
        add(5_000)
        before, _ = tracemalloc.get_traced_memory()
        add(10_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(front) == 15_000
    # In a set the second part would take some two million bytes.
    assert after - before < 500_000

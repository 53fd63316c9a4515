"""Which pages are looked at, in which order and how many at a time, with a browser that is none."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.core.egress import Egress
from tasks.discovery.contract import DiscoveryOptions, SiteRequest
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.looking import PageHangs
from tasks.discovery.engine.notes import Notes
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.walk import Walk, Walked
from tests.fakes import FakeJob, FakeResume

ORIGIN = "http://shop.test"
LINKS = {
    "/": ("/tea", "/coffee", "/help", "/about", "/news"),
    "/tea": ("/tea/green", "/tea/black"),
    "/coffee": ("/coffee/beans",),
    "/help": ("/help/faq",),
    "/about": (),
    "/news": ("/news/1", "/news/2", "/news/3"),
}
ALL = [
    *("/", "/tea", "/coffee", "/help", "/about", "/news"),
    *("/tea/green", "/tea/black", "/coffee/beans", "/help/faq", "/news/1", "/news/2", "/news/3"),
]


@dataclass
class Shop:
    """Pages that take as long as they are told to; ``most`` counts how many were looked at together."""

    takes_s: Callable[[str], float] = lambda _: 0.0
    hangs: frozenset[str] = frozenset()
    more: str = ""
    missing: frozenset[str] = frozenset()
    under_way: int = 0
    most: int = 0
    looked: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def look(self, _visit: Any, url: str, _timeout_s: float) -> tuple[Any, Snapshot]:
        path = url.removeprefix(ORIGIN)
        self.looked.append(path)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes_s(path))
        except asyncio.CancelledError:
            self.cancelled.append(path)
            raise
        finally:
            self.under_way -= 1
        if path in self.hangs:
            raise PageHangs("it hangs")
        html = "".join(f"<a href={link}>{link}</a>" for link in LINKS.get(path, ())) + self.more
        return SimpleNamespace(status=404 if path in self.missing else 200), Snapshot(read_page(html, url=url), html)


class NoBrowser:
    """Awaits the work."""

    seconds = 0.0

    def visit(self, work: Callable[[Any], Awaitable[Any]], **_: Any) -> Any:
        async def run() -> Any:
            return await work(None)

        return asyncio.run(run())


def walked(
    shop: Shop, tmp_path: Path, *, state: dict[str, object] | None = None, **changes: Any
) -> tuple[Walked, FakeJob]:
    """Walk the shop."""
    with Egress() as egress:
        job = FakeJob(tmp_path, egress, browser=NoBrowser())
        job.resume.state = state
        may_spend = changes.pop("may_spend", lambda _: True)
        notes = changes.pop("notes", None) or Notes()
        options = DiscoveryOptions(respect_robots=False, **changes.pop("options", {}))
        walk = Walk(
            SiteRequest(**{"url": f"{ORIGIN}/", "max_pages": 50, "options": options, **changes}),
            job,
            look=shop.look,
            fetch=lambda *_, **__: None,  # type: ignore[arg-type]  # nothing is fetched
            notes=notes,
            serves=lambda _: 0.0,
            may_spend=may_spend,
        )
        return walk.go(), job


def paths(found: Walked) -> list[str]:
    return [page.url.removeprefix(ORIGIN) for page in found.pages]


@pytest.mark.parametrize("slow", [lambda path: 0.02 * (len(path) % 3), lambda path: 0.03 if path == "/tea" else 0.0])
def test_the_order_is_the_same_whichever_page_is_read_first(tmp_path: Path, slow: Callable[[str], float]) -> None:
    """And several are read at a time."""
    shop = Shop(slow)
    found, _ = walked(shop, tmp_path)
    assert ALL == paths(found)
    assert ALL == shop.looked
    assert 3 == shop.most
    assert found.is_exhausted


def test_no_page_beyond_the_bound_is_begun(tmp_path: Path) -> None:
    """Also where several are read at a time."""
    shop = Shop(lambda _: 0.01)
    found, _ = walked(shop, tmp_path, max_pages=5)
    assert ALL[:5] == paths(found) == shop.looked


def test_a_pause_between_pages_is_for_one_page_at_a_time(tmp_path: Path) -> None:
    """Whoever asks for a pause wants one guest."""
    shop = Shop(lambda _: 0.001)
    found, _ = walked(shop, tmp_path, max_depth=1, options={"delay_s": 0.01})
    assert ALL[:6] == paths(found)
    assert 1 == shop.most


def test_what_may_be_spent_is_asked_before_each_page(tmp_path: Path) -> None:
    """Those that were begun are still taken in."""
    allowed = iter([True, True, True, True, False])
    shop = Shop(lambda _: 0.001)
    found, _ = walked(shop, tmp_path, may_spend=lambda _: next(allowed))
    assert ALL[:5] == paths(found) == shop.looked
    assert not found.is_exhausted


def test_the_others_are_looked_at_again_when_one_hangs(tmp_path: Path) -> None:
    """One at a time from then on, because the next may hang as well; the one that hung is not."""
    shop = Shop(lambda path: 0.0 if path == "/tea" else 0.05, hangs=frozenset({"/tea"}))
    found, _ = walked(shop, tmp_path, max_depth=1)
    assert ["/", "/coffee", "/help", "/about", "/news"] == paths(found)
    assert ["/", "/tea", "/coffee", "/help"] == shop.looked[:4]
    assert {"/coffee", "/help"} == set(shop.cancelled)
    assert ["/coffee", "/help", "/about", "/news"] == shop.looked[4:]


def test_pages_of_a_lost_attempt_are_looked_at_alone(tmp_path: Path) -> None:
    """What was under way together is told apart; after the second loss a page is left out. Nothing of it stays."""
    shop = Shop(lambda _: 0.001)
    looking = {f"{ORIGIN}/tea": 1, f"{ORIGIN}/coffee": 2}
    found, job = walked(shop, tmp_path, state={"looking": looking, "tried": ["x"]}, max_depth=1)
    assert ["/", "/tea", "/help", "/about", "/news"] == paths(found)
    assert 1 == shop.most
    assert {"tried": ["x"]} == job.resume.state


def test_what_is_looked_at_is_kept_before_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an attempt that is lost tells the next which pages may have been its end."""
    kept: list[list[str]] = []

    def save(_: FakeResume, state: dict[str, Any]) -> None:
        kept.append([url.removeprefix(ORIGIN) for url in state.get("looking", {})])

    monkeypatch.setattr(FakeResume, "save", save)
    walked(Shop(lambda _: 0.001), tmp_path, max_pages=4)
    assert [["/tea", "/coffee", "/help"], []] == kept


SEARCH = (
    "<form role=search action=/search><input type=search name=q><button>Search</button></form>"
    "<main><a href=/tea>Leaves of spring</a><a href=/coffee>Leaves of autumn</a></main>"
)
RESULTS = "/search?q=leaves"


def test_what_a_search_shows_is_looked_at_like_a_page(tmp_path: Path) -> None:
    """Once; not where a site may not be explored, nor beside pages that the caller names."""
    assert 1 == paths(walked(Shop(more=SEARCH), tmp_path / "a")[0]).count(RESULTS)
    quiet, _ = walked(Shop(more=SEARCH), tmp_path / "b", options={"explore": False})
    assert ALL == paths(quiet)
    named, _ = walked(Shop(more=SEARCH), tmp_path / "c", urls=[f"{ORIGIN}/help"])
    assert ["/", "/help"] == paths(named)


def test_a_search_that_leads_nowhere_costs_nothing(tmp_path: Path) -> None:
    """The site was seen whole, and is not looked at again for it."""
    notes = Notes()
    found, _ = walked(Shop(more=SEARCH, missing=frozenset({RESULTS})), tmp_path, notes=notes)
    assert ALL == paths(found)
    assert ["gone"] == [one.reason for one in notes.told]
    assert not notes.is_partial
    assert found.is_exhausted

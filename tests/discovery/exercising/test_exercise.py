"""Safe controls of real pages in a real browser: what is seen of the scripts, and that nothing else leaves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tasks.core.browser import Visit, WarmBrowser
from tasks.discovery.engine import exercise as exercise_module
from tasks.discovery.engine.exercise import exercise
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.site import Exchange
from tasks.discovery.engine.watch import Watch, WatchLimits
from tests.discovery.exercising.shop import Shop
from tests.samples import eventually

# Ten seconds of waiting for what a slow machine is late with.
_MOST_LOOKS = 100


@dataclass(frozen=True)
class Tried:
    """What came of trying a page."""

    exchanges: tuple[Exchange, ...]
    acts: tuple[str, ...]
    stopped: tuple[str, ...]
    url: str
    page: Page
    field: str
    # What ``look`` gave before the browser let go of the page.
    looked: Any


class PatientWatch(Watch):
    """One that waits longer, so that a slow machine sees what a fast one does."""

    async def settle(self, *, first_s: float, quiet_s: float = 0.1, most_s: float = 1.5) -> None:
        await super().settle(first_s=4 * first_s, quiet_s=2 * quiet_s, most_s=4 * most_s)


@pytest.fixture(autouse=True)
def _patient_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    make_patient(monkeypatch)


def make_patient(patch: pytest.MonkeyPatch) -> None:
    """Give each act the time that it takes on a slow machine."""
    patch.setattr(exercise_module, "_CLICK_LIMIT_MS", 5000)
    patch.setattr(exercise_module, "_FRAME_LIMIT_S", 10.0)


def tried(
    browser: WarmBrowser,
    url: str,
    *,
    after_s: float = 0.0,
    limits: WatchLimits | None = None,
    watching: type[Watch] = PatientWatch,
    look: Callable[[], Any] = lambda: None,
    until: Callable[[], bool] = lambda: True,
    **options: Any,
) -> Tried:
    """Open ``url``, try its controls, wait ``after_s`` and ``until`` something has come, and tell what was seen."""

    async def work(visit: Visit) -> Tried:
        page = await visit.context.new_page()
        watch = watching(page, limits=limits)
        await watch.start()
        await visit.open(page, url)
        await watch.settle(first_s=1.0)
        read = read_page(await page.content(), url=url)
        acts = await exercise(page, watch, **{"budget_s": 40, **options})
        await asyncio.sleep(after_s)
        for _ in range(_MOST_LOOKS):
            if until():
                break
            await asyncio.sleep(0.1)
        exchanges = await watch.exchanges()
        await watch.stop()
        field = await page.evaluate("document.querySelector('input')?.value || ''")
        return Tried(exchanges, acts, tuple(watch.stopped), page.url, read, field, look())

    return browser.run(work, timeout_s=120)


@pytest.fixture(scope="module")
def seen_anew(browser: WarmBrowser, open_shop: Shop) -> tuple[Tried, list[str]]:
    """The shop's page, tried and opened anew, and what the shop was asked for meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        make_patient(patch)
        open_shop.asked.clear()
        seen = tried(browser, open_shop.url(), after_s=0.5)
        return seen, [asked.path for asked in open_shop.asked]


def test_requests_are_seen_with_what_was_done_before_them(seen_anew: tuple[Tried, list[str]]) -> None:
    """Loading, typing, more, an order and a tab each show the shop's API; what it may not show is left out."""
    seen, _ = seen_anew
    assert (
        "typed 'blue' into 'Search products'",
        "typed 'kettle' into 'Search products'",
        "pressed 'Load more' (more)",
        "pressed 'Load more' (more) #2",
        "chose option 2 of 'Sort by NamePrice' (sort)",
        "pressed 'New' (tab)",
    ) == seen.acts
    assert ["load", *seen.acts] == [exchange.trigger for exchange in seen.exchanges]
    typed = [exchange for exchange in seen.exchanges if exchange.typed]
    assert ["blue", "kettle"] == [exchange.typed for exchange in typed]
    assert '"name": "blue kettle"' in typed[0].response_text
    assert {200} == {exchange.status for exchange in seen.exchanges}
    tab = seen.exchanges[-1]
    assert ("POST", '{"filter":{"isNew":true,"colours":["red"]},"page":1}') == (tab.method, tab.request_body)
    assert {"", "XMLHttpRequest"} == {
        seen.exchanges[0].request_headers[name] for name in ("x-csrf-token", "x-requested-with")
    }


def test_the_page_is_opened_anew(seen_anew: tuple[Tried, list[str]], shop: Shop) -> None:
    """Its address and its fields are as they were; what its new start asks for is no evidence."""
    seen, asked = seen_anew
    assert (shop.url(), "") == (seen.url, seen.field)
    assert 1 == sum(exchange.trigger == "load" for exchange in seen.exchanges)
    assert 2 == sum(path.startswith("/api/v1/products?q=&page=1&sort=name") for path in asked)


def asked_by(seen: Tried) -> list[tuple[str, str, str]]:
    """What was asked after what; where hands are slow, the page also asks for the box as it is before a word."""
    return [(one.method, one.url, one.trigger) for one in seen.exchanges if one.typed in one.url]


def test_the_same_page_is_tried_the_same_way(
    seen_anew: tuple[Tried, list[str]], browser: WarmBrowser, shop: Shop
) -> None:
    """Whether it is opened anew afterwards or not."""
    first, second = seen_anew[0], tried(browser, shop.url(), reopen=False)
    assert first.acts == second.acts
    assert asked_by(first) == asked_by(second)


@pytest.mark.parametrize("is_reopened", [True, pytest.param(False, marks=pytest.mark.long)])
def test_nothing_unsafe_reaches_the_server(browser: WarmBrowser, shop: Shop, *, is_reopened: bool) -> None:
    """Controls with innocent words that send, delete, leave, beacon, message, and that say farewell."""
    pressed: set[tuple[str, str, str]] = set()
    harmful, look = shop.url("/harmful"), lambda: list(shop.asked)
    opened = 2 if is_reopened else 1
    seen = tried(
        browser,
        harmful,
        after_s=1.0,
        look=look,
        until=lambda: len(shop.messages) == opened,
        reopen=is_reopened,
        pressed=pressed,
    )
    assert [] == seen.looked
    # What these would send may depend on fields, so they are tried once more where nothing can reach the site.
    assert {"Load more", "Show more"}.isdisjoint(says for _, _, says in pressed)
    ways = {asked.partition(" ")[2].removeprefix(shop.url()) for asked in seen.stopped}
    assert {
        *("unsafe/typed", "unsafe/fetch", "unsafe/beacon", "unsafe/xhr", "unsafe/navigation", "unsafe/form"),
        *("unsafe/window", "unsafe/delete?all=1", "unsafe/worker", "unsafe/later", "unsafe/search", "graphql"),
    } == ways
    unsent = {exchange.url.removeprefix(shop.url()) for exchange in seen.exchanges if not exchange.is_sent}
    assert {"unsafe/typed", "unsafe/fetch", "unsafe/xhr", "unsafe/later", "unsafe/search", "graphql"} <= unsent
    # What was on its way when the browser let go would be there by now.
    tried(browser, shop.url("/still"), after_s=1.0)
    # A page that was opened anew and not touched since says farewell as it does to any visitor.
    assert ({"/unsafe/farewell"} if is_reopened else set()) >= {asked.path for asked in shop.asked}
    assert eventually(lambda: ["hello"] * opened == shop.messages), shop.messages


def test_without_a_guard_the_harmful_page_does_harm(browser: WarmBrowser, shop: Shop) -> None:
    """The proof above is about the guard, not about the page: pressed by hand, its controls do reach the server."""

    async def work(visit: Visit) -> None:
        page = await visit.context.new_page()
        await visit.open(page, shop.url("/harmful"))
        for selector in ("#a", "#b", "#e", "#f", "#h", "#i"):
            await page.click(selector)
        await asyncio.sleep(0.5)
        await page.goto("about:blank")

    browser.run(work, timeout_s=60)
    wanted = {f"/unsafe/{name}" for name in ("fetch", "beacon", "xhr", "worker", "shared", "search", "farewell")}
    assert eventually(lambda: wanted <= {asked.path for asked in shop.asked}), shop.asked
    assert eventually(lambda: "unsafe" in shop.messages)


def test_a_page_without_scripts_is_left_alone(browser: WarmBrowser, shop: Shop) -> None:
    seen = tried(browser, shop.url("/still"))
    assert ((), ()) == (seen.acts, seen.exchanges)


def test_a_list_to_pick_from_is_opened_and_searched(browser: WarmBrowser, shop: Shop) -> None:
    """Though it stands in a form that is posted. What asked for nothing is not tried on other pages, and a menu that
    was pressed need not be pressed again.
    """
    silent: set[tuple[str, ...]] = set()
    pressed: set[tuple[str, str, str]] = set()
    seen = tried(browser, shop.url("/pick"), words=["blue"], silent=silent, pressed=pressed)
    assert ("pressed 'Maker' (pick)", "typed 'blue' into 'box'", "pressed 'Theme' (menu)") == seen.acts
    # Letter by letter; then Escape empties the box, which is no act of its own.
    queries = [(exchange.typed, exchange.url.rpartition("?")[2]) for exchange in seen.exchanges]
    letters = [("blue", f"q={'blue'[:count]}&page=1") for count in range(1, 5)]
    assert [("", "page=1"), *letters, ("", "page=1")] == queries
    assert ["Theme"] == [name for key in silent for name in key if name == "Theme"]
    assert ["Theme"] == [says for _, _, says in pressed]
    assert seen.acts[:2] == tried(browser, shop.url("/pick"), words=["blue"], silent=silent).acts


def test_time_acts_and_bodies_are_bounded(browser: WarmBrowser, shop: Shop) -> None:
    assert () == tried(browser, shop.url(), budget_s=0.0, reopen=False).acts
    limits = WatchLimits(max_exchanges=2, max_response_bytes=50)
    few = tried(browser, shop.url(), limits=limits, max_acts=2, reopen=False)
    assert 2 == len(few.acts)
    assert [("", 200), ("", 200)] == [(exchange.response_text, exchange.status) for exchange in few.exchanges]


def test_given_words_are_typed(browser: WarmBrowser, shop: Shop) -> None:
    seen = tried(browser, shop.url(), words=["teapot"], max_acts=1, reopen=False)
    assert ["teapot"] == [exchange.typed for exchange in seen.exchanges if exchange.typed]


def test_what_no_script_listens_to_is_left_alone(browser: WarmBrowser, shop: Shop) -> None:
    """A listener above a control counts; so it does after something was pressed."""
    found = tried(browser, shop.url("/deaf"))
    names = ("Sort", "Next", "Search", "Load more")
    assert {"Sort", "Next"} == {name for act in found.acts for name in names if name in act}
    assert {"page=2", "sort=price"} <= {one.url.partition("?")[2] for one in found.exchanges}

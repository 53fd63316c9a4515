"""Safe controls of real pages in a real browser: what is seen of the scripts' requests, and that nothing else leaves."""

import asyncio
from dataclasses import dataclass
from typing import Any

from tasks.core.browser import Visit, WarmBrowser
from tasks.discovery.engine.exercise import exercise
from tasks.discovery.engine.site import Exchange
from tasks.discovery.engine.watch import Watch
from tests.discovery.exercising.shop import Shop


@dataclass(frozen=True)
class Tried:
    """What came of trying a page."""

    exchanges: tuple[Exchange, ...]
    acts: tuple[str, ...]
    stopped: tuple[str, ...]
    url: str
    typed: str


def tried(browser: WarmBrowser, url: str, *, after_s: float = 0.0, **options: Any) -> Tried:
    """Open ``url``, try its controls, wait ``after_s`` and tell what was seen."""

    async def work(visit: Visit) -> Tried:
        page = await visit.context.new_page()
        watch = Watch(page)
        await watch.start()
        await visit.open(page, url)
        await watch.settle(first_s=0.5)
        acts = await exercise(page, watch, budget_s=options.pop("budget_s", 30), **options)
        await asyncio.sleep(after_s)
        exchanges = await watch.exchanges()
        await watch.stop()
        typed = await page.evaluate("document.querySelector('input')?.value")
        return Tried(exchanges, acts, tuple(watch.stopped), page.url, typed)

    return browser.run(work, timeout_s=90)


def test_requests_are_seen_with_what_was_done_before_them(browser: WarmBrowser, shop: Shop) -> None:
    """Loading, typing, more, sorting and a tab each show the shop's API."""
    seen = tried(browser, shop.url())
    by_trigger = {exchange.trigger: exchange for exchange in seen.exchanges}
    print(
        seen.acts,
        seen.stopped,
        [(e.trigger, e.method, e.url, e.status, e.is_sent, len(e.response_text)) for e in seen.exchanges],
    )
    assert 0


def test_nothing_unsafe_reaches_the_server(browser: WarmBrowser, shop: Shop) -> None:
    seen = tried(browser, shop.url("/harmful"), after_s=1.0)
    print(seen.acts, seen.stopped)
    print(shop.asked)
    assert 0

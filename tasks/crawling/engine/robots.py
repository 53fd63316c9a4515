"""The rules of the origins that a crawl meets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.core.robots import MAX_ROBOTS_BYTES, MAX_ROBOTS_REDIRECTS, parse_robots
from tasks.core.web_address import host_of, origin_of
from tasks.crawling.engine.fetch import Fetcher, FetchFailed
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.records import FailureReason


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What one origin's robots.txt says to one user agent."""

    allows: Callable[[str], bool] = field(default=lambda _url: True)
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()
    unreachable: FetchFailed | None = None
    """Why it cannot be read, where it cannot: then nothing is allowed."""


class RobotsBook:
    """The rules of every origin that a crawl meets, each fetched once."""

    def __init__(self, fetcher: Fetcher, politeness: Politeness, *, user_agent: str, is_obeyed: bool) -> None:
        self._fetcher = fetcher
        self._politeness = politeness
        self._user_agent = user_agent
        self._is_obeyed = is_obeyed
        self._rules: dict[str, RobotsRules] = {}
        self.has_unread = False
        """Whether one could not be read, so that nothing of its origin is fetched."""
        self._locks: dict[str, asyncio.Lock] = {}

    async def rules_for(self, url: str) -> RobotsRules:
        """Return the rules of the URL's origin; the first call fetches them and slows the host to its Crawl-delay."""
        origin = origin_of(url)
        async with self._locks.setdefault(origin, asyncio.Lock()):
            if origin not in self._rules:
                rules = await self._fetch(origin)
                if rules.delay_s:
                    self._politeness.slow(host_of(url), to_delay_s=rules.delay_s)
                self._rules[origin] = rules
                self.has_unread = self.has_unread or rules.unreachable is not None
        return self._rules[origin]

    async def _fetch(self, origin: str) -> RobotsRules:
        try:
            answer = await self._fetcher.fetch(
                f"{origin}/robots.txt", max_bytes=MAX_ROBOTS_BYTES, redirects=MAX_ROBOTS_REDIRECTS, truncate=True
            )
        except FetchFailed as exc:
            is_absent = exc.reason in {FailureReason.HTTP_4XX, FailureReason.REDIRECTS} and exc.status != 429
            return RobotsRules() if is_absent or not self._is_obeyed else _shut(exc)
        text = parse_robots(answer.body.decode("utf-8", errors="replace"), user_agent=self._user_agent)
        if not self._is_obeyed:
            return RobotsRules(sitemaps=text.sitemaps)
        return RobotsRules(allows=text.allows, delay_s=text.delay_s, sitemaps=text.sitemaps)


def _shut(failure: FetchFailed) -> RobotsRules:
    return RobotsRules(allows=lambda _url: False, unreachable=failure)

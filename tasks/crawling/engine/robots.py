"""robots.txt: RFC 9309 (2022), with Crawl-delay, which the RFC leaves out and many sites use."""

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from protego import Protego

from tasks.crawling.contract import FailureReason
from tasks.crawling.engine.address import host_of, origin_of
from tasks.crawling.engine.fetch import Fetcher, FetchFailed
from tasks.crawling.engine.politeness import Politeness

# RFC 9309 2.5: at least 500 KiB must be read; the rest is ignored.
MAX_ROBOTS_BYTES = 500 * 1024
# RFC 9309 2.3.1.2: at least five consecutive redirects should be followed.
MAX_ROBOTS_REDIRECTS = 5
MAX_DELAY_S = 86_400.0
MAX_SITEMAP_LINES = 100

_AGENT_LINE = re.compile(r"^(\s*user-?agent\s*:\s*[^\s/#]+)[^#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What one origin's robots.txt says to one user agent."""

    allows: Callable[[str], bool] = field(default=lambda _url: True)
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()
    unreachable: FetchFailed | None = None
    """Why it cannot be read, where it cannot: then nothing is allowed."""


def parse_robots(text: str, *, user_agent: str) -> RobotsRules:
    """Return the rules for ``user_agent``: the longest match wins, allow wins a tie, no match allows.

    A group named by more than a product token ("Foo Bar", "Foo/1.0") counts for that token, as RFC 9309 2.2.1 has it.
    """
    lines = (_AGENT_LINE.sub(r"\1", line) for line in text.removeprefix("\ufeff").splitlines())
    parsed = Protego.parse("\n".join(lines))
    stated_s = parsed.crawl_delay(user_agent)
    return RobotsRules(
        allows=lambda url: parsed.can_fetch(url, user_agent),
        delay_s=min(stated_s, MAX_DELAY_S) if stated_s and math.isfinite(stated_s) and stated_s > 0 else 0.0,
        sitemaps=tuple(parsed.sitemaps)[:MAX_SITEMAP_LINES],
    )


class RobotsBook:
    """The rules of every origin that a crawl meets, each fetched once."""

    def __init__(self, fetcher: Fetcher, politeness: Politeness, *, user_agent: str, is_obeyed: bool) -> None:
        self._fetcher = fetcher
        self._politeness = politeness
        self._user_agent = user_agent
        self._is_obeyed = is_obeyed
        self._rules: dict[str, RobotsRules] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def rules_for(self, url: str) -> RobotsRules:
        """Return the rules of the URL's origin; the first call fetches them and slows the host to its Crawl-delay."""
        origin = origin_of(url)
        async with self._locks.setdefault(origin, asyncio.Lock()):
            if origin not in self._rules:
                rules = await self._fetch(origin)
                if rules.delay_s:
                    self._politeness.gate(host_of(url)).slow_to(rules.delay_s)
                self._rules[origin] = rules
        return self._rules[origin]

    async def _fetch(self, origin: str) -> RobotsRules:
        try:
            answer = await self._fetcher.fetch(
                f"{origin}/robots.txt", max_bytes=MAX_ROBOTS_BYTES, redirects=MAX_ROBOTS_REDIRECTS, truncate=True
            )
        except FetchFailed as exc:
            is_absent = exc.reason in {FailureReason.HTTP_4XX, FailureReason.REDIRECTS} and exc.status != 429
            return RobotsRules() if is_absent or not self._is_obeyed else _shut(exc)
        rules = parse_robots(answer.body.decode("utf-8", errors="replace"), user_agent=self._user_agent)
        return rules if self._is_obeyed else RobotsRules(sitemaps=rules.sitemaps)


def _shut(failure: FetchFailed) -> RobotsRules:
    return RobotsRules(allows=lambda _url: False, unreachable=failure)

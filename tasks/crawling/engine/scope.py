"""Which URLs belong to the crawl."""

from collections.abc import Iterable

from tasks.core.web_address import host_of, target_of
from tasks.crawling.contract import CrawlRequest, Scope
from tasks.crawling.patterns import AddressPattern


class Glob:
    """A pattern in which ``*`` stands for any run of characters; matched by scanning, so it never backtracks."""

    def __init__(self, pattern: str) -> None:
        self._is_whole_url = "://" in pattern
        self._parts = pattern.split("*")

    def matches(self, url: str) -> bool:
        """Tell whether the pattern covers the whole canonical URL (or its path and query)."""
        text = url if self._is_whole_url else target_of(url)
        first, *rest = self._parts
        if not rest:
            return text == first
        *middle, last = rest
        if not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end


_Pattern = Glob | AddressPattern


class SiteScope:
    """The request's scope and patterns, bound to the host that the start URL led to."""

    def __init__(self, request: CrawlRequest, *, start_url: str) -> None:
        self._scope = request.scope
        self._host = host_of(start_url)
        self._folder = target_of(start_url).partition("?")[0].rpartition("/")[0] + "/"
        self._include: tuple[_Pattern, ...] = (*map(Glob, request.include), *map(AddressPattern, request.include_regex))
        self._exclude: tuple[_Pattern, ...] = (*map(Glob, request.exclude), *map(AddressPattern, request.exclude_regex))

    def covers(self, url: str) -> bool:
        """Tell whether a canonical URL is in scope and passes the patterns."""
        if not self._is_on_site(url):
            return False
        return (not self._include or _any_matches(self._include, url)) and not _any_matches(self._exclude, url)

    def _is_on_site(self, url: str) -> bool:
        host = host_of(url)
        match self._scope:
            case Scope.ANY:
                return True
            case Scope.SUBDOMAINS:
                return host == self._host or host.endswith("." + self._host)
            case Scope.PATH:
                return host == self._host and target_of(url).startswith(self._folder)
            case Scope.HOST:
                return host == self._host


def _any_matches(patterns: Iterable[_Pattern], url: str) -> bool:
    return any(pattern.matches(url) for pattern in patterns)

"""Which URLs belong to the crawl."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from tasks.crawling.contract import CrawlRequest, Scope
from tasks.crawling.engine.address import host_of, target_of

# A request for one of these never brings a page; sparing it is politeness.
_NOT_PAGES = frozenset(
    f".{ending}"
    for endings in (
        ("avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"),
        ("avi", "flac", "m4a", "mkv", "mov", "mp3", "mp4", "mpeg", "ogg", "wav", "webm", "wmv"),
        ("7z", "bz2", "deb", "dmg", "exe", "gz", "iso", "jar", "msi", "rar", "rpm", "tar", "tgz", "xz", "zip"),
        ("csv", "doc", "docx", "epub", "json", "odt", "pdf", "ppt", "pptx", "xls", "xlsx"),
        ("css", "eot", "js", "otf", "ttf", "woff", "woff2"),
    )
    for ending in endings
)


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


class SiteScope:
    """The request's scope and patterns, bound to the host that the start URL led to."""

    def __init__(self, request: CrawlRequest, *, start_url: str) -> None:
        self._scope = request.scope
        self._host = host_of(start_url)
        self._folder = target_of(start_url).partition("?")[0].rpartition("/")[0] + "/"
        self._include = tuple(Glob(pattern) for pattern in request.include)
        self._exclude = tuple(Glob(pattern) for pattern in request.exclude)

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


def is_page_like(url: str) -> bool:
    """Tell whether the path's ending leaves open that a page is there; False for images, archives and so on."""
    return PurePosixPath(target_of(url).partition("?")[0]).suffix.lower() not in _NOT_PAGES


def _any_matches(globs: Iterable[Glob], url: str) -> bool:
    return any(glob.matches(url) for glob in globs)

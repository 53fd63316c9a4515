"""Sitemaps: sitemaps.org protocol 0.9, index files and gzip included."""

import asyncio
import re
import zlib
from collections import deque
from dataclasses import dataclass

from lxml import etree

from tasks.core.errors import EngineFailed
from tasks.core.web_address import canonical, origin_of
from tasks.crawling.engine.fetch import Fetcher, FetchFailed

# The protocol allows 50 MB; a file this large holds some 100,000 URLs.
MAX_SITEMAP_BYTES = 20 * 2**20
MAX_FILES = 50
CHUNK_BYTES = 64 * 1024
GZIP_PIECE_BYTES = 4096
_ENTRIES = frozenset({"url", "sitemap"})
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T[0-9:.]{4,18}(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"
# Answers that say that there is no such file.
_ABSENT = frozenset({404, 410})


class SitemapBroken(EngineFailed):
    """The file is no sitemap, or is over its cap."""


@dataclass(frozen=True, slots=True)
class Sitemap:
    """One file: the pages it lists, and the sitemaps it lists if it is an index."""

    pages: tuple[str, ...]
    sitemaps: tuple[str, ...]
    lastmods: tuple[str, ...] = ()
    """For each of them when it changed last, the day or more (W3C's format); empty where it is not told."""
    problem: str = ""
    """Why it may list more than was read; empty where it was read to its end."""


def parse_sitemap(body: bytes, *, max_urls: int, max_bytes: int = MAX_SITEMAP_BYTES) -> Sitemap:
    """Return the locations of a ``urlset`` or ``sitemapindex``, plain or gzipped, in order, at most ``max_urls``.

    Entities are not expanded, nothing is loaded from elsewhere, and what follows an XML error is lost.

    Raises:
        SitemapBroken: neither of the two, or larger than the cap when unpacked.
    """
    parser = etree.XMLPullParser(
        ("start", "end"),
        remove_comments=True,
        remove_pis=True,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=True,
    )
    found: list[str] = []
    days: list[str] = []
    day = ""
    root = ""
    unpacked, problem = _unpacked(body, max_bytes=max_bytes)
    text = memoryview(unpacked)
    has_ended = False
    for at in range(0, len(text), CHUNK_BYTES):
        parser.feed(bytes(text[at : at + CHUNK_BYTES]))
        for event, element in parser.read_events():
            name = etree.QName(element).localname
            if event == "start":
                root = root or name
            elif element.getparent() is None:
                has_ended = True
            elif name == "loc" and _is_entry(element.getparent()):
                found.append((element.text or "").strip())
            elif name == "lastmod" and _is_entry(element.getparent()):
                day = _moment(element.text or "")
            elif name in _ENTRIES:
                days += [""] * (len(found) - len(days))
                if days:
                    days[-1] = day
                day = ""
                element.clear()  # a large file is never held whole as a tree
        if len(found) > max_urls:
            problem = problem or f"lists more than {max_urls} addresses"
            break
    if root not in {"urlset", "sitemapindex"}:
        raise SitemapBroken("is neither a urlset nor a sitemapindex")
    is_index = root == "sitemapindex"
    if not has_ended:
        problem = problem or "ends too early, or is broken on the way"
    places = tuple(found[:max_urls])
    lastmods = (*days, *[""] * (len(places) - len(days)))[: len(places)]
    return Sitemap(
        pages=() if is_index else places, sitemaps=places if is_index else (), lastmods=lastmods, problem=problem
    )


def _moment(text: str) -> str:
    """Return a W3C date and time that tells the day at least; coarser ones tell too little to go by."""
    match = _MOMENT.match(text.strip())
    return match[0] if match else ""


def _is_entry(element: etree._Element | None) -> bool:
    return element is not None and etree.QName(element).localname in _ENTRIES


def _unpacked(body: bytes, *, max_bytes: int) -> tuple[bytes, str]:
    """Return what a gzip file holds, all members of it (RFC 1952, 2.2), and why there may be more."""
    if not body.startswith(_GZIP_MAGIC):
        return body, ""
    text = bytearray()
    at = 0
    while body.startswith(_GZIP_MAGIC, at):
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not unzip.eof and at < len(body):
            # In small pieces: what a member leaves of its last one is copied, and a file may have a million members.
            piece = body[at : at + GZIP_PIECE_BYTES]
            try:
                text += unzip.decompress(piece, max_bytes + 1 - len(text))
            except zlib.error as exc:
                raise SitemapBroken(f"its gzip is broken: {exc}") from exc
            if len(text) > max_bytes:
                raise SitemapBroken(f"unpacks to more than {max_bytes} bytes")
            at += len(piece) - len(unzip.unused_data)
        if not unzip.eof:
            return bytes(text), "its gzip is cut off"
    return bytes(text), ""


def _second(pair: tuple[str, str]) -> str:
    return pair[1]


class SitemapReader:
    """Collects page URLs from a site's sitemaps."""

    def __init__(self, fetcher: Fetcher, *, max_urls: int) -> None:
        self._fetcher = fetcher
        self._max_urls = max_urls
        self.problems: list[str] = []
        """One line for each sitemap that could not be read, or not whole."""
        self.has_failed = False
        """Whether pages may be missing that a sitemap lists: one was not had, was not read to its end, or met a cap."""
        self.lastmods: dict[str, str] = {}
        """When each of the pages changed last, where that is told."""

    async def pages(self, start_url: str, *, listed: tuple[str, ...], is_newest_first: bool = False) -> list[str]:
        """Return canonical page URLs, distinct, in order; or by the day of their last change, the newest first.

        Args:
            listed: the Sitemap lines of robots.txt; where there are none, ``/sitemap.xml`` is tried.
        """
        waiting = deque(url for line in listed if (url := canonical(line, base=start_url)))
        is_guess = not waiting
        if is_guess:
            waiting.append(f"{origin_of(start_url)}/sitemap.xml")
        seen = set(waiting)
        pages: dict[str, str] = {}
        files = 0
        while waiting and files < MAX_FILES and len(pages) < self._max_urls:
            url = waiting.popleft()
            files += 1
            sitemap = await self._read(url, is_guess=is_guess)
            for loc, day in zip(sitemap.pages, sitemap.lastmods, strict=False):
                if page := canonical(loc, base=url):
                    pages.setdefault(page, day)
            children = list(zip(sitemap.sitemaps, sitemap.lastmods, strict=False))
            for loc, _ in sorted(children, key=_second, reverse=True) if is_newest_first else children:
                child = canonical(loc, base=url)
                if child and child not in seen:
                    seen.add(child)
                    waiting.append(child)
        if waiting or len(pages) > self._max_urls:
            self._tell(f"read {files} sitemaps with {len(pages)} pages; {len(waiting)} sitemaps are left out")
        chosen = list(pages.items())[: self._max_urls]
        self.lastmods = {url: lastmod for url, lastmod in chosen if lastmod}
        return [url for url, _ in (sorted(chosen, key=_second, reverse=True) if is_newest_first else chosen)]

    async def _read(self, url: str, *, is_guess: bool) -> Sitemap:
        try:
            answer = await self._fetcher.fetch(url, max_bytes=MAX_SITEMAP_BYTES)
            # Parsing a large file takes a second; lxml releases the interpreter lock for most of it.
            sitemap = await asyncio.to_thread(parse_sitemap, answer.body, max_urls=self._max_urls)
        except FetchFailed as exc:
            is_absent = exc.status in _ABSENT
            if not (is_guess and is_absent):
                self._tell(f"sitemap {url}: {exc.message}", is_fault=not is_absent)
        except SitemapBroken as exc:
            self._tell(f"sitemap {url}: {exc.message}")
        else:
            if sitemap.problem:
                self._tell(f"sitemap {url}: {sitemap.problem}")
            return sitemap
        return Sitemap(pages=(), sitemaps=())

    def _tell(self, problem: str, *, is_fault: bool = True) -> None:
        self.problems.append(problem)
        self.has_failed = self.has_failed or is_fault

"""Sitemaps, read and collected."""

import asyncio
import gzip
import zlib

import httpx
import pytest

from tasks.crawling.engine import sitemaps
from tasks.crawling.engine.fetch import Fetcher
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.sitemaps import SitemapBroken, SitemapReader, parse_sitemap
from tests.crawling.conftest import QUICK
from tests.crawling.local_site import LocalSite, Reply

NS = "http://www.sitemaps.org/schemas/sitemap/0.9"


def urlset(*locs: str) -> bytes:
    entries = "".join(f"<url><loc> {loc} </loc><lastmod>2024-01-01</lastmod></url>" for loc in locs)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{NS}">{entries}</urlset>'.encode()


def index(*locs: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{loc}</loc></sitemap>" for loc in locs)
    return f'<sitemapindex xmlns="{NS}">{entries}</sitemapindex>'.encode()


def xml(body: bytes) -> Reply:
    return Reply(body, headers={"Content-Type": "application/xml"})


def collect(site: LocalSite, *listed: str, max_urls: int = 100) -> tuple[list[str], list[str]]:
    """Return paths and problems."""

    async def fetch() -> tuple[list[str], list[str]]:
        async with httpx.AsyncClient() as client:
            fetcher = Fetcher(client, Politeness(delay_s=0, concurrency=4), user_agent="T", limits=QUICK)
            reader = SitemapReader(fetcher, max_urls=max_urls)
            urls = await reader.pages(f"{site.url}/", listed=listed)
            return [url.removeprefix(site.url) for url in urls], reader.problems

    return asyncio.run(fetch())


def test_urlset_lists_pages_in_order() -> None:
    """Locations are trimmed; other fields, and those of other namespaces, are left alone."""
    extra = b'<url><loc>/c</loc><i:image xmlns:i="urn:i"><i:loc>/c.png</i:loc></i:image></url></urlset>'
    body = urlset("https://example.org/b", "https://example.org/a").replace(b"</urlset>", extra)
    assert parse_sitemap(body, max_urls=9).pages == ("https://example.org/b", "https://example.org/a", "/c")


def test_gzipped_sitemap_is_unpacked() -> None:
    """By its first bytes, whatever its name or type says."""
    assert parse_sitemap(gzip.compress(urlset("/a")), max_urls=9).pages == ("/a",)


def test_gzip_bomb_is_refused() -> None:
    """Unpacking ends at the cap."""
    bomb = gzip.compress(b" " * 1_000_000)
    with pytest.raises(SitemapBroken, match="more than 1000 bytes"):
        parse_sitemap(bomb, max_urls=9, max_bytes=1000)


def test_broken_gzip_is_refused() -> None:
    """It is a problem of that sitemap, not of the crawl."""
    with pytest.raises(SitemapBroken, match="gzip"):
        parse_sitemap(b"\x1f\x8b" + zlib.compress(b"x"), max_urls=9)


@pytest.mark.parametrize("body", [b"", b"<html><body>Not found</body></html>", b"plain", b"\x00\xff"])
def test_what_is_no_sitemap_is_refused(body: bytes) -> None:
    """Many sites answer any address with a friendly page."""
    with pytest.raises(SitemapBroken, match="neither"):
        parse_sitemap(body, max_urls=9)


def test_entities_are_not_expanded() -> None:
    """Neither files nor a billion laughs come in by a sitemap."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = f"""<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY l0 "ha"><!ENTITY f SYSTEM "file:///etc/hostname">{laughs}]>
    <urlset><url><loc>/x&f;</loc></url><url><loc>/y&l9;</loc></url><url><loc>/z</loc></url></urlset>"""
    pages = parse_sitemap(body.encode(), max_urls=9).pages
    assert pages[0] == "/x"
    assert all(len(page) < 10 for page in pages)


def test_pages_before_an_xml_error_are_kept() -> None:
    """Half a sitemap is better than none."""
    assert parse_sitemap(urlset("/a", "/b")[:-25], max_urls=9).pages[0] == "/a"


def test_number_of_urls_is_bounded() -> None:
    """The cap holds within one file."""
    assert len(parse_sitemap(urlset(*(f"/{n}" for n in range(3000))), max_urls=7).pages) == 7


def test_index_leads_to_its_sitemaps(site: LocalSite) -> None:
    """Also gzipped ones; a page listed twice counts once, and an index that names itself is read once."""
    site.answers["/sitemap.xml"] = xml(index("/one.xml", "/two.xml.gz", "/sitemap.xml"))
    site.answers["/one.xml"] = xml(urlset("/a", "/b"))
    site.answers["/two.xml.gz"] = xml(gzip.compress(urlset("/b", "/c")))
    assert collect(site) == (["/a", "/b", "/c"], [])


def test_listed_sitemap_is_read_and_the_usual_one_is_not(site: LocalSite) -> None:
    """The Sitemap lines of robots.txt come first; guessing is for sites without."""
    site.answers["/mine.xml"] = xml(urlset("/a"))
    site.answers["/sitemap.xml"] = xml(urlset("/other"))
    assert collect(site, "/mine.xml") == (["/a"], [])


def test_missing_usual_sitemap_is_no_problem(site: LocalSite) -> None:
    """Most sites have none."""
    assert collect(site) == ([], [])


def test_broken_sitemap_does_not_hide_the_others(site: LocalSite) -> None:
    """Each problem is a line; the rest is read."""
    site.answers["/bad.xml"] = Reply(b"<html></html>")
    site.answers["/good.xml"] = xml(urlset("/a"))
    pages, problems = collect(site, "/bad.xml", "/missing.xml", "/good.xml")
    assert pages == ["/a"]
    assert ["neither" in problems[0], "404" in problems[1]] == [True, True]


def test_number_of_files_is_bounded(site: LocalSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of ever more indexes ends."""
    monkeypatch.setattr(sitemaps, "MAX_FILES", 3)
    for n in range(9):
        site.answers[f"/{n}.xml"] = xml(index(f"/{n + 1}.xml"))
    collect(site, "/0.xml")
    assert site.targets() == ["/0.xml", "/1.xml", "/2.xml"]

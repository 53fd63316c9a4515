"""Sitemaps, read and collected."""

import asyncio
import gzip
import zlib

import pytest

from tasks.crawling.engine import sitemaps
from tasks.crawling.engine.fetch import Fetcher
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.sitemaps import SitemapBroken, SitemapReader, parse_sitemap
from tests.crawling.conftest import QUICK, web_of
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


def read(site: LocalSite, *listed: str, max_urls: int = 100) -> tuple[list[str], SitemapReader]:
    """Return paths, and who has read them."""

    async def fetch() -> tuple[list[str], SitemapReader]:
        async with web_of(site.url) as web:
            fetcher = Fetcher(web, Politeness(delay_s=0, concurrency=4), user_agent="T", limits=QUICK)
            reader = SitemapReader(fetcher, max_urls=max_urls)
            urls = await reader.pages(f"{site.url}/", listed=listed)
            return [url.removeprefix(site.url) for url in urls], reader

    return asyncio.run(fetch())


def collect(site: LocalSite, *listed: str) -> tuple[list[str], list[str]]:
    """Return paths and problems."""
    urls, reader = read(site, *listed)
    return urls, reader.problems


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


def test_gzip_may_have_several_members() -> None:
    """They are one file (RFC 1952, 2.2)."""
    body = urlset("/a", "/b")
    found = parse_sitemap(gzip.compress(body[:50]) + gzip.compress(body[50:]), max_urls=9)
    assert (("/a", "/b"), "") == (found.pages, found.problem)


LONG = urlset(*(f"/{n}" for n in range(300)))
# Of the bytes' own entropy, so that half of the file is half of the pages.
PACKED = gzip.compress(LONG, compresslevel=1)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (PACKED[: len(PACKED) // 2], "gzip is cut off"),
        (LONG[: len(LONG) // 2], "too early"),
        (LONG.replace(b"/150 ", b"/150?a&b "), "broken on the way"),
        (LONG + b"<urlset/>", ""),
        (urlset("/a"), ""),
    ],
)
def test_sitemap_tells_that_it_was_not_read_to_its_end(body: bytes, problem: str) -> None:
    """Of a download that ended early, and of XML that cannot be read on."""
    found = parse_sitemap(body, max_urls=1000)
    assert found.pages
    assert problem in found.problem
    assert bool(problem) == bool(found.problem)


def test_sitemap_of_as_many_urls_as_may_be_is_whole() -> None:
    """One more is left out, and told."""
    body = urlset("/a", "/b")
    assert ["lists more than 1 addresses", ""] == [parse_sitemap(body, max_urls=most).problem for most in (1, 2)]


@pytest.mark.parametrize(
    ("reply", "has_failed"),
    [
        (Reply(status=404), False),
        (Reply(status=410), False),
        (xml(urlset("/a")), False),
        (Reply(status=403), True),
        (Reply(status=429), True),
        (Reply(status=500), True),
        (Reply(b"<html><body>We are back soon.</body></html>"), True),
        (xml(b" " * 3000), True),
        (Reply(b"?", headers={"Content-Encoding": "gzip"}), True),
        (xml(LONG[:-25]), True),
    ],
)
@pytest.mark.parametrize("listed", [(), ("/sitemap.xml",)])
def test_only_absent_sitemaps_list_nothing(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch, reply: Reply, has_failed: bool, listed: tuple[str, ...]
) -> None:
    """Any other may have listed pages, so nothing is to be taken for gone."""
    monkeypatch.setattr(sitemaps, "MAX_SITEMAP_BYTES", 50_000 if reply.body.strip() else 2000)
    site.answers["/sitemap.xml"] = reply
    assert has_failed == read(site, *listed, max_urls=1000)[1].has_failed


@pytest.mark.parametrize(("files", "urls", "has_failed"), [(2, 4, False), (1, 4, True), (2, 3, True), (2, 2, True)])
def test_caps_leave_pages_out(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch, files: int, urls: int, has_failed: bool
) -> None:
    """Of files and of addresses; met exactly, they leave nothing out."""
    monkeypatch.setattr(sitemaps, "MAX_FILES", files)
    for name in "ab":
        site.answers[f"/{name}.xml"] = xml(urlset(f"/{name}1", f"/{name}2"))
    pages, reader = read(site, "/a.xml", "/b.xml", max_urls=urls)
    assert (has_failed, min(files * 2, urls)) == (reader.has_failed, len(pages))

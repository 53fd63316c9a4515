"""A site mapped, and its broken links found."""

import json

import pytest
from lxml import etree

from tasks.crawling.contract import BrokenLink, LinksRequest, SitemapRequest, StopReason
from tasks.crawling.engine import visiting
from tasks.crawling.engine.links import check_links
from tasks.crawling.engine.site_map import map_site
from tests.crawling.conftest import QUICK, ExtractionHere, MakeJob
from tests.crawling.local_site import LocalSite, Reply


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)


def test_sitemap_lists_each_page_once_with_its_day(site: LocalSite, make_job: MakeJob) -> None:
    """By its canonical address; pages that say nothing of their age have no lastmod, and addresses are escaped."""
    site.page("/", "/a?x=1&y=2", "/b", "/b2", "/gone")
    site.page("/a?x=1&y=2", head='<meta property="article:modified_time" content="2024-03-02T10:00:00Z">')
    site.page("/b")
    site.page("/b2", head='<link rel="canonical" href="/b">')
    job = make_job(site)
    result = map_site(SitemapRequest.model_validate({"url": f"{site.url}/", "delay_s": 0}), job, limits=QUICK)
    assert (3, 1, 1, StopReason.EXHAUSTED) == (
        result.addresses, result.with_lastmod, result.pages_failed, result.stopped_by,
    )  # fmt: skip
    root = etree.fromstring(job.saved["sitemap.xml"])
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    assert f"{space}urlset" == root.tag
    listed = {url.findtext(f"{space}loc"): url.findtext(f"{space}lastmod") for url in root}
    assert listed == {f"{site.url}/": None, f"{site.url}/a?x=1&y=2": "2024-03-02", f"{site.url}/b": None}


def test_broken_links_are_named_with_the_pages_they_are_on(site: LocalSite, make_job: MakeJob) -> None:
    """On the site and outside of it, files too; what answers, and what robots.txt forbids, is not broken."""
    with LocalSite().serving() as other:
        other.page("/fine")
        other.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /secret\n")
        away = [f"{other.url}{path}" for path in ("/fine", "/dead", "/secret")]
        site.page("/", "/a", "/gone", "/lost.pdf", *away)
        site.page("/a", "/gone", "/")
        job = make_job(site, other)
        request = LinksRequest.model_validate({"url": f"{site.url}/", "delay_s": 0})
        result = check_links(request, job, limits=QUICK)
        lines = [BrokenLink.model_validate(json.loads(line)) for line in job.saved["links.jsonl"].splitlines()]
    assert {f"{site.url}/gone": 2, f"{site.url}/lost.pdf": 1, f"{other.url}/dead": 1} == {
        link.url: link.pages for link in lines
    }
    assert (f"{site.url}/", f"{site.url}/a") == lines[0].found_on
    assert tuple(lines) == result.first
    assert (2, 7, 6, 3) == (result.pages_ok, result.links, result.checked, result.broken)


def test_a_broken_page_that_a_redirect_led_to_is_named_too(site: LocalSite, make_job: MakeJob) -> None:
    """It was asked for, if by another address, and is linked by its own."""
    site.page("/", "/docs", "/a")
    site.answers["/docs"] = Reply(status=301, headers={"Location": "/docs/"})
    site.page("/a", "/docs/")
    job = make_job(site)
    request = LinksRequest.model_validate({"url": f"{site.url}/", "delay_s": 0, "concurrency": 1})
    result = check_links(request, job, limits=QUICK)
    assert {f"{site.url}/docs": f"{site.url}/docs/", f"{site.url}/docs/": None} == {
        link.url: link.final_url for link in result.first
    }
    assert (3, 3, 2) == (result.links, result.checked, result.broken)


def test_links_outside_are_asked_for_while_there_is_time(site: LocalSite, make_job: MakeJob) -> None:
    """Then none is taken any more, and the result says why; what was found is told."""
    with LocalSite().serving() as other:
        site.page("/", *(f"{other.url}/{n}" for n in range(30)))
        for n in range(30):
            other.answers[f"/{n}"] = Reply(status=404, delay_s=0.6)
        fields = {"url": f"{site.url}/", "delay_s": 0, "concurrency": 2, "max_duration_s": 2}
        job = make_job(site, other)
        result = check_links(LinksRequest.model_validate(fields), job, limits=QUICK)
    assert result.stopped_by is StopReason.MAX_DURATION
    assert result.broken <= result.checked < 30
    assert result.broken == len(job.saved["links.jsonl"].splitlines())


def test_links_outside_are_left_alone_where_asked(site: LocalSite, make_job: MakeJob) -> None:
    """Nobody else's server is bothered."""
    with LocalSite().serving() as other:
        site.page("/", f"{other.url}/dead")
        request = LinksRequest.model_validate({"url": f"{site.url}/", "delay_s": 0, "check_external": False})
        result = check_links(request, make_job(site, other), limits=QUICK)
        assert (0, []) == (result.broken, other.hits)

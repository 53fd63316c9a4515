"""A whole crawl of a served site."""

import hashlib
import itertools
import json

import pytest

from tasks.crawling.contract import StopReason
from tasks.crawling.engine import frontier
from tasks.crawling.records import CrawledPage
from tests.crawling.conftest import Crawl, MakeJob
from tests.crawling.local_site import LocalSite, Reply, html


def chain(site: LocalSite, length: int) -> None:
    """Serve pages of which each links to the next."""
    site.page("/", "/1")
    for n in range(1, length):
        site.page(f"/{n}", f"/{n + 1}")


def test_pages_come_with_all_that_was_promised(site: LocalSite, crawl: Crawl) -> None:
    """URL, title, text, links, status and hash, one JSON object a line."""
    site.page("/", "/a", "https://elsewhere.example/")
    site.page("/a", head='<link rel="canonical" href="/a">')
    done = crawl()
    assert done.job.media_types == {"pages.jsonl": "application/x-ndjson"}
    first, second = (CrawledPage.model_validate_json(json.dumps(page)) for page in done.pages)
    assert (first.url, first.depth, first.status, first.title) == (f"{site.url}/", 0, 200, "Page /")
    assert first.links == (f"{site.url}/a", "https://elsewhere.example/")
    assert first.text.startswith("# Heading of /")
    assert first.hash == hashlib.sha256(first.text.encode()).hexdigest()
    assert (second.url, second.depth, second.canonical) == (f"{site.url}/a", 1, f"{site.url}/a")
    assert first.size_bytes == len(html("/", "/a", "https://elsewhere.example/"))


def test_summary_counts_what_became_of_every_url(site: LocalSite, crawl: Crawl) -> None:
    """Kept, failed, and skipped by reason."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n")
    site.answers["/file"] = Reply(b"%PDF", headers={"Content-Type": "application/pdf"})
    site.answers["/moved"] = Reply(status=301, headers={"Location": "/"})
    site.page("/", "/a", "/private/x", "/gone", "/file", "/logo.png", "/moved", "http://elsewhere.example/")
    site.page("/a", "/", "/a")
    result = crawl().result
    assert (result.pages_ok, result.pages_failed, result.deepest) == (2, 1, 1)
    skipped = result.skipped.model_dump(exclude_defaults=True)
    assert skipped == {"robots": 1, "scope": 1, "type": 2, "duplicate": 1}
    assert [(error.url, error.status) for error in result.errors] == [(f"{site.url}/gone", 404)]
    assert result.failed_by_reason == {"http_4xx": 1}
    assert (result.stopped_by, result.is_mostly_failed) == (StopReason.EXHAUSTED, False)
    assert result.fetched_bytes == sum(
        len(html(p, *ls))
        for p, ls in (
            ("/", ("/a", "/private/x", "/gone", "/file", "/logo.png", "/moved", "http://elsewhere.example/")),
            ("/a", ("/", "/a")),
        )
    )
    assert result.pages_per_second > 0


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_depth_is_exact(site: LocalSite, crawl: Crawl, depth: int) -> None:
    """So many links are followed from the start, and no more is even asked for."""
    chain(site, 6)
    done = crawl(depth=depth)
    assert done.paths == ["/", *(f"/{n}" for n in range(1, depth + 1))]
    assert len(site.targets()) == depth + 1
    assert done.result.deepest == depth


def test_depth_is_that_of_the_shortest_way(site: LocalSite, crawl: Crawl) -> None:
    """Also where the page on the shorter way is slow to answer."""
    site.page("/", "/quick", "/slow")
    site.page("/quick", "/deep")
    site.page("/deep", "/target")
    site.page("/slow", "/target", delay_s=0.2)
    site.page("/target", "/last")
    site.page("/last")
    assert {page["url"]: page["depth"] for page in crawl(depth=3).pages}[f"{site.url}/last"] == 3


@pytest.mark.parametrize("cap", [1, 2, 7])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_page_cap_is_exact(site: LocalSite, crawl: Crawl, cap: int, concurrency: int) -> None:
    """Failures do not use it up, and overlapping requests do not overshoot it."""
    site.page("/", *(f"/{n}" for n in range(20)))
    for n in range(0, 20, 2):
        site.page(f"/{n}")
    done = crawl(max_pages=cap, concurrency=concurrency)
    assert (len(done.pages), done.result.pages_ok) == (cap, cap)
    assert done.result.stopped_by is StopReason.MAX_PAGES


@pytest.mark.parametrize("concurrency", [1, 8])
def test_cap_of_all_bytes_is_exact(site: LocalSite, crawl: Crawl, concurrency: int) -> None:
    """It may be used up to the last byte, and the page that would be a byte more is not kept."""
    site.page("/", *(f"/{n}" for n in range(20)))
    for n in range(20):
        site.answers[f"/{n}"] = Reply(b"<p>" + b"x" * 997, headers={"Content-Type": "text/html"})
    first = len(site.answers["/"].body)
    for cap, pages in ((first + 3000, 4), (first + 2999, 3)):
        done = crawl(max_total_bytes=cap, concurrency=concurrency)
        assert (len(done.pages), done.result.fetched_bytes) == (pages, first + 1000 * (pages - 1))
        assert (done.result.stopped_by, done.result.is_whole) == (StopReason.MAX_TOTAL_BYTES, False)
    assert crawl(max_total_bytes=first + 20_000).result.stopped_by is StopReason.EXHAUSTED


def test_capped_crawl_keeps_the_same_pages_however_they_answer(site: LocalSite, crawl: Crawl) -> None:
    """The first in the order of the links, not the first to arrive."""
    site.page("/", *(f"/{n}" for n in range(9)))
    for n in range(9):
        site.page(f"/{n}", delay_s=0.1 if n < 4 else 0)
    assert crawl(max_pages=6).paths == ["/", "/0", "/1", "/2", "/3", "/4"]


def test_include_and_exclude_choose_the_pages(site: LocalSite, crawl: Crawl) -> None:
    """The start URL is fetched in any case."""
    site.page("/", "/docs/a", "/docs/old/b", "/blog/c")
    for path in ("/docs/a", "/docs/old/b", "/blog/c"):
        site.page(path)
    done = crawl(include=["/docs/*"], exclude=["*/old/*"])
    assert done.paths == ["/", "/docs/a"]
    assert done.result.skipped.scope == 2


def test_spellings_of_one_page_are_fetched_once(site: LocalSite, crawl: Crawl) -> None:
    """Fragments, dot segments and escapes make no new page."""
    site.page("/", "/a", "/a#x", "/./a", "/b/../a", "/%61", f"{site.url}/a", "/a?")
    site.page("/a")
    assert crawl().paths == ["/", "/a"]
    assert site.targets() == ["/", "/a"]


def test_page_under_a_second_address_is_kept_once(site: LocalSite, crawl: Crawl) -> None:
    """Where its canonical link names the first and the text is the same."""
    head = '<link rel="canonical" href="/a">'
    site.page("/", "/a", "/a?ref=mail")
    site.answers["/a"] = site.answers["/a?ref=mail"] = Reply(html("/a", head=head))
    done = crawl(concurrency=1)
    assert done.paths == ["/", "/a"]
    assert done.result.skipped.duplicate == 1


def test_pages_that_all_name_the_home_page_are_kept(site: LocalSite, crawl: Crawl) -> None:
    """A common mistake in templates must not empty the crawl."""
    head = '<link rel="canonical" href="/">'
    site.page("/", "/a", "/b", head=head)
    site.page("/a", head=head)
    site.page("/b", head=head)
    assert crawl().paths == ["/", "/a", "/b"]


def test_start_that_redirects_defines_the_site(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Links are followed on the host that the start URL leads to."""
    with LocalSite().serving() as target:
        target.page("/home", "/a", f"{site.url}/back")
        target.page("/a")
        site.answers["/"] = Reply(status=302, headers={"Location": f"{target.url}/home"})
        done = crawl(job=make_job(site, target))
        assert done.result.start_url == f"{target.url}/home"
        assert sorted(str(page["url"]) for page in done.pages) == [f"{target.url}/a", f"{target.url}/home"]


def test_redirect_out_of_scope_is_not_followed(site: LocalSite, crawl: Crawl) -> None:
    """Nor is one to a page that robots.txt disallows."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n")
    site.page("/", "/out", "/in")
    site.answers["/out"] = Reply(status=302, headers={"Location": "http://localhost:1/"})
    site.answers["/in"] = Reply(status=302, headers={"Location": "/private"})
    done = crawl(scope="host")
    assert (done.result.skipped.scope + done.result.skipped.robots, done.paths) == (2, ["/"])
    assert "/private" not in site.targets()


def test_crawl_delay_of_the_site_is_kept(site: LocalSite, crawl: Crawl) -> None:
    """Between the starts of any two requests, robots.txt included, although the request asked for none."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 0.5\n")
    site.page("/", "/a", "/b", "/c")
    for path in ("/a", "/b", "/c"):
        site.page(path)
    done = crawl(use_sitemap=False)
    times = [hit.at for hit in site.hits]
    assert len(times) == 5
    # The server notes when it got round to a request: half of the delay is left for a machine that is slow to.
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(times))
    assert done.result.delay_s == 0.5
    assert (done.job.sharedir / "crawl-turns").exists()  # other crawls of this machine take their turns there, too


def test_longest_robots_rule_wins_in_a_crawl(site: LocalSite, crawl: Crawl) -> None:
    """An Allow within a Disallow opens its part."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /d/\nAllow: /d/open\n")
    site.page("/", "/d/open", "/d/shut")
    site.page("/d/open")
    assert crawl().paths == ["/", "/d/open"]
    assert "/d/shut" not in site.targets()


def test_own_rules_of_a_user_agent_are_obeyed(site: LocalSite, crawl: Crawl) -> None:
    """By the name that the request gave the crawler."""
    site.answers["/robots.txt"] = Reply(b"User-agent: MyBot\nDisallow: /a\n\nUser-agent: *\nDisallow: /b\n")
    site.page("/", "/a", "/b")
    site.page("/a")
    site.page("/b")
    assert crawl(user_agent="MyBot/2.0").paths == ["/", "/b"]
    assert site.hits[-1].headers["User-Agent"] == "MyBot/2.0"


def test_sitemap_brings_pages_that_nothing_links_to(site: LocalSite, crawl: Crawl) -> None:
    """As depth 1, after the links of the start page, within scope and patterns."""
    locs = ("/hidden", "/linked", "/private/x")
    entries = "".join(f"<url><loc>{site.url}{loc}</loc></url>" for loc in locs)
    site.answers["/robots.txt"] = Reply(b"Sitemap: /map.xml\n")
    site.answers["/map.xml"] = Reply(f"<urlset>{entries}</urlset>".encode(), headers={"Content-Type": "text/xml"})
    site.page("/", "/linked")
    site.page("/linked")
    site.page("/hidden")
    done = crawl(exclude=["/private/*"])
    assert done.paths == ["/", "/hidden", "/linked"]
    assert done.result.sitemap_urls == 3
    assert {page["url"]: page["depth"] for page in done.pages}[f"{site.url}/hidden"] == 1


def test_sitemap_is_left_alone_where_it_is_not_wanted(site: LocalSite, crawl: Crawl) -> None:
    """By use_sitemap, or because no page beyond the first is."""
    site.page("/")
    crawl(use_sitemap=False)
    crawl(depth=0)
    crawl(max_pages=1)
    assert "/sitemap.xml" not in [hit.target for hit in site.hits]


def test_every_page_is_reported(site: LocalSite, crawl: Crawl) -> None:
    """Done never goes back nor beyond the total, which is never above the cap."""
    site.page("/", *(f"/{n}" for n in range(9)))
    for n in range(9):
        site.page(f"/{n}")
    job = crawl(max_pages=5).job
    assert [report.done for report in job.reports] == [1, 2, 3, 4, 5]
    assert {report.stage for report in job.reports} == {"crawling"}
    assert all(report.total is not None and report.done <= report.total <= 5 for report in job.reports)
    assert job.reports[0].message == f"{site.url}/"


def test_charset_of_the_header_is_used(site: LocalSite, crawl: Crawl) -> None:
    """The text comes out as Unicode, whatever it came as."""
    text = "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440. " * 30
    body = html("/", text=text).decode().encode("koi8-r")
    site.answers["/"] = Reply(body, headers={"Content-Type": "text/html; charset=koi8-r"})
    assert text.strip() in str(crawl().pages[0]["text"])


def test_listed_urls_are_fetched_and_nothing_else(site: LocalSite, crawl: Crawl) -> None:
    """No link is followed and no sitemap read; the start URL only names the site; what is out of scope stays out."""
    chain(site, 6)
    done = crawl(
        urls=[f"{site.url}/2", f"{site.url}/4#part", f"{site.url}/gone", "https://elsewhere.example/"], depth=0
    )
    assert ["/2", "/4"] == done.paths
    assert ["/2", "/4", "/gone"] == sorted(site.targets())
    result = done.result
    assert (2, 1, StopReason.LISTED, f"{site.url}/") == (
        result.pages_ok,
        result.pages_failed,
        result.stopped_by,
        result.start_url,
    )


def test_an_empty_list_is_an_empty_crawl(site: LocalSite, crawl: Crawl) -> None:
    """A publication that changed no page starts one."""
    done = crawl(urls=[])
    assert ([], 0, StopReason.LISTED) == (done.pages, len(site.targets()), done.result.stopped_by)
    assert not [line for line in done.job.lines if line.startswith("warning")]


def test_crawl_that_forgets_addresses_is_not_whole(
    site: LocalSite, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond those that it can know; what they lead to was not seen."""
    site.page("/", "/a", "/b", "/c")
    for path in ("/a", "/b", "/c"):
        site.page(path)
    assert crawl().result.is_whole
    monkeypatch.setattr(frontier, "MAX_KNOWN_URLS", 3)
    result = crawl().result
    assert (False, StopReason.EXHAUSTED, 1) == (result.is_whole, result.stopped_by, result.skipped.overflow)


def test_crawl_without_any_text_says_so(site: LocalSite, crawl: Crawl) -> None:
    """In the result and in the log; likewise where nothing is kept. A page with a text among them is enough."""
    site.answers["/"] = Reply(b"<html><body><a href='/more'></a></body></html>")
    done = crawl(max_pages=1)
    assert (1, 1) == (done.result.pages_ok, done.result.pages_without_text)
    (line,) = [line for line in done.job.lines if "no text was found in any page" in line]
    assert line.startswith("warning ")
    site.page("/more", text="Words. " * 50)
    done = crawl()
    assert (2, 1) == (done.result.pages_ok, done.result.pages_without_text)
    assert not [line for line in done.job.lines if "no text" in line]
    site.answers["/"] = Reply(b"<meta name=robots content='noindex,nofollow'>", headers={"Content-Type": "text/html"})
    done = crawl()
    assert (0, 0) == (done.result.pages_ok, done.result.pages_without_text)
    assert "warning no page was kept: 0 failed; skipped: noindex 1" in done.job.lines

"""What pages ask of robots."""

import pytest

from tasks.crawling.contract import LinksRequest
from tasks.crawling.engine.links import check_links
from tasks.crawling.engine.page import parse_page, read_outline
from tasks.crawling.engine.page_robots import PageRobots, page_robots
from tests.crawling.conftest import QUICK, Crawl, MakeJob
from tests.crawling.local_site import LocalSite, Reply, html

AGENT = "SwitchyardCrawler/0.1"
BOTH = PageRobots(noindex=True, nofollow=True)


@pytest.mark.parametrize(
    ("metas", "headers", "told"),
    [
        ([("robots", "noindex")], [], PageRobots(noindex=True)),
        ([("ROBOTS", "NOINDEX, NoFollow")], [], BOTH),
        ([("robots", "none")], [], BOTH),
        ([("robots", "index, follow, max-snippet:-1")], [], PageRobots()),
        ([("googlebot", "noindex")], [], PageRobots()),
        ([("switchyardcrawler", "nofollow")], [], PageRobots(nofollow=True)),
        ([("description", "noindex")], [], PageRobots()),
        ([("robots", "noindex")], ["nofollow"], BOTH),
        ([], ["noindex"], PageRobots(noindex=True)),
        ([], ["googlebot: noindex, nofollow"], PageRobots()),
        ([], ["SwitchyardCrawler: noindex, nofollow"], BOTH),
        ([], ["googlebot: noindex", "nofollow"], PageRobots(nofollow=True)),
        ([], ["nofollow, otherbot: noindex, nofollow"], PageRobots(nofollow=True)),
        ([], ["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], PageRobots(noindex=True)),
        ([], ["max-snippet: 20, none"], BOTH),
        ([], ["", ",,:"], PageRobots()),
    ],
)
def test_what_is_asked_of_us_counts(metas: list[tuple[str, str]], headers: list[str], told: PageRobots) -> None:
    """For all robots or for ours by name, in elements and headers together, in any case."""
    assert told == page_robots(metas, headers, user_agent=AGENT)


def test_link_is_followed_where_any_of_its_elements_lets_one() -> None:
    """A rel of several words counts; the links themselves are all told."""
    body = (
        b"<a rel='external NoFollow' href='/a'>a</a><a rel='nofollow' href='/b'>b</a><a href='/b'>b</a>"
        b"<a rel='nofollower' href='/c'>c</a>"
    )
    outline = read_outline(parse_page(body, charset=None), url="https://example.org/")
    assert outline.links == tuple(f"https://example.org/{name}" for name in "abc")
    assert outline.unfollowed == ("https://example.org/a",)


def test_page_that_is_not_to_be_indexed_is_left_out(site: LocalSite, crawl: Crawl) -> None:
    """Though its links are followed; counted; kept where the request says so."""
    site.page("/", "/meta", "/header")
    site.page("/meta", "/deep", head="<meta name='robots' content='noindex'>")
    site.answers["/header"] = Reply(html("/header"), headers={"X-Robots-Tag": "noindex"})
    site.page("/deep")
    done = crawl()
    assert (done.paths, done.result.skipped.noindex) == (["/", "/deep"], 2)
    kept = crawl(respect_page_robots=False)
    assert kept.paths == ["/", "/deep", "/header", "/meta"]
    assert {page["url"]: page["noindex"] for page in kept.pages}[f"{site.url}/meta"]


def test_links_that_are_not_to_be_followed_are_not(site: LocalSite, crawl: Crawl) -> None:
    """Of a page or of one link; a link elsewhere still leads there."""
    site.page("/", "/page", "/header")
    site.page("/page", "/a", "/b", head="<meta name='robots' content='nofollow'>")
    site.answers["/header"] = Reply(
        html("/header", "/b").replace(b"</nav>", b"<a rel='nofollow' href='/c'>c</a></nav>")
    )
    site.page("/a")
    site.page("/b")
    site.page("/c")
    done = crawl()
    assert done.paths == ["/", "/b", "/header", "/page"]
    page = next(page for page in done.pages if page["url"] == f"{site.url}/page")
    assert page["unfollowed"] == page["links"] == [f"{site.url}/a", f"{site.url}/b"]
    assert len(crawl(respect_page_robots=False).paths) == 6


def test_start_page_is_judged_like_any_other(site: LocalSite, crawl: Crawl) -> None:
    """It is fetched in any case, and its links may be followed although it is not kept."""
    site.page("/", "/a", head="<meta name='robots' content='noindex'>")
    site.page("/a")
    assert crawl().paths == ["/a"]


def test_links_are_looked_at_on_pages_that_are_not_to_be_indexed(site: LocalSite, make_job: MakeJob) -> None:
    """A broken link is as broken there."""
    site.page("/", "/404", head="<meta name='robots' content='noindex'>")
    result = check_links(LinksRequest(url=f"{site.url}/", delay_s=0), make_job(site), limits=QUICK)
    assert (result.pages_ok, result.broken) == (1, 1)

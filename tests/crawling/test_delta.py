"""A crawl that is compared with an earlier one."""

import json
from collections.abc import Callable

import pytest

from tasks.core.errors import JobCancelled, NotFound
from tasks.core.job import JobContext
from tasks.crawling.engine.site import OpenEarlier
from tasks.crawling.records import EarlierCrawl
from tests.crawling.conftest import Crawl, Crawled, MakeJob
from tests.crawling.local_site import LocalSite, Reply, html

EARLIER = "01890000-0000-7000-8000-000000000001"
TAGGED, DATED, PLAIN = "/tagged", "/dated", "/plain"
KEPT = ("/", TAGGED, DATED, PLAIN)
DATE = "Sun, 01 Nov 2026 10:00:00 GMT"


@pytest.fixture
def known(site: LocalSite) -> LocalSite:
    """Serve a page with an ETag, one with a date, and two with neither."""
    site.page("/", TAGGED, DATED, PLAIN)
    site.page(PLAIN, TAGGED)
    site.answers[TAGGED] = Reply(html(TAGGED, "/"), headers={"ETag": '"1"'})
    site.answers[DATED] = Reply(html(DATED, "/"), headers={"Last-Modified": DATE})
    return site


def since(done: Crawled, *, reader: str | None = None) -> OpenEarlier:
    """Return what finds ``done``, as if it were another job."""

    def find(_job: JobContext, _since: str) -> EarlierCrawl:
        return done.earlier(EARLIER, reader=reader)

    return find


def changes(done: Crawled) -> dict[str, str]:
    """Return the lines of ``changes.jsonl`` by path."""
    lines = map(json.loads, done.job.saved["changes.jsonl"].splitlines())
    return {line["url"].removeprefix(done.base): line["change"] for line in lines}


Again = Callable[..., Crawled]


@pytest.fixture
def again(known: LocalSite, crawl: Crawl, make_job: MakeJob) -> Again:
    """Crawl once, then let ``change`` happen, then crawl with the first crawl to compare with."""

    def run(change: Callable[[], object] = lambda: None, *, reader: str | None = None, **fields: object) -> Crawled:
        first = crawl(**fields)
        change()
        known.hits.clear()
        job = make_job(known)
        return crawl(job=job, since="last", open_earlier=since(first, reader=reader), **fields)

    return run


def test_unchanged_site_costs_no_body_where_it_can_tell(known: LocalSite, crawl: Crawl, again: Again) -> None:
    """By ETag or date; what is sent all the same is not read again. The pages are all there."""
    whole = crawl()
    done = again()
    assert done.result.delta is not None
    told = done.result.delta.model_dump(exclude={"since"}, exclude_defaults=True)
    assert told == {"unchanged": 4, "not_modified": 2, "same_bytes": 2}
    assert changes(done) == {}
    assert done.result.fetched_bytes < whole.result.fetched_bytes
    told_anew = {"requested_url", "depth", "change"}
    assert [{k: v for k, v in page.items() if k not in told_anew} for page in sorted(done.pages, key=str)] == [
        {k: v for k, v in page.items() if k not in told_anew} for page in sorted(whole.pages, key=str)
    ]
    assert sorted(known.targets()) == sorted(KEPT)
    assert {page["change"] for page in done.pages} == {"unchanged"}


def test_what_differs_is_told(known: LocalSite, again: Again) -> None:
    """New, changed, gone, missed and failed pages, each by its own evidence."""

    def change() -> None:
        known.page("/", TAGGED, PLAIN, "/new", "/404", "/500")
        known.page("/new")
        known.answers[TAGGED] = Reply(html(TAGGED, text="Another text stands here. " * 9), headers={"ETag": '"2"'})
        known.answers["/404"] = Reply(status=404)
        known.answers["/500"] = Reply(status=500)

    known.page("/", TAGGED, DATED, PLAIN, "/404", "/500")
    known.page("/404")
    known.page("/500")
    done = again(change)
    assert changes(done) == {
        "/new": "new",
        TAGGED: "changed",
        "/404": "gone",
        "/500": "failed",
        DATED: "missed",
        # Its text names what it links to no more than before: only its body is another.
    }
    assert done.result.delta is not None
    assert (done.result.delta.unchanged, done.result.delta.same_bytes) == (2, 1)
    assert done.job.emissions.emitted[0].data["delta"]["changed"] == 1


@pytest.mark.parametrize("reader", [None, "another"])
def test_a_page_that_fails_is_known_to_the_crawl_after(
    known: LocalSite, crawl: Crawl, make_job: MakeJob, reader: str | None
) -> None:
    """Its record goes on from crawl to crawl; of one by another reader, nothing that would let it stand unread."""
    known.page(PLAIN, "/deep")
    known.page("/deep")
    known.answers[PLAIN] = tagged = Reply(html(PLAIN, "/deep"), headers={"ETag": '"7"'})
    done = crawl()
    known.answers[PLAIN] = Reply(status=503)
    for _ in range(3):
        done = crawl(job=make_job(known), since="last", open_earlier=since(done, reader=reader))
        assert (True, {PLAIN: "failed"}) == (done.result.is_whole, changes(done))
        assert "/deep" in done.paths
    known.answers[PLAIN] = tagged
    known.hits.clear()
    done = crawl(job=make_job(known), since="last", open_earlier=since(done))
    assert ({}, reader is None) == (changes(done), any(hit.headers.get("If-None-Match") == '"7"' for hit in known.hits))
    assert "unreached.jsonl" not in done.job.saved


@pytest.mark.parametrize(("fails_at", "status", "change"), [
    ("/docs", 503, "failed"), ("/docs/", 503, "failed"), ("/docs/", 410, "gone"), ("/docs", 410, "missed"),
])  # fmt: skip
def test_a_page_behind_a_redirect_that_fails_is_known(
    known: LocalSite, again: Again, fails_at: str, status: int, change: str
) -> None:
    """By where it was, whether the redirect or its target fails; what a redirect that is gone led to is missed."""

    def fail() -> None:
        known.answers[fails_at] = Reply(status=status)

    known.page(PLAIN, "/docs")
    known.answers["/docs"] = Reply(status=302, headers={"Location": "/docs/"})
    known.page("/docs/", "/deep")
    known.page("/deep")
    done = again(fail)
    lost = {} if status == 503 else {"/deep": "missed"}
    assert {"/docs/": change, **lost} == changes(done)
    assert (status == 503) == ("unreached.jsonl" in done.job.saved)


@pytest.mark.parametrize(("status", "is_whole"), [(503, False), (429, False), (404, True), (403, True)])
def test_a_page_nobody_knows_that_fails_may_have_led_on(
    known: LocalSite, crawl: Crawl, status: int, is_whole: bool
) -> None:
    """So nothing is missed, unless that is the site's word on it."""
    known.page("/", PLAIN, "/broken")
    known.answers["/broken"] = Reply(status=status)
    assert is_whole == crawl().result.is_whole


def test_other_clothes_are_no_change(known: LocalSite, again: Again) -> None:
    """The words decide, though the body, its ETag and the time of day are others."""

    def change() -> None:
        body = html(TAGGED, "/").replace(b"<p>", b"<p class='new'>").replace(b"</p>", b" <i>12:31</i></p>")
        known.answers[TAGGED] = Reply(body, headers={"ETag": '"2"'})

    done = again(change)
    assert changes(done) == {}
    page = next(page for page in done.pages if str(page["url"]).endswith(TAGGED))
    assert (page["change"], page["etag"]) == ("unchanged", '"2"')


def test_crawl_cut_short_misses_nothing(known: LocalSite, again: Again) -> None:
    """What a cap left out is not taken for gone."""
    known.page("/", TAGGED, PLAIN)
    known.page(PLAIN, DATED)

    def change() -> None:
        known.page("/", "/new", TAGGED, PLAIN)
        known.page("/new")

    done = again(change, max_pages=4)
    assert changes(done) == {"/new": "new"}
    assert done.result.delta is not None
    assert done.result.delta.missed == 0


def test_pages_that_are_not_sent_use_up_no_bytes(known: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """A cap of all bytes is for what the site sends."""
    known.answers[TAGGED] = Reply(html(TAGGED, "/") + b" " * 5000, headers={"ETag": '"1"'})
    first = crawl()
    assert first.result.fetched_bytes > 5000
    assert crawl(max_total_bytes=2048).result.stopped_by == "max_total_bytes"
    done = crawl(job=make_job(known), since="last", open_earlier=since(first), max_total_bytes=2048)
    assert (done.result.stopped_by, len(done.pages)) == ("exhausted", len(first.pages))


def test_other_reader_asks_for_everything(known: LocalSite, again: Again) -> None:
    """What another version made of a page is not kept; whether the page changed is still told by its words."""
    done = again(reader="another")
    assert done.result.delta is not None
    assert done.result.delta.model_dump(exclude={"since"}, exclude_defaults=True) == {"unchanged": 4}
    assert not any("If-None-Match" in hit.headers for hit in known.hits)


def test_links_of_a_page_that_stands_are_followed(known: LocalSite, again: Again) -> None:
    """They are in the earlier record."""
    known.answers[TAGGED] = Reply(html(TAGGED, "/deep"), headers={"ETag": '"1"'})
    known.page("/deep")
    done = again()
    assert "/deep" in done.paths
    assert changes(done) == {}


def test_newest_by_the_sitemap_comes_first(known: LocalSite, again: Again) -> None:
    """So that a short crawl sees what has changed."""
    entries = "".join(
        f"<url><loc>{known.url}{path}</loc><lastmod>{day}</lastmod></url>"
        for path, day in ((TAGGED, "2026-01-01"), (DATED, "2026-02-01"), (PLAIN, "2026-11-01T10:00:00Z"))
    )
    known.answers["/sitemap.xml"] = Reply(f"<urlset>{entries}</urlset>".encode())
    again(concurrency=1)
    assert known.targets() == ["/", PLAIN, DATED, TAGGED]


def test_next_attempt_compares_with_the_same_crawl(known: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Though another may have become the last one; what was told before counts."""
    first = crawl()
    asked: list[str] = []
    find = since(first)

    def noting(job: JobContext, wanted: str) -> EarlierCrawl | None:
        asked.append(wanted)
        return find(job, wanted)

    job = make_job(known, cancel_after=2)
    with pytest.raises(JobCancelled):
        crawl(job=job, since="last", open_earlier=noting)
    following = make_job(known, resume=job.resume, attempt=2, fence=2)
    done = crawl(job=following, since="last", open_earlier=noting)
    assert asked == ["last", EARLIER]
    assert done.result.delta is not None
    assert (done.result.delta.unchanged, sorted(done.paths)) == (4, sorted(KEPT))


def test_nothing_to_compare_with(known: LocalSite, crawl: Crawl) -> None:
    """Where ``last`` finds none, it is a crawl like any other, and says so."""
    done = crawl(since="last")
    assert (done.result.delta, len(done.paths)) == (None, 4)
    assert "info there is no earlier crawl of this URL to compare with" in done.job.lines
    assert "changes.jsonl" not in done.job.saved


@pytest.mark.parametrize(("status", "is_whole"), [(404, True), (503, False)])
def test_host_whose_robots_cannot_be_read_is_not_seen(
    known: LocalSite, crawl: Crawl, make_job: MakeJob, status: int, is_whole: bool
) -> None:
    """So its pages are not missed; a robots.txt that is not there forbids nothing."""
    with LocalSite().serving() as other:
        other.answers["/robots.txt"] = Reply(status=status)
        other.page("/away")
        known.page("/", f"{other.url}/away")
        done = crawl(scope="any", job=make_job(known, other))
    assert (is_whole, is_whole) == (done.result.is_whole, "/away" in {str(page["url"])[-5:] for page in done.pages})
    assert done.result.stopped_by == "exhausted"


def test_crawl_that_is_not_there_fails_the_job(known: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Before anything is fetched."""

    def none(job: JobContext, wanted: str) -> EarlierCrawl | None:
        raise NotFound(f"No crawling.site job {wanted} has succeeded.", field="since")

    with pytest.raises(NotFound):
        crawl(since=EARLIER, open_earlier=none)
    assert known.hits == []


def test_each_page_is_told_where_it_is_asked_for(known: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """As delta events: pages with a few words on each, and what became of the others."""
    known.page("/", TAGGED, "/404")
    done = crawl(page_events=True)
    assert {str(told["page"]).removeprefix(known.url): told.get("error") for told in done.job.deltas} == {
        "/": None,
        TAGGED: None,
        "/404": "http_4xx",
    }
    assert done.job.deltas[0]["title"] == "Page /"
    assert crawl().job.deltas == []

"""Crawls that ask only for the pages that are due."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.errors import JobCancelled
from tasks.core.job import JobContext
from tasks.crawling.contract import Revisit, SiteRequest
from tasks.crawling.engine.site import OpenEarlier
from tasks.crawling.records import EarlierCrawl, PageWatch
from tests.crawling.conftest import Crawl, Crawled, MakeJob
from tests.crawling.local_site import LocalSite, Reply, html

EARLIER = "01890000-0000-7000-8000-000000000001"
HOUR, DAY = 3600, 86_400
BOUNDS = {"min_s": HOUR, "max_s": 30 * DAY}
OTHER = "Another text stands here, and it is longer than before. " * 9
Later = Callable[..., Crawled]


def later(done: Crawled, seconds: Mapping[str, float] | float) -> OpenEarlier:
    """Return what finds ``done`` as if so much time had passed since, for each page or for all."""
    lines = []
    for page in done.pages:
        passed = seconds if isinstance(seconds, float | int) else seconds.get(str(page["url"])[len(done.base) :], 0)
        watch: Any = page["watch"]
        for name in ("checked_at", "due_at"):
            watch[name] = (datetime.fromisoformat(watch[name]) - timedelta(seconds=passed)).isoformat()
        lines.append(json.dumps(page))

    def find(_job: JobContext, _since: str) -> EarlierCrawl:
        return EarlierCrawl(EARLIER, done.result.reader, BytesIO("".join(line + "\n" for line in lines).encode()))

    return find


@pytest.fixture
def watched(site: LocalSite) -> LocalSite:
    """Serve a page of its own, one that leads to another, and one that a redirect leads to."""
    site.page("/", "/a", "/old")
    site.page("/a", "/b")
    site.page("/b")
    site.answers["/old"] = Reply(status=301, headers={"Location": "/moved"})
    site.page("/moved")
    return site


@pytest.fixture
def again(watched: LocalSite, crawl: Crawl) -> Later:
    """Crawl as if ``seconds`` had passed since ``done``."""

    def run(done: Crawled, seconds: Mapping[str, float] | float, **fields: object) -> Crawled:
        watched.hits.clear()
        return crawl(**({"revisit": BOUNDS, "since": "last", "open_earlier": later(done, seconds)} | fields))

    return run


def watch_of(done: Crawled, path: str) -> PageWatch:
    """Return what is known of a page's changes."""
    (page,) = (page for page in done.pages if page["url"] == done.base + path)
    return PageWatch.model_validate(page["watch"])


def test_pages_that_are_not_due_are_not_asked_for(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """Nor what redirects to them; all are kept, and their links are followed. The start page is always asked for."""
    first = crawl(revisit=BOUNDS)
    done = again(first, 60)
    assert watched.targets() == ["/"]
    assert done.paths == first.paths == ["/", "/a", "/b", "/moved"]
    assert done.result.delta is not None
    assert (4, 3, 1) == (done.result.delta.unchanged, done.result.delta.not_due, done.result.delta.same_bytes)
    assert watch_of(done, "/b").checked_at < watch_of(first, "/b").checked_at
    assert (0, done.result.delta.missed) == (done.result.fetched_bytes - len(html("/", "/a", "/old")), 0)


def test_pages_that_are_due_are(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """Each by its own time."""
    again(crawl(revisit=BOUNDS), {"/b": 2 * HOUR, "/a": HOUR / 2})
    assert ["/", "/b"] == sorted(watched.targets())
    again(crawl(revisit=BOUNDS), 2 * HOUR)
    assert ["/", "/a", "/b", "/moved", "/old"] == sorted(watched.targets())


def test_intervals_follow_what_was_seen(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """What changes is looked at sooner than what does not; the result tells the span."""
    done = crawl(revisit=BOUNDS)
    assert (HOUR, ()) == (watch_of(done, "/a").every_s, watch_of(done, "/a").looks)
    for day in range(4):
        watched.page("/a", "/b", text=f"{OTHER}Day {'x' * (day + 1)}.")
        done = again(done, 40 * DAY)
    changing, standing = watch_of(done, "/a"), watch_of(done, "/b")
    assert ([True] * 4, [False] * 4) == ([one for _, one in changing.looks], [one for _, one in standing.looks])
    assert HOUR < changing.every_s < 40 * DAY / 2 < standing.every_s == BOUNDS["max_s"]
    assert changing.due_at - changing.checked_at == timedelta(seconds=changing.every_s)
    told = done.result.revisit
    assert told is not None
    assert (4, changing.every_s, standing.every_s) == (told.pages, told.shortest_s, told.longest_s)
    assert told.next_due_at is not None
    assert abs(told.next_due_at - changing.due_at) < timedelta(seconds=1)


def test_callers_bounds_hold(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """Also where an earlier crawl had wider ones."""
    first = crawl(revisit=BOUNDS)
    again(first, 2 * HOUR, revisit={"min_s": DAY, "max_s": 2 * DAY})
    assert ["/"] == watched.targets()
    again(first, 60, revisit={"min_s": 1, "max_s": 30})
    assert 5 == len(watched.targets())


def sitemap(site: LocalSite, lastmod: str) -> None:
    """Have the sitemap say this of ``/b``."""
    entry = f"<url><loc>{site.url}/b</loc><lastmod>{lastmod}</lastmod></url>"
    site.answers["/sitemap.xml"] = Reply(f"<urlset>{entry}</urlset>".encode())


def test_sitemap_tells_of_a_change_before_its_time(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """Not sooner than ``min_s``, and not again where it was wrong."""
    sitemap(watched, "2026-11-01T10:00:00Z")
    done = crawl(revisit=BOUNDS)
    done = again(done, 40 * DAY)
    assert watch_of(done, "/b").every_s > DAY
    sitemap(watched, "2026-11-01T11:00:00Z")
    again(done, HOUR / 2)
    assert ["/"] == watched.targets()
    done = again(done, DAY)
    assert ["/", "/b"] == sorted(watched.targets())
    assert not watch_of(done, "/b").is_lastmod_believed
    sitemap(watched, "2026-11-02T11:00:00Z")
    done = again(done, DAY)
    assert ["/"] == watched.targets()


def test_listed_pages_and_other_readers_are_asked_for(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """Who lists pages wants them now; what another reader made of them is none."""
    first = crawl(revisit=BOUNDS)
    again(first, 60, urls=[f"{watched.url}/b"])
    assert ["/b"] == watched.targets()
    find = later(first, 60)

    def other(job: JobContext, since: str) -> EarlierCrawl:
        found = find(job, since)
        assert found is not None
        return EarlierCrawl(found.job_id, "another", found.pages)

    again(first, 60, open_earlier=other)
    assert 5 == len(watched.targets())


def test_next_attempt_decides_as_the_first(watched: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """And its result counts both."""
    first = crawl(revisit=BOUNDS)
    find = later(first, 60)
    job = make_job(watched, cancel_after=2)
    with pytest.raises(JobCancelled):
        crawl(job=job, revisit=BOUNDS, since="last", open_earlier=find)
    following = make_job(watched, resume=job.resume, attempt=2, fence=2)
    done = crawl(job=following, revisit=BOUNDS, since="last", open_earlier=later(first, 60))
    assert done.result.delta is not None
    assert done.result.revisit is not None
    assert (3, 4) == (done.result.delta.not_due, done.result.revisit.pages)


def test_crawl_that_does_not_care_hands_on_what_is_known(watched: LocalSite, crawl: Crawl, again: Later) -> None:
    """It asks for everything."""
    first = crawl(revisit=BOUNDS)
    done = again(first, 60, revisit=None)
    assert 5 == len(watched.targets())
    assert None is done.result.revisit
    assert watch_of(done, "/a").every_s == HOUR


def test_bounds_are_a_span() -> None:
    """What is not is refused by name, with both values."""
    with pytest.raises(ValidationError, match=r"min_s \(60\) must not be above max_s \(5\)"):
        Revisit(min_s=60, max_s=5)
    with pytest.raises(ValidationError):
        SiteRequest.model_validate({"url": "https://a.example/", "revisit": {"min_s": 0}})
    assert PageWatch(checked_at=datetime.now(UTC), due_at=datetime.now(UTC), every_s=1).looks == ()

"""A site that is crawled again and taken in: what it costs where little has changed, and nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.crawling.contract import SiteRequest
from tasks.crawling.engine import visiting
from tasks.crawling.engine.site import crawl
from tasks.crawling.records import EarlierCrawl
from tasks.knowledge.contract import UpdateResult
from tasks.knowledge.store.reading import standings
from tests.crawling.conftest import QUICK, Crawled, ExtractionHere
from tests.crawling.local_site import LocalSite, Reply, html
from tests.fakes import FakeJob
from tests.knowledge.house import House, ScriptedModel

EARLIER = "01890000-0000-7000-8000-000000000001"
PAGES = 20
PATHS = ["/", *(f"/{n}" for n in range(1, PAGES))]
Look = Callable[..., Crawled]


def serve(site: LocalSite, path: str, *, text: str = "") -> None:
    """Serve a page with an ETag; the first one links to all."""
    body = html(path, *(PATHS if path == "/" else ("/",)), text=text)
    site.answers[path] = Reply(body, headers={"ETag": f'"{hash(body)}"'})


@pytest.fixture
def site() -> Iterator[LocalSite]:
    """Twenty pages."""
    with LocalSite().serving() as served:
        for path in PATHS:
            serve(served, path)
        yield served


@pytest.fixture
def look(site: LocalSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Crawl the site, since an earlier crawl where one is given."""
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)
    with Egress(EgressPolicy(allow=frozenset({f"127.0.0.1:{site.port}"}))) as egress:

        def run(since: Crawled | None = None, **fields: object) -> Crawled:
            site.hits.clear()
            fields |= {"url": f"{site.url}/", "delay_s": 0} | ({} if since is None else {"since": "last"})
            job = FakeJob(workdir=tmp_path, http=egress)

            def find(_job: object, _since: str) -> EarlierCrawl | None:
                assert since is not None
                return since.earlier(EARLIER)

            result = crawl(SiteRequest.model_validate(fields), job, limits=QUICK, open_earlier=find)
            return Crawled(result, job, site.url)

        yield run


def take_in(house: House, done: Crawled) -> UpdateResult:
    return house.update(site=None, crawl_job_id=house.keep(done.result.model_dump(mode="json"), done.pages))


def test_a_second_crawl_costs_what_has_changed(house: House, site: LocalSite, look: Look) -> None:
    """Of an unchanged site no body and no embedding; of one that has changed by a twentieth, those of that page."""
    house.embedder = model = ScriptedModel()
    first = look()
    assert PAGES == take_in(house, first).added
    made = model.asked

    same = look(first)
    assert same.result.delta is not None
    assert (PAGES, PAGES, 0) == (same.result.delta.unchanged, same.result.delta.not_modified, same.result.fetched_bytes)
    told = take_in(house, same)
    assert (0, 0, PAGES, 0, made) == (told.added, told.changed, told.unchanged, told.chunks, model.asked)

    serve(site, "/7", text="The seventh page says something else now, and at some length. " * 5)
    other = look(same)
    assert other.result.delta is not None
    assert (1, PAGES - 1) == (other.result.delta.changed, other.result.delta.not_modified)
    changed = site.answers["/7"]
    assert isinstance(changed, Reply)
    assert len(changed.body) == other.result.fetched_bytes
    told = take_in(house, other)
    assert (0, 1, PAGES - 1, model.asked - made) == (told.added, told.changed, told.unchanged, told.chunks)
    assert 0 < model.asked - made <= 2


def test_the_status_tells_when_the_site_is_due(house: House, look: Look) -> None:
    """As the crawl that was taken in last has found; null where it was not asked to watch."""
    take_in(house, look())
    assert [None] == [one.revisit for one in standings(house.ledger, house.tenant.id)]
    watched = look(revisit={"min_s": 60, "max_s": 3600})
    take_in(house, watched)
    (standing,) = standings(house.ledger, house.tenant.id)
    assert watched.result.revisit is not None
    assert watched.result.revisit.model_dump(mode="json") == standing.revisit
    assert standing.revisit is not None
    assert (PAGES, 60) == (standing.revisit["pages"], standing.revisit["median_s"])


def test_server_errors_delete_nothing(house: House, site: LocalSite, look: Look) -> None:
    """Neither the pages that fail, nor those that only they link to; what is gone goes."""
    serve(site, "/")
    site.page("/1", "/hidden")
    serve(site, "/hidden")
    done = look()
    assert PAGES + 1 == take_in(house, done).added
    working = dict(site.answers)
    for path in ("/1", "/2", "/3"):
        site.answers[path] = Reply(status=503)
    site.answers["/4"] = Reply(status=410)
    told = take_in(house, failing := look(done))
    assert (1, 0) == (told.deleted, told.missed)
    assert "/hidden" in failing.paths
    site.answers = working
    told = take_in(house, look(failing))
    assert (1, 0, 0) == (told.added, told.deleted, told.missed)


def test_what_is_gone_goes_although_the_crawl_was_cut_short(house: House, site: LocalSite, look: Look) -> None:
    """A page's own 404 or 410 says so whatever else was not looked at; nothing else is missed."""
    done = look()
    take_in(house, done)
    site.answers["/2"] = Reply(status=404)
    site.answers["/3"] = Reply(status=503)
    part = look(done, max_pages=6)
    assert ("max_pages", False) == (part.result.stopped_by, part.result.is_whole)
    for deleted in (1, 0):
        told = take_in(house, part)
        assert (deleted, 0) == (told.deleted, told.missed)
    serve(site, "/2")
    assert 1 == take_in(house, look(part)).added


@pytest.mark.parametrize("is_compared", [True, False])
def test_errors_that_last_delete_nothing(house: House, site: LocalSite, look: Look, is_compared: bool) -> None:
    """However many crawls a page fails in: what only it links to stays, until it is there and does not link to it."""
    serve(site, "/")
    site.page("/1", "/hidden")
    serve(site, "/hidden")
    done = look()
    take_in(house, done)
    site.answers["/1"] = Reply(status=503)
    for _ in range(3):
        told = take_in(house, done := look(done if is_compared else None))
        assert (0, 0) == (told.missed, told.deleted)
        assert is_compared == ("/hidden" in done.paths)
    site.page("/1")
    told = take_in(house, done := look(done if is_compared else None))
    assert (1, 0) == (told.missed, told.deleted)
    told = take_in(house, look(done if is_compared else None))
    assert (0, 1) == (told.missed, told.deleted)


@pytest.mark.parametrize("fails_at", ["/docs", "/docs/"])
@pytest.mark.parametrize("is_compared", [True, False])
def test_errors_behind_redirects_delete_nothing(
    house: House, site: LocalSite, look: Look, is_compared: bool, fails_at: str
) -> None:
    """Neither the page that the redirect led to, whichever of the two fails, nor what that one links to."""
    site.page("/1", "/docs")
    site.answers["/docs"] = Reply(status=301, headers={"Location": "/docs/"})
    site.page("/docs/", "/hidden")
    serve(site, "/hidden")
    done = look()
    assert PAGES + 2 == take_in(house, done).added
    site.answers[fails_at] = Reply(status=503)
    for _ in range(2):
        told = take_in(house, done := look(done if is_compared else None))
        assert (0, 0) == (told.missed, told.deleted)
        assert is_compared == done.result.is_whole == ("/hidden" in done.paths)


def test_a_page_behind_a_redirect_that_is_gone_goes(house: House, site: LocalSite, look: Look) -> None:
    """At once, as others do."""
    site.page("/1", "/docs")
    site.answers["/docs"] = Reply(status=301, headers={"Location": "/docs/"})
    site.page("/docs/")
    take_in(house, look())
    site.answers["/docs/"] = Reply(status=410)
    done = look()
    assert (f"{site.url}/docs", f"{site.url}/docs/") == (done.result.errors[0].url, done.result.errors[0].final_url)
    assert (1, 0) == ((told := take_in(house, done)).deleted, told.missed)


def test_a_sitemap_that_fails_deletes_nothing(house: House, site: LocalSite, look: Look) -> None:
    """What only it lists is not missed until it is there and does not list it."""
    serve(site, "/listed")
    listing = f"<urlset><url><loc>{site.url}/listed</loc></url></urlset>".encode()
    site.answers["/sitemap.xml"] = Reply(listing)
    done = look()
    assert PAGES + 1 == take_in(house, done).added
    site.answers["/sitemap.xml"] = Reply(status=503)
    for _ in range(2):
        done = look(done)
        told = take_in(house, done)
        assert (False, 0, 0) == (done.result.is_whole, told.missed, told.deleted)
    del site.answers["/sitemap.xml"]
    assert (1, 0) == ((told := take_in(house, look(done))).missed, told.deleted)
    assert (0, 1) == ((told := take_in(house, look(done))).missed, told.deleted)


def test_many_failures_are_all_told(house: House, site: LocalSite, look: Look) -> None:
    """Beyond those that the result shows, so that what else is missing counts as missed."""
    more = [f"/more/{n}" for n in range(30)]
    site.page("/1", *more, "/lost")
    for path in (*more, "/lost"):
        site.page(path)
    done = look()
    assert (30, 1) == (len(more), sum(page["url"] == f"{site.url}/lost" for page in done.pages))
    take_in(house, done)
    site.page("/1", *more)
    for path in more[:25]:
        site.answers[path] = Reply(status=500)
    second = look(done)
    failures = second.job.saved["failures.jsonl"].splitlines()
    assert (25, 20) == (len(failures), len(second.result.errors))
    kept = house.keep(second.result.model_dump(mode="json"), second.pages)
    crawl, pages = house.crawls[kept]
    assert crawl.failed is None
    from tasks.knowledge.crawled import crawl_of

    told = second.result.model_dump(mode="json")
    whole = crawl_of(kept, told, finished_at=crawl.finished_at, failures=failures)
    house.crawls[kept] = (replace(whole), pages)
    result = house.update(site=None, crawl_job_id=kept)
    assert (1, 0) == (result.missed, result.deleted)

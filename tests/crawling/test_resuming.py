"""A crawl that takes several attempts."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tasks.core.errors import JobCancelled, JobSuperseded, Transient
from tasks.crawling.contract import LinksRequest, SitemapRequest
from tasks.crawling.engine import crawl_state, visiting
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.links import check_links
from tasks.crawling.engine.site_map import map_site
from tests.crawling.conftest import QUICK, Crawl, Crawled, ExtractionHere, MakeJob
from tests.crawling.local_site import LocalSite, Reply
from tests.fakes import FakeJob
from tests.samples import eventually

CONCURRENCY = 4
ROOT = Path(__file__).parents[2]


def tree(site: LocalSite) -> None:
    """Serve pages on three levels, a redirect, a missing page and one that the scope leaves out."""
    site.page("/", *(f"/{n}" for n in range(6)), "/moved", "/gone", "http://elsewhere.example/")
    site.answers["/moved"] = Reply(status=301, headers={"Location": "/target"})
    site.page("/target")
    for n in range(6):
        site.page(f"/{n}", "/", f"/{n}/a", f"/{n}/b")
        for leaf in "ab":
            site.page(f"/{n}/{leaf}", "/", "/target")


def next_attempt(make_job: MakeJob, site: LocalSite, before: FakeJob) -> FakeJob:
    """Return the job as the attempt after ``before`` sees it."""
    return make_job(site, resume=before.resume, attempt=before.attempt + 1, fence=before.fence + 1)


def interrupted(crawl: Crawl, job: FakeJob) -> None:
    with pytest.raises(JobCancelled):
        crawl(job=job, concurrency=CONCURRENCY)


def counts(done: Crawled) -> dict[str, object]:
    """Return what does not depend on time."""
    return done.result.model_dump(exclude={"duration_s", "pages_per_second"})


@pytest.mark.parametrize("pages", [1, 2, 9, 15])
def test_next_attempt_goes_on_where_the_last_one_stopped(
    site: LocalSite, crawl: Crawl, make_job: MakeJob, pages: int
) -> None:
    """Only what was under way is fetched again, and the outcome is that of a crawl that was left alone."""
    tree(site)
    whole = crawl()
    site.hits.clear()
    first = make_job(site, cancel_after=pages)
    interrupted(crawl, first)
    asked_before = Counter(site.targets())
    site.hits.clear()
    done = crawl(job=next_attempt(make_job, site, first), concurrency=CONCURRENCY)
    again = [target for target in site.targets() if target in asked_before]
    # The first page is kept with its links, or not at all. A redirect under way is two requests.
    assert len(again) <= CONCURRENCY + 1
    assert len(done.pages) == len({page["url"] for page in done.pages})
    assert done.paths == whole.paths
    assert counts(done) == counts(whole)
    assert done.job.lines[0].startswith("info attempt 2 ")


def test_killed_process_loses_no_page(site: LocalSite, crawl: Crawl, make_job: MakeJob, tmp_path: Path) -> None:
    """SIGKILL in the middle of it: pages that were kept are not asked for again."""
    tree(site)
    whole = crawl()
    for n in range(6):
        site.page(f"/{n}/a", delay_s=60)
    site.hits.clear()
    command = [sys.executable, "-m", "tests.crawling.crawl_process", f"{site.url}/", str(site.port), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            assert eventually(lambda: sum(hit.target.endswith("a") for hit in site.hits) >= CONCURRENCY, within_s=60)
        finally:
            process.kill()
    asked_before = set(site.targets())
    site.hits.clear()
    for n in range(6):
        site.page(f"/{n}/a", "/", "/target")
    job = make_job(site, attempt=2, fence=2)
    job.resume.save(json.loads((tmp_path / "resume.json").read_text()))
    done = crawl(job=job)
    again = asked_before & set(site.targets())
    assert (len(again), {target[-1] for target in again}) == (CONCURRENCY, {"a"})
    assert (done.paths, counts(done)) == (whole.paths, counts(whole))


def test_attempt_elsewhere_starts_anew(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Where the state is not on this machine, or its pages are not whole, nothing is taken for done."""
    tree(site)
    first = make_job(site, cancel_after=5)
    interrupted(crawl, first)
    (pages,) = first.keepdir.glob("*.jsonl")
    pages.write_bytes(pages.read_bytes()[:-1])
    second = next_attempt(make_job, site, first)
    second.cancel_after = 5
    interrupted(crawl, second)
    assert second.lines[0] == "info attempt 2 starts anew"
    for path in first.keepdir.iterdir():
        path.unlink()
    done = crawl(job=next_attempt(make_job, site, second))
    assert done.job.lines[0] == "info attempt 3 starts anew"
    assert len(done.paths) == 20


def test_broken_state_is_not_used(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """A file that is no database any more does not end the job."""
    tree(site)
    first = make_job(site, cancel_after=5)
    interrupted(crawl, first)
    (state,) = first.keepdir.glob("*.sqlite")
    state.write_bytes(b"no database at all" * 1000)
    done = crawl(job=next_attempt(make_job, site, first))
    assert (done.job.lines[0], len(done.paths)) == ("info attempt 2 starts anew", 20)


def test_superseded_attempt_cannot_write(tmp_path: Path) -> None:
    """Once a newer one has opened the state; nor can it open it again."""
    path = tmp_path / "x.sqlite"
    with CrawlState(path, fence=1) as old, CrawlState(path, fence=2) as new:
        with pytest.raises(JobSuperseded):
            old.keep_fact("level", (1, 1))
        with pytest.raises(JobSuperseded), old.writing() as db:
            db.execute("DELETE FROM facts")
        new.keep_fact("level", (2, 2))
        assert new.fact("level") == [2, 2]
        with pytest.raises(JobSuperseded):
            CrawlState(path, fence=1)


def test_what_is_not_whole_is_not_written(tmp_path: Path) -> None:
    """A transaction within another is part of it."""
    with CrawlState(tmp_path / "x.sqlite", fence=1) as state:

        def fail_halfway() -> None:
            with state.writing():
                with state.writing():
                    state.keep_fact("a", 1)
                raise JobCancelled

        with pytest.raises(JobCancelled):
            fail_halfway()
        assert state.fact("a") is None
        state.keep_fact("a", 2)
        assert state.fact("a") == 2


def test_disk_that_refuses_is_worth_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with the crawl then."""
    monkeypatch.setattr(crawl_state, "_BUSY_S", 0.05)
    path = tmp_path / "x.sqlite"
    with CrawlState(path, fence=1) as state, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="cannot be written"):
            state.keep_fact("a", 1)
        other.execute("ROLLBACK")
        state.keep_fact("a", 1)
        assert state.fact("a") == 1


def test_time_allowed_is_that_of_all_attempts(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """An attempt that finds it used up ends with what there is."""
    tree(site)
    first = make_job(site, cancel_after=5)
    interrupted(crawl, first)
    (path,) = first.keepdir.glob("*.sqlite")
    with CrawlState(path, fence=1) as state:
        state.keep_fact("tally", state.fact("tally") | {"elapsed_s": 3600.0})
    done = crawl(job=next_attempt(make_job, site, first))
    assert (done.result.stopped_by, len(done.pages)) == ("max_duration", 5)
    assert done.result.duration_s > 3600


def test_reports_know_what_earlier_attempts_found(
    site: LocalSite, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sitemap lists their pages, a report of links their links and failures."""
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)
    tree(site)
    fields = {"url": f"{site.url}/", "delay_s": 0, "check_external": False}
    first = make_job(site, cancel_after=12)
    with pytest.raises(JobCancelled):
        check_links(LinksRequest.model_validate(fields), first, limits=QUICK)
    broken = check_links(LinksRequest.model_validate(fields), next_attempt(make_job, site, first), limits=QUICK)
    assert [(link.url, link.pages) for link in broken.first] == [(f"{site.url}/gone", 1)]
    assert broken.pages_ok == 20
    del fields["check_external"]
    first = make_job(site, cancel_after=12)
    with pytest.raises(JobCancelled):
        map_site(SitemapRequest.model_validate(fields), first, limits=QUICK)
    mapped = map_site(SitemapRequest.model_validate(fields), next_attempt(make_job, site, first), limits=QUICK)
    assert mapped.addresses == 20


def test_links_that_were_tried_are_not_tried_again(
    site: LocalSite, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that lead out of the site, too; they count towards the cap."""
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)
    with LocalSite().serving() as other:
        site.page("/", *(f"{other.url}/{n}" for n in range(6)))
        other.page("/1")
        request = LinksRequest.model_validate(
            {"url": f"{site.url}/", "delay_s": 0, "max_external": 5, "concurrency": 1}
        )
        first = make_job(site, other, cancel_after=3)  # a report for the page, then one for each link
        with pytest.raises(JobCancelled):
            check_links(request, first, limits=QUICK)
        again = make_job(site, other, resume=first.resume, attempt=2, fence=2)
        done = check_links(request, again, limits=QUICK)
        asked = Counter(other.targets())
    # The one whose report ended the attempt was noted before.
    assert {f"/{n}": 1 for n in range(5)} == asked
    assert (6, 5, 4) == (done.links, done.checked, done.broken)
    assert 4 == sum(bool(line) for line in again.saved["links.jsonl"].splitlines())


def test_state_of_another_version_is_not_used(site: LocalSite, crawl: Crawl, make_job: MakeJob) -> None:
    """Its tables are others: the crawl begins again."""
    tree(site)
    first = make_job(site, cancel_after=5)
    interrupted(crawl, first)
    (state,) = first.keepdir.glob("*.sqlite")
    with closing(sqlite3.connect(state)) as database:
        database.execute("PRAGMA user_version = 1")
    done = crawl(job=next_attempt(make_job, site, first))
    assert (done.job.lines[0], len(done.paths)) == ("info attempt 2 starts anew", 20)

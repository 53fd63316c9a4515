"""``knowledge.update``: documents come, change and go; what is the same is not made again."""

import io
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.errors import InputRejected, JobCancelled, JobSuperseded, Transient
from tasks.core.ledger import tenants
from tasks.core.ledger.schema import outbox
from tasks.knowledge.engine.documents import crawled_in
from tasks.knowledge.records import Model, Origin, Source
from tasks.knowledge.store.reading import standings
from tasks.knowledge.store.reindexing import JobKeeper
from tests.fakes import FakeJob
from tests.knowledge.house import SITE, House, ScriptedModel, documents


def test_documents_are_found(house: House) -> None:
    """By their words, with where they stand."""
    result = house.update(documents=documents())
    assert (3, 0, 0, 1) == (result.added, result.changed, result.unchanged, result.version)
    assert "travel" == house.keys("what may a hotel cost")[0]
    best = house.find("what may a hotel cost")[0]
    assert ("https://handbook.example/travel", "Travel") == (best.url, best.title)
    assert "A hotel may cost 120 euros." in best.text
    assert [("knowledge.updated", 3)] == [(one.type, one.data["added"]) for one in house.jobs[-1].emissions.emitted]


def test_only_what_changed_is_made_again(house: House) -> None:
    """The same documents again change nothing, and are told to nobody."""
    house.embedder = model = ScriptedModel()
    first = house.update(documents=documents())
    assert first.chunks == model.asked > 0
    again = house.update(documents=documents())
    assert (0, 0, 3, first.version) == (again.added, again.changed, again.unchanged, again.version)
    assert (first.chunks, []) == (model.asked, house.jobs[-1].emissions.emitted)
    changed = house.update(documents=documents(tea="Coffee is bought, too."))
    assert (0, 1, 2, 1) == (changed.added, changed.changed, changed.unchanged, changed.chunks)
    assert 3 == house.update(documents=documents(), force=True).changed


def test_documents_go(house: House) -> None:
    """By their ids, or because they are not among all."""
    house.update(documents=documents())
    assert 1 == house.update(delete=["tea", "never"]).deleted
    assert [] == house.keys("kettle", mode="lexical")
    assert 0 == house.update(delete=["tea"]).deleted
    assert 1 == house.update(documents=documents()[:1], replace=True).deleted
    assert (1, 2) == (
        standings(house.ledger, house.tenant.id)[0].pages,
        standings(house.ledger, house.tenant.id)[0].tombstones,
    )
    assert 2 == house.update(documents=documents()).added
    assert ["tea"] == house.keys("kettle", mode="lexical")


def test_a_file_of_documents(house: House) -> None:
    """One a line; a line that is none is named, and an id may come once."""
    job = house.job()
    upload = "0192f0c0-0000-7000-8000-000000000000"
    job.uploads[upload] = "\n".join(json.dumps(one) for one in documents()).encode()
    assert 3 == house.update(job, file={"upload": upload}).added
    job.uploads[upload] += b'\n{"id": "x"}'
    with pytest.raises(InputRejected, match=r"Line 4 is no document: text"):
        house.update(job, file={"upload": upload}, site="other")
    assert [SITE] == [one.site for one in standings(house.ledger, house.tenant.id)]
    job.uploads[upload] = json.dumps(documents()[2]).encode()
    with pytest.raises(InputRejected, match="'tea' is in the file, too"):
        house.update(job, file={"upload": upload}, delete=["tea"])
    job.uploads[upload] = b'{"id": "x", "text": ""}\n' * 2
    with pytest.raises(InputRejected, match="comes twice"):
        house.update(job, file={"upload": upload})


def test_pages_go_when_two_crawls_miss_them(house: House) -> None:
    """One crawl that does not find them, taken in however often, is not enough; a 404 is."""
    pages = [(f"https://docs.example/{name}", f"# {name}\n\nAbout {name}.") for name in ("apples", "pears", "plums")]
    assert (3, "docs.example") == (
        (first := house.update(site=None, crawl_job_id=house.crawl(*pages))).added,
        first.site,
    )
    second = house.crawl(*pages[:1], gone=frozenset({pages[1][0]}), failed=frozenset({pages[1][0]}))
    for _ in range(2):
        result = house.update(site=None, crawl_job_id=second)
    assert (1, 0) == (result.missed, result.deleted)
    assert [] == house.keys("pears", site="docs.example", mode="lexical")
    assert [pages[2][0]] == house.keys("plums", site="docs.example", mode="lexical")
    assert 1 == house.update(site=None, crawl_job_id=house.crawl(*pages[:1])).deleted
    assert 1 == house.update(site=None, crawl_job_id=house.crawl(*pages[:2])).added


@pytest.mark.parametrize(
    "doubts",
    [{"is_whole": False}, {"is_mostly_failed": True}, {"failed": None}, {"failed": frozenset({"https://a.example/b"})}],
)
def test_a_crawl_that_saw_little_misses_nothing(house: House, doubts: dict[str, object]) -> None:
    """Cut short, mostly failed, with failures that are not told, or with this very page failed.

    What answers that it is gone goes all the same, unless most pages failed.
    """
    pages = [("https://a.example/a", "A"), ("https://a.example/b", "B")]
    house.update(site=None, crawl_job_id=house.crawl(*pages))
    for _ in range(3):
        result = house.update(site=None, crawl_job_id=house.crawl(*pages[:1], **doubts))
        assert (0, 0) == (result.missed, result.deleted)
    is_ill = doubts.get("is_mostly_failed", False)
    assert is_ill == result.is_flagged
    crawl = house.crawl(*pages[:1], **(doubts | {"gone": frozenset({pages[1][0]})}))
    assert (not is_ill, 0) == ((told := house.update(site=None, crawl_job_id=crawl)).deleted == 1, told.missed)


@pytest.mark.parametrize(("doubts", "why"), [({"is_whole": False}, "whole site"), ({"is_mostly_failed": True}, "half")])
def test_a_crawl_that_is_not_all_replaces_nothing(house: House, doubts: dict[str, object], why: str) -> None:
    """Unless that is meant: the pages that it did not see would go at once."""
    pages = [("https://a.example/a", "A pear."), ("https://a.example/b", "A plum.")]
    house.update(site=None, crawl_job_id=house.crawl(*pages))
    before = standings(house.ledger, house.tenant.id)
    part = house.crawl(("https://a.example/a", "An apple."), **doubts)
    with pytest.raises(InputRejected, match=f"replace is true, and crawl {part} .*{why}.*say force") as refused:
        house.update(site=None, crawl_job_id=part, replace=True)
    assert ("replace", "crawl_not_whole") == (refused.value.field, refused.value.code)
    assert before == standings(house.ledger, house.tenant.id)
    assert [pages[1][0]] == house.keys("plum", site="docs.example", mode="lexical")
    assert (1, 0) == ((taken := house.update(site=None, crawl_job_id=part)).changed, taken.deleted)
    assert 1 == house.update(site=None, crawl_job_id=part, replace=True, force=True).deleted
    assert [] == house.keys("plum", site="docs.example", mode="lexical")


def test_a_host_that_is_too_long_for_a_name_asks_for_one(house: House) -> None:
    """Nothing is cut off in silence, and the name that is given is taken."""
    host = f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 20}.example"
    found = {"start_url": f"https://{host}/", "pages_failed": 0, "is_whole": True}
    crawl = house.keep(found, [{"url": f"https://{host}/", "title": "", "text": "A pear."}])
    with pytest.raises(InputRejected, match=r"has 211 characters, .* at most 200: give it another one"):
        house.update(site=None, crawl_job_id=crawl)
    assert 1 == house.update(site="fruit", crawl_job_id=crawl).added


def test_an_older_crawl_is_refused(house: House) -> None:
    """It would bring back what is gone, unless that is meant."""
    old = house.crawl(("https://a.example/a", "old"), at=now() - timedelta(hours=1))
    house.update(site=None, crawl_job_id=house.crawl(("https://a.example/a", "new")))
    with pytest.raises(InputRejected, match="newer crawl"):
        house.update(site=None, crawl_job_id=old)
    assert 1 == house.update(site=None, crawl_job_id=old, force=True).changed


def test_documents_and_crawled_pages_share_a_site(house: House) -> None:
    """All of the one sort says nothing of the other."""
    house.update(documents=documents())
    crawl = house.crawl(("https://docs.example/x", "An orchard."))
    assert 0 == house.update(crawl_job_id=crawl, replace=True).deleted
    assert ["https://docs.example/x"] == house.keys("orchard", mode="lexical")
    assert ["tea"] == house.keys("kettle", mode="lexical")


def test_tenants_know_their_own(house: House) -> None:
    """Under the same name."""
    house.update(documents=documents())
    house.tenant = tenants.named(house.ledger, "bob")
    house.update(documents=documents(tea="Bob drinks milk.")[2:])
    assert [] == house.keys("hotel", mode="lexical")
    assert ["tea"] == house.keys("milk", mode="lexical")
    assert [1] == [one.pages for one in standings(house.ledger, house.tenant.id)]


def test_a_late_writer_is_refused(house: House) -> None:
    """With the fence of an earlier claim nothing is written."""
    job = house.job()
    job.fence -= 1
    with pytest.raises(JobSuperseded):
        house.update(job, documents=documents())
    assert [] == standings(house.ledger, house.tenant.id)


def test_a_model_that_changed_meanwhile_is_not_mixed(house: House) -> None:
    """Who began with the other one tries again."""
    house.update(documents=documents())
    job = house.job()
    keeper = JobKeeper(house.ledger, job.id, job.fence, lambda: None)
    site = keeper.open_site(SITE, Model("x", 4))
    house.embedder = ScriptedModel()
    house.reindex()
    with pytest.raises(Transient, match="has become scripted"):
        keeper.write(site, Source(Origin.CALLER, job.id), [], recipe=1, force=False)


def told(house: House) -> list[int]:
    """Return the versions that the tenant was told of by what was committed, whether the job came to its end or not."""
    with house.ledger.read() as connection:
        found = connection.execute(sa.select(outbox.c.type, outbox.c.data)).all()
    return sorted(row.data["version"] for row in found if row.type == "knowledge.updated" and row.data["site"] == SITE)


class Stopped(FakeJob):
    """Ends at its first report as a killed process does: nothing after it is run."""

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        raise SystemExit(f"{stage} {done}")


def test_what_a_killed_attempt_has_kept_is_told(house: House) -> None:
    """With it, for the next attempt finds nothing to do; what changes nothing tells nothing."""
    job = house.job()
    killed = Stopped(house.folder, house.egress, id=job.id, fence=job.fence)
    with pytest.raises(SystemExit):
        house.update(killed, documents=documents())
    assert ["tea"] == house.keys("kettle", mode="lexical")
    assert [1] == told(house)
    again = house.update(job, documents=documents())
    assert (0, 3, 1) == (again.added, again.unchanged, again.version)
    assert [1] == told(house)


def test_what_a_cancelled_update_has_kept_is_told(house: House) -> None:
    """It has no end with which it could be told; a re-index, and what goes, likewise tell with each step."""
    job = house.job()
    job.cancel_after = 1
    with pytest.raises(JobCancelled):
        house.update(job, documents=documents())
    assert ([1], []) == (told(house), job.emissions.emitted)
    house.update(delete=["tea"])
    house.reindex(mode="full")
    house.embedder = ScriptedModel()
    house.reindex()
    assert [1, 2, 3, 4] == told(house)


def test_another_time_of_day_is_no_change() -> None:
    """A crawl says what of a page counts; where it does not, every letter does."""

    def hash_of(text: str, words: str) -> str:
        line = {"url": "https://a.example/", "title": "A", "text": text, "language": "", "content_hash": words}
        (page,) = crawled_in(io.BytesIO(json.dumps(line).encode()))
        assert (text, None) == (page.text, page.language)
        return page.hash

    assert hash_of("At 10:00.", "f" * 64) == hash_of("At 11:00.", "f" * 64)
    assert hash_of("At 10:00.", "") != hash_of("At 11:00.", "")

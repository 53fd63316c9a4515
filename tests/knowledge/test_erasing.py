"""A site that is let go, whole."""

from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tasks.core.errors import JobCancelled, NotFound, Permanent
from tasks.core.ledger import tenants
from tasks.knowledge.store.reading import standings
from tasks.knowledge.store.sites import JobTransactions
from tasks.knowledge.store.tables import chunks, embeddings, pages, sites
from tests.fakes import FakeJob
from tests.knowledge.house import SITE, House, documents, meanwhile


def test_a_site_is_erased(house: House) -> None:
    """Nothing of it is left, nothing of others goes, and it may be made anew."""
    house.update(documents=documents())
    house.update(delete=["tea"])
    house.update(site="other", documents=documents())
    alice, house.tenant = house.tenant, tenants.named(house.ledger, "bob")
    with pytest.raises(NotFound, match="No site 'handbook' is known"):
        house.update(erase=True)
    house.tenant = alice
    done = house.update(erase=True)
    assert (2, "ngrams-1024-1") == (done.deleted, done.model)
    assert ["other"] == [one.site for one in standings(house.ledger, alice.id)]
    assert "knowledge.updated" == house.jobs[-1].emissions.emitted[0].type
    with house.ledger.read() as connection:
        left = [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (sites, pages, chunks, embeddings)
        ]
    assert [1, 3, 4, 4] == left
    assert 3 == house.update(documents=documents()).added


def test_an_erase_under_an_update_stays(house: House) -> None:
    """Neither what it had still to bring nor another attempt of it makes the site anew; only who submits it again."""
    texts = [{"id": name, "text": f"A {name}. " * 12_000} for name in ("plum", "pear", "fig")]  # a batch each
    job = meanwhile(house, lambda: house.update(erase=True))
    for _ in range(2):
        with pytest.raises(Permanent, match="was erased while this job worked on it") as raised:
            house.update(job, documents=texts)
        assert "site_erased" == raised.value.code
        assert [] == standings(house.ledger, house.tenant.id)
    house.update(documents=documents())
    with pytest.raises(Permanent):  # one that was made since is not the one that it knew
        house.update(job, documents=texts)
    assert 1 == house.index().standing.version


def test_a_site_that_is_erased_has_no_version(house: House) -> None:
    """Whoever asks for it last hears what has become of it."""
    house.update(documents=documents())
    keeper = house.keeper(house.job())
    site = keeper.open_site(SITE, house.embedder.model)
    house.update(erase=True)
    for asked in (lambda: keeper.version(site), lambda: keeper.remove(site, ["tea"])):
        with pytest.raises(Permanent) as raised:
            asked()
        assert "site_erased" == raised.value.code


def test_an_erase_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did is told as the first attempt would have, wherever that one was stopped; a new site stays."""
    monkeypatch.setattr("tasks.knowledge.store.sites._PAGES_AT_A_TIME", 1)
    house.update(documents=documents())
    job = house.job()
    with pytest.raises(JobCancelled):
        house.update(stopped_at(job, 3), erase=True)
    assert 1 == len(house.index().page_ids)
    told = [house.update(job, erase=True)]
    told.append(house.update(job, erase=True))  # it was stopped behind its last transaction
    house.update(documents=documents())
    told.append(house.update(job, erase=True))
    # Three pages and the site, after one update.
    assert [(3, 5)] * 3 == [(one.deleted, one.version) for one in told]
    data = [dict(one.data) for one in job.emissions.emitted]
    assert [{"site": SITE, "version": 5, "job_id": job.id, "deleted": 3}] * 3 == data
    assert 3 == len(set(house.index().page_ids.tolist()))


def stopped_at(job: FakeJob, checkpoint: int) -> FakeJob:
    """Return the job as an attempt that stops there."""

    class Stopped(FakeJob):
        def checkpoint(self) -> None:
            super().checkpoint()
            if self.checkpoints == checkpoint:
                raise JobCancelled

    return Stopped(job.workdir, job.http, id=job.id, fence=job.fence, resume=job.resume)


def test_what_goes_goes_in_small_transactions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """By chunks, however large the pages are; between them the job shows that it lives, and hears a cancel."""
    monkeypatch.setattr("tasks.knowledge.store.sites._CHUNKS_AT_A_TIME", 3)
    text = "\n\n".join(f"# Part {number}\n\n" + f"Words of part {number}. " * 30 for number in range(5))
    sizes = {"a": text, "b": "# One\n\nOne chunk.", "c": "# Other\n\nOne chunk.", "d": text, "e": ""}
    house.update(documents=[{"id": name, "text": sizes[name]} for name in sizes])
    first = house.index().standing.version
    job = house.job()
    house.update(job, delete=["a", "b", "c", "d"])
    # The long ones alone, the short ones together, and what is left: nothing.
    assert (first + 3, 0) == (house.index().standing.version, house.index().postings.size)
    assert 3 <= job.checkpoints
    house.update(documents=[{"id": name, "text": sizes[name]} for name in sizes])
    with pytest.raises(JobCancelled):
        house.update(stopped_at(house.job(), 2), delete=["a", "b", "c", "d"])
    assert {"b", "c", "d"} == {passage.key for passage in house.find("part chunk")}
    job = house.job()
    assert 4 == house.update(job, erase=True).deleted
    assert 4 <= job.checkpoints


@pytest.mark.slow
@pytest.mark.parametrize("either_ledger", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_site_is_made_again_that_goes_while_it_is_opened(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look whether it is there and the turn that the update takes."""
    house.update(documents=documents())
    before = house.index().standing.site_id
    keeper, looked, looks = house.keeper(house.job()), JobTransactions._make, 0

    def look(*how: Any) -> None:
        nonlocal looks
        looks += 1
        looked(*how)
        if looks == 1:
            with house.ledger.write() as connection:
                connection.execute(sites.delete())

    monkeypatch.setattr(JobTransactions, "_make", look)
    opened = keeper.open_site(SITE, house.embedder.model)
    assert opened.id != before
    assert (0, 1, 2) == (opened.version, opened.turn, looks)


@pytest.mark.parametrize("more", [{"documents": documents()}, {"delete": ["tea"]}, {"force": True}, {"site": None}])
def test_erase_stands_alone(house: House, more: dict[str, object]) -> None:
    """Nobody who names anything else means all of it."""
    with pytest.raises(ValidationError, match="erase takes a site and nothing else"):
        house.update(**({"erase": True} | more))

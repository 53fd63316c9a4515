"""Updates of one site that overlap: who began later has the last word, and nothing is lost between them."""

from datetime import timedelta
from typing import Any

from tasks.core.clock import now
from tasks.knowledge.store.reading import standings
from tests.knowledge.house import SITE, House, Meanwhile, documents, meanwhile


def plain(*names: str) -> list[dict[str, Any]]:
    return [{"id": name, "text": f"About {name}."} for name in names]


def texts(house: House, site: str = SITE) -> dict[str, str]:
    return {passage.key: passage.text for passage in house.find("about", site=site, mode="lexical")}


def test_of_two_replacements_the_later_one_stays(house: House) -> None:
    """Whole, with the documents that both have, whichever ends first."""
    house.update(documents=plain("plum", "pear"), replace=True)
    later = [*plain("plum"), {"id": "fig", "text": "All about the fig."}]
    job = meanwhile(house, lambda: house.update(documents=later, replace=True))
    house.update(job, documents=plain("plum", "pear", "fig"), replace=True)
    assert {"plum": "About plum.", "fig": "All about the fig."} == texts(house)


def test_an_earlier_update_lets_the_later_ones_pages_be(house: House) -> None:
    """It neither puts its own text in their place nor deletes them."""
    house.update(documents=plain("plum", "pear"))
    job = meanwhile(house, lambda: house.update(documents=[{"id": "pear", "text": "News about the pear."}]))
    # In batches of 200,000 characters: the pear's comes after the news of it.
    house.update(
        job, documents=[{"id": "plum", "text": "A purple plum. " * 15_000}, *plain("pear")], delete=["nothing"]
    )
    assert "News about the pear." == texts(house)["pear"]
    job = meanwhile(house, lambda: house.update(documents=plain("fig")))
    house.update(job, documents=plain("plum"), delete=["fig"])
    assert "About fig." == texts(house)["fig"]


def test_what_was_unchanged_and_went_meanwhile_is_made_again(house: House) -> None:
    """Between the look at it and the transaction that keeps it another job let it go."""
    house.update(documents=plain("plum", "pear"))
    job = house.job()
    engine_sees = meanwhile(house, lambda: None)
    earlier = house.keeper(job)
    site = earlier.open_site(SITE, house.embedder.model)

    class Late(Meanwhile):
        def checkpoint(self) -> None:
            happens, self.happens = self.happens, lambda: None
            happens()

    late = Late(engine_sees.workdir, engine_sees.http, id=engine_sees.id, fence=engine_sees.fence)
    late.happens = lambda: earlier.remove(site, ["plum"])
    # The new pear is cut after the plum was found to be as it was.
    done = house.update(late, documents=[*plain("plum"), {"id": "pear", "text": "News about the pear."}])
    assert {"plum": "About plum.", "pear": "News about the pear."} == texts(house)
    assert (1, 1) == (done.added, done.changed)


def test_an_older_crawl_that_is_still_being_taken_in_spares_the_newer(house: House) -> None:
    """Neither its texts nor its misses count against what was taken in since."""
    old = house.crawl(
        *(("https://a.example/a", "Old things here. " * 13_000), ("https://a.example/b", "About old b.")),
        at=now() - timedelta(hours=1),
    )
    new = house.crawl(("https://a.example/b", "About new b."), ("https://a.example/c", "About new c."))
    job = meanwhile(house, lambda: house.update(site=None, crawl_job_id=new))
    first = house.update(job, site=None, crawl_job_id=old)
    assert 0 == first.missed
    found = texts(house, site="docs.example")
    assert ("About new b.", "About new c.") == (found["https://a.example/b"], found["https://a.example/c"])
    assert [new] == [one.crawl_job_id for one in standings(house.ledger, house.tenant.id)]


def test_a_crawl_that_is_forced_is_noted(house: House) -> None:
    """The status names it, and one that is older is refused after it."""
    newer = house.crawl(("https://a.example/a", "About a."), is_mostly_failed=True)
    house.update(site=None, crawl_job_id=newer, force=True)
    (stands,) = standings(house.ledger, house.tenant.id)
    assert (newer, True) == (stands.crawl_job_id, stands.crawl_is_flagged)


def test_many_failures_of_a_crawl_are_spared(house: House) -> None:
    """More addresses than a database takes in one statement."""
    house.update(documents=documents())
    house.update(site=None, crawl_job_id=house.crawl(("https://a.example/a", "About a."), ("https://a.example/b", "b")))
    failed = frozenset(f"https://a.example/{number}" for number in range(70_000)) | {"https://a.example/b"}
    crawl = house.crawl(("https://a.example/a", "About a."), failed=failed)
    assert 0 == house.update(site=None, crawl_job_id=crawl).missed
    gone = house.crawl(("https://a.example/a", "About a."), failed=failed, gone=failed)
    assert 1 == house.update(site=None, crawl_job_id=gone).deleted

"""What answers searches, while an index takes long to read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from app.fresh_answers import FRESH_S, FreshAnswers
from app.knowledge_desk import Answered, Asked, KnowledgeDesk
from tasks.core.egress import Egress
from tasks.core.errors import LedgerUnavailable, Transient
from tasks.core.ledger import Ledger, tenants
from tasks.core.text.ngrams import Vector
from tasks.knowledge.records import Model
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.store.reading import LedgerLibrary
from tests.knowledge.house import SITE, House, ScriptedModel, documents
from tests.samples import FakeClock, eventually


@dataclass(frozen=True)
class SlowLibrary(LedgerLibrary):
    """Its sites are read when they may be."""

    may_read: Event = field(default_factory=Event)

    def survey(self, site_id: str) -> Any:
        assert self.may_read.wait(30)
        return super().survey(site_id)


@dataclass
class Told:
    """News that come when the test says so."""

    is_told: bool = False

    def came(self, _tenant_id: str) -> bool:
        was, self.is_told = self.is_told, False
        return was

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class Desk:
    """A desk whose reading, news and time are the test's."""

    house: House
    may_read: Event = field(default_factory=Event)
    news: Told = field(default_factory=Told)
    clock: FakeClock = field(default_factory=FakeClock)
    desk: KnowledgeDesk = field(init=False)

    def __post_init__(self) -> None:
        library = SlowLibrary(self.house.ledger, self.may_read)
        self.shelf = IndexShelf(library, most_bytes=2**30)
        self.desk = KnowledgeDesk(library, self.shelf, self.news)  # type: ignore[arg-type]  # a stand-in for the news
        self.desk._answers = FreshAnswers(clock=self.clock)
        self.may_read.set()

    def ask(self, query: str = "kettle") -> Answered:
        return self.desk.answer(Asked(self.house.tenant.id, SITE, query), lambda *_: pytest.fail("no model is asked"))

    def change(self, text: str) -> None:
        """Change the site, and tell."""
        self.house.update(documents=documents(tea=text))
        self.news.is_told = True


@pytest.fixture
def desk(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("tasks.knowledge.search.shelf.PATIENCE_S", 0.02)
    with Egress() as egress:
        house = House(ledger, tenants.named(ledger, "alice"), tmp_path, egress)
        house.update(documents=documents())
        desk = Desk(house)
        yield desk
        desk.may_read.set()
        desk.desk.close()


def test_an_answer_of_an_older_index_is_not_kept(desk: Desk) -> None:
    """It is better than none while the newer index is read, but nobody would be told again that it is old."""
    assert (False, True) == (desk.ask().is_cached, desk.ask().is_cached)
    desk.may_read.clear()
    desk.change("The kettle is gone. There is a samovar.")
    for _ in range(2):
        old = desk.ask()
        assert (1, False) == (old.version, old.is_cached)
        assert "samovar" not in old.found[0][1].text if old.found else True
    desk.may_read.set()
    assert eventually(lambda: desk.ask().version == 2)
    new = desk.ask()
    assert (2, True) == (new.version, new.is_cached)
    assert "samovar" in new.found[0][1].text


def test_an_older_index_renews_nothing(desk: Desk) -> None:
    """A stale answer that is made anew aside is, too, kept only of the newest index."""
    assert not desk.ask().is_cached
    desk.may_read.clear()
    desk.house.update(documents=documents(tea="The kettle is gone. There is a samovar."))  # and the news are late
    desk.clock.at += FRESH_S
    assert (1, True) == ((stale := desk.ask()).version, stale.is_cached)
    done = Event()
    desk.desk._answers._renewing.submit(done.set)
    assert done.wait(10)
    desk.clock.at += FRESH_S / 2  # past what is stale; within what a renewed one would be kept
    assert not desk.ask().is_cached
    desk.may_read.set()
    assert eventually(lambda: desk.ask().version == 2)


def test_a_first_index_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no older one could answer; but not without end."""
    monkeypatch.setattr("tasks.knowledge.search.shelf.LONGEST_READ_S", 0.02)
    desk.may_read.clear()
    with pytest.raises(LedgerUnavailable, match="still being read"):
        desk.ask()
    desk.may_read.set()
    monkeypatch.setattr("tasks.knowledge.search.shelf.LONGEST_READ_S", 30.0)
    assert (1, 1) == ((first := desk.ask()).version, len(first.found[:1]))


def test_a_model_that_is_away_for_one_tenant_is_asked_for_another(desk: Desk) -> None:
    """Whose jobs may be paused or limited; and why is nobody else's business."""
    house = desk.house
    alice, bob = house.tenant, tenants.named(house.ledger, "bob")
    house.embedder = model = ScriptedModel()
    house.reindex()
    house.tenant = bob
    house.update(documents=documents())
    asked: list[str] = []

    def away(_model: Model, query: str) -> Vector:
        asked.append(query)
        raise Transient("No worker embedded the query: job 1.", code="model_away")

    def embed(_model: Model, query: str) -> Vector:
        found: Vector = model.embed_texts([query])[0]
        return found

    for query in ("kettle", "samovar"):
        assert "job 1" in dict(desk.desk.answer(Asked(alice.id, SITE, query), away).failed)["vector"]
    assert ["kettle"] == asked
    assert () == desk.desk.answer(Asked(bob.id, SITE, "kettle"), embed).failed

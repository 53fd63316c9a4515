"""``knowledge.reindex``: another model takes over only when it knows everything."""

import pytest
import sqlalchemy as sa

from tasks.core.errors import EngineFailed, Permanent
from tasks.knowledge.search.site_index import load_index
from tasks.knowledge.store.reading import standings
from tasks.knowledge.store.tables import embeddings
from tests.knowledge.house import House, ScriptedModel, documents


class Failing(ScriptedModel):
    """Fails at its second batch."""

    def embed(self, pieces: object) -> list[bytes]:
        if self.asked:
            raise Permanent("no more")
        return super().embed(pieces)


def models(house: House) -> set[str]:
    with house.ledger.read() as connection:
        return set(connection.execute(sa.select(embeddings.c.model)).scalars())


def test_another_model_takes_over_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has embedded everything, the one before it is searched; then nothing of that is left."""
    monkeypatch.setattr("tasks.knowledge.engine.reindex._CHUNKS", 2)
    house.update(documents=documents())
    before = house.index()
    house.embedder = Failing()
    with pytest.raises(EngineFailed):
        house.reindex()
    assert before.standing == house.index().standing
    assert ["travel"] == house.keys("hotel", mode="lexical")
    house.embedder = model = ScriptedModel()
    result = house.reindex()
    assert (before.standing.model.name, "scripted", 0) == (result.previous_model, result.model, result.pages)
    assert before.postings.size - 2 == model.asked == result.chunks
    assert {"scripted"} == models(house)
    after = load_index(house.library, before.standing.site_id, before)
    assert after is not None
    assert (6, before.postings.size) == (after.vectors.dimensions, after.vectors.size)


def test_a_model_whose_vectors_change_their_length_is_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same name: the old ones are searched until every new one is there, and then none of them is left."""
    monkeypatch.setattr("tasks.knowledge.engine.reindex._CHUNKS", 2)
    house.embedder = ScriptedModel()
    house.update(documents=documents())
    before = house.index()
    house.embedder = Failing(dimensions=4)
    with pytest.raises(EngineFailed):
        house.reindex()
    during = house.index()  # as a process reads it that has just started
    assert (before.standing, before.vectors.size, 6) == (
        during.standing,
        during.vectors.size,
        during.vectors.dimensions,
    )
    assert [0] == [one.without_vector for one in standings(house.ledger, house.tenant.id)]
    house.embedder = ScriptedModel(dimensions=4)
    assert before.postings.size - 2 == house.reindex().chunks
    after = load_index(house.library, before.standing.site_id, before)
    assert after is not None
    assert (4, before.postings.size, 2) == (after.vectors.dimensions, after.vectors.size, after.standing.version)
    with house.ledger.read() as connection:
        assert {4} == set(connection.execute(sa.select(embeddings.c.dimensions)).scalars())


def test_an_update_brings_the_site_to_its_model(house: House) -> None:
    """So that no site has vectors of two."""
    house.update(documents=documents())
    house.embedder = ScriptedModel()
    assert (0, 1, "scripted") == (
        (result := house.update(documents=documents(tea="New."))).added,
        result.changed,
        result.model,
    )
    assert {"scripted"} == models(house)


def test_full_cuts_every_page_anew(house: House) -> None:
    """Delta only those that another recipe cut."""
    house.update(documents=documents())
    chunks = house.index().postings.size
    assert (0, 0) == ((delta := house.reindex()).pages, delta.chunks)
    full = house.reindex(mode="full")
    assert (3, chunks, delta.version + 1) == (full.pages, full.chunks, full.version)
    assert chunks == house.index().postings.size
    assert "travel" == house.keys("what may a hotel cost")[0]

"""Searching an index in memory: what is found, in which order, and what a failing retriever does."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import Transient
from tasks.core.ledger import Ledger
from tasks.knowledge.hashed import HASHED
from tasks.knowledge.records import MINILM_NAME, Model
from tasks.knowledge.search.passages import Filters, IndexRow, Standing
from tasks.knowledge.search.searching import Mode, search, weight_of_vectors
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.store.reading import LedgerLibrary
from tests.knowledge.house import SITE, House, ScriptedModel, documents


def away(_text: str) -> np.ndarray:
    raise Transient("no worker", code="model_away")


def test_an_index_follows_its_site(house: House) -> None:
    """Reading what has changed gives the same as reading everything."""
    house.update(documents=documents())
    index = house.index()
    house.update(documents=documents(tea="# Kitchen\n\nThere is juice."), delete=[])
    house.update(delete=["holidays"])
    followed, fresh = house.index(earlier=index), house.index()
    assert fresh.chunk_ids.tolist() == followed.chunk_ids.tolist()
    for query in ("juice kitchen", "hotel", "holiday", "kettle"):
        assert house.keys(query, index=fresh) == house.keys(query, index=followed)
    query = {"juic": 1.0, "hotel": 2.0}
    assert fresh.postings.scores(query).tolist() == followed.postings.scores(query).tolist()
    assert followed.chunk_ids is house.index(earlier=followed).chunk_ids


def test_a_failing_retriever_is_named(house: House) -> None:
    """The others answer; where there is no other, the error does."""
    house.update(documents=documents())
    index = house.index()
    found = search(index, "hotel", embed=away)
    assert {"vector": "model_away: no worker"} == found.failed
    assert [{"lexical": 1}] == [dict(hit.places) for hit in found.hits]
    assert (1.0, None) == (found.hits[0].score, found.hits[0].similarity)
    with pytest.raises(Transient):
        search(index, "hotel", embed=away, mode=Mode.VECTOR)
    assert () == search(index, "of the", embed=away).hits


def test_misspelt_words_are_found_by_vectors(house: House) -> None:
    """No word of it is in any document."""
    house.update(documents=documents())
    assert [] == house.keys("hottels trayns", mode=Mode.LEXICAL)
    assert "travel" == house.keys("hottels trayns")[0]


@pytest.mark.parametrize(
    ("model", "known", "half_known"),
    [(HASHED, 0.02, 0.5), (Model(MINILM_NAME, 384), 0.02, 0.5), (Model("of-an-endpoint", 8), 1.0, 1.0)],
)
def test_vectors_count_where_words_are_not_there(house: House, model: Model, known: float, half_known: float) -> None:
    """For the models of which that was measured."""
    house.update(documents=documents())
    index = house.index()
    index = replace(index, standing=replace(index.standing, model=model))
    weights = [weight_of_vectors(index, query) for query in ("hotel", "hottels trayns")]
    assert [known, 1.0] == weights
    index.postings.rarity = lambda _: 1.0  # type: ignore[method-assign]  # each word as rare as the next
    assert half_known == weight_of_vectors(index, "hotel trayns")


def test_a_language_is_a_range(house: House) -> None:
    """RFC 4647, 3.3.1: a range names itself and what is narrower, in whatever case; never what is wider, or alike."""
    kept = ["en", "en-GB", "EN-us", "eng", "zh-Hant", None]
    pages = [{"url": f"https://docs.example/{one}", "text": "tea", "language": one} for one in kept]
    house.update(site=None, crawl_job_id=house.keep({"start_url": "https://docs.example/", "is_whole": True}, pages))
    index = house.index("docs.example")

    def like(language: str) -> set[str]:
        pages = house.library.pages_like(index.standing.site_id, Filters(language=language))
        chunks = index.chunk_ids[np.isin(index.page_ids, pages)].tolist()
        return {str(one.language) for one in house.library.passages(index.standing.site_id, chunks).values()}

    assert {"en", "en-GB", "EN-us"} == like("en") == like("EN")
    assert ({"en-GB"}, {"EN-us"}, set()) == (like("en-gb"), like("en-US"), like("en-"))
    assert ({"zh-Hant"}, {"eng"}, set()) == (like("zh"), like("eng"), like("e%"))


def test_filters_choose_pages(house: House) -> None:
    """By address, language, id and time."""
    house.update(documents=[{"id": "fr", "text": "thé", "language": "fr"}, *documents()])
    site_id = house.index().standing.site_id

    def like(**filters: Any) -> int:
        return len(house.library.pages_like(site_id, Filters(**filters)))

    assert [4, 1, 1, 0, 2] == [
        like(),
        like(language="fr"),
        like(url_prefix="https://handbook.example/t") - 1,
        like(url_prefix="https://handbook.example/%"),
        like(document_ids=("tea", "fr", "x")),
    ]


def test_a_shelf_reads_what_is_newer(house: House) -> None:
    """Once for each version, and lets go what does not fit."""
    house.update(documents=documents())
    house.update(site="other", documents=documents())
    shelf = IndexShelf(house.library, most_bytes=1)
    first, other = (house.library.standing(house.tenant.id, site) for site in ("handbook", "other"))
    assert first is not None
    assert other is not None
    index = shelf.index(first)
    assert index is shelf.index(first)
    house.update(delete=["tea"])
    newer = house.library.standing(house.tenant.id, "handbook")
    assert newer is not None
    assert newer.version == shelf.index(newer).standing.version
    shelf.index(other)
    assert shelf.index(other).size_bytes == shelf.size_bytes
    shelf.close()


def test_a_shelf_tells_what_went_wrong(house: House, sqlite_ledger: Ledger) -> None:
    """And reads again at the next search."""
    house.update(documents=documents())
    standing = house.library.standing(house.tenant.id, "handbook")
    assert standing is not None

    class Broken:
        is_broken = True

        def survey(self, site_id: str) -> object:
            if self.is_broken:
                raise Transient("broken")
            return house.library.survey(site_id)

        def __getattr__(self, name: str) -> object:
            return getattr(house.library, name)

    library = Broken()
    shelf = IndexShelf(library, most_bytes=10**9)  # type: ignore[arg-type]  # it has what the shelf asks for
    with pytest.raises(Transient):
        shelf.index(standing)
    library.is_broken = False
    assert 4 <= shelf.index(standing).postings.size
    shelf.close()


def test_an_index_is_of_one_moment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its rows are read the site gets another model, whose switch takes the vectors of the first away."""
    house.update(documents=documents())
    read = LedgerLibrary.rows

    def rows(library: LedgerLibrary, site_id: str, model: Model, ids: Sequence[int]) -> Iterator[IndexRow]:
        monkeypatch.undo()
        house.embedder = ScriptedModel()
        house.reindex()
        return read(library, site_id, model, ids)

    monkeypatch.setattr(LedgerLibrary, "rows", rows)
    index = house.index()
    assert ("scripted", 4) == (index.standing.model.name, index.postings.size)


def test_a_search_sees_what_was_committed_before_it(house: House) -> None:
    """Though the index was being read for an earlier one since before."""
    house.update(documents=documents())
    library, shelf = house.library, IndexShelf(house.library, most_bytes=10**8)
    first = library.standing(house.tenant.id, SITE)
    assert first is not None
    is_read, goes_on = Event(), Event()

    class Slow(LedgerLibrary):
        def survey(self, site_id: str) -> tuple[Standing, list[int]] | None:
            found = LedgerLibrary.survey(self, site_id)
            is_read.set()
            goes_on.wait(10)
            return found

    shelf = IndexShelf(Slow(house.ledger), most_bytes=10**8)
    with ThreadPoolExecutor() as threads:
        earlier = threads.submit(shelf.index, first)
        is_read.wait(10)
        house.update(documents=[{"id": "fig", "text": "A fig."}])
        second = library.standing(house.tenant.id, SITE)
        assert second is not None
        later = threads.submit(shelf.index, second)
        goes_on.set()
        assert (1, 2) == (earlier.result().standing.version, later.result().standing.version)
    shelf.close()

"""Documents of a site: each once, bounded, and none where none can be had."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.discovery.engine import fetching
from tasks.discovery.engine.fetching import SiteFetch
from tests.discovery.local_shop import LocalShop, local_shop


@pytest.fixture(scope="module")
def shop() -> Iterator[LocalShop]:
    with local_shop() as served:
        yield served


@pytest.fixture
def fetch(shop: LocalShop) -> Iterator[SiteFetch]:
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress, closing(egress.client()) as client:
        yield SiteFetch(client)


def test_a_document_is_fetched_once(shop: LocalShop, fetch: SiteFetch) -> None:
    """Whatever part of it is meant; asked for in another form it is another."""
    before = shop.hits["/about"]
    documents = [fetch(f"{shop.origin}/about{part}") for part in ("", "#a", "#b")]
    assert before + 1 == shop.hits["/about"]
    assert documents[0] is documents[1] is documents[2]
    assert documents[0] is not None
    assert (200, "text/html") == (documents[0].status, documents[0].media_type)
    assert "About us" in documents[0].text
    fetch(f"{shop.origin}/about", accept="application/json")
    assert before + 2 == shop.hits["/about"]


def test_a_refusal_of_the_site_is_an_answer(shop: LocalShop, fetch: SiteFetch) -> None:
    """404 is one like any other."""
    found = fetch(f"{shop.origin}/openapi.json")
    assert found is not None
    assert 404 == found.status


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://169.254.169.254/x", "file:///etc/passwd", "http://["])
def test_what_cannot_be_had_is_none(fetch: SiteFetch, url: str) -> None:
    """Refused, out of reach, or no address."""
    assert fetch(url) is None


def test_what_is_too_large_is_none(shop: LocalShop) -> None:
    """The bound is the client's."""
    shop.pages["/large"] = "x" * 5000
    with (
        Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress,
        closing(egress.client(max_bytes=1000)) as client,
    ):
        assert SiteFetch(client)(f"{shop.origin}/large") is None


def test_there_is_an_end_to_documents_and_to_time(
    shop: LocalShop, fetch: SiteFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After which nothing is asked for."""
    monkeypatch.setattr(fetching, "MAX_DOCUMENTS", 2)
    found = [fetch(f"{shop.origin}/{name}") for name in ("about", "terms", "products")]
    assert [True, True, False] == [one is not None for one in found]
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress, closing(egress.client()) as client:
        assert SiteFetch(client, total_limit_s=0)(f"{shop.origin}/about") is None

"""Path templates from sets of addresses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.endpoint_inputs import path_with_slots, singular
from tasks.discovery.engine.endpoints import clear_kind, group_endpoints, read_sighting
from tests.discovery.exchanges import asked

ITEM = {"id": 1, "name": "kettle"}
PERSON = {"email": "a@example.org", "first": "Ada"}


def templates(*urls: str | tuple[str, Any]) -> list[str]:
    pairs = [(url, ITEM) if isinstance(url, str) else url for url in urls]
    sightings = [sighting for url, answer in pairs if (sighting := read_sighting(asked(url, answer)))]
    return [path_with_slots(endpoint) for endpoint in group_endpoints(sightings)]


CLEAR = [
    ("12", "integer"),
    ("2f1a5c3e-8c1f-4c53-a4f0-0a9a3a1b2c3d", "uuid"),
    ("9f1b2c3d4e5f60718293a4b5", "hash"),
    ("2026-01-31", "date"),
    ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "key"),
    ("blue-kettle-12", "slug"),
    ("iphone-15-pro", "slug"),
]
WORDS = [
    "products",
    "v1",
    "v2.1",
    "2024-10",
    "blue-kettles",
    "search",
    "oauth2",
    "s3",
    "deadbeef",
    "kettle",
    "index.php",
]


@pytest.mark.parametrize(("segment", "kind"), CLEAR)
def test_values_are_known_from_one_example(segment: str, kind: str) -> None:
    assert kind == clear_kind(segment)


@pytest.mark.parametrize("segment", WORDS)
def test_words_and_versions_are_no_values(segment: str) -> None:
    assert clear_kind(segment) is None


SETS: list[tuple[list[str | tuple[str, Any]], list[str]]] = [
    (["/api/products/1", "/api/products/2"], ["/api/products/{id}"]),
    (["/api/products/1"], ["/api/products/{id}"]),
    (["/api/category/shoes", "/api/category/hats"], ["/api/category/{id}"]),
    (["/users/12/posts/7", "/users/13/posts/9"], ["/users/{user_id}/posts/{id}"]),
    (["/api/v1/products", "/api/v2/products"], ["/api/v1/products", "/api/v2/products"]),
    (["/api/products", "/api/users"], ["/api/products", "/api/users"]),
    (["/products", "/users"], ["/products", "/users"]),
    (["/api/products/search", "/api/products/list"], ["/api/products/search", "/api/products/list"]),
    (["/api/products/popular", "/api/products/new"], ["/api/products/popular", "/api/products/new"]),
    ([("/api/shop/products", ITEM), ("/api/shop/staff", PERSON)], ["/api/shop/products", "/api/shop/staff"]),
    (["/api/products/1/reviews", "/api/products/kettle/reviews"], ["/api/products/{id}/reviews"]),
    (["/p/blue-kettle-12", "/p/red-teapot-7"], ["/p/{slug}"]),
    (["/api/a{b}/1"], ["/api/a%7Bb%7D/{id}"]),
    (["/"], ["/"]),
    (["/events/2026-01-31"], ["/events/{date}"]),
    (["/api.php?action=list", "/api.php?action=top"], ["/api.php", "/api.php"]),
    (["/api/1/2/3"], ["/api/{api_id}/{id_2}/{id}"]),
]


@pytest.mark.parametrize(("urls", "expected"), SETS)
def test_addresses_become_templates(urls: list[str | tuple[str, Any]], expected: list[str]) -> None:
    assert expected == templates(*urls)


def test_what_was_typed_is_a_slot() -> None:
    sighting = read_sighting(asked("/api/suggest/kettle", ITEM, typed="Kettle"))
    assert sighting is not None
    [endpoint] = group_endpoints([sighting])
    assert ("/api/suggest/{query}", ("typed",)) == (path_with_slots(endpoint), endpoint.slots)


def test_unknown_answers_merge_nothing() -> None:
    """Without answers to compare, words stay words."""
    assert ["/a/x", "/a/y"] == templates(("/a/x", "no JSON"), ("/a/y", "no JSON"))


@pytest.mark.parametrize(
    ("plural", "one"),
    [("products", "product"), ("categories", "category"), ("boxes", "box"), ("status", "status"), ("news", "new")],
)
def test_nouns_in_the_singular(plural: str, one: str) -> None:
    assert one == singular(plural)


_SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="/?#"), max_size=12)


@given(st.lists(st.lists(_SEGMENT, max_size=4), max_size=6))
def test_every_sighting_is_in_exactly_one_endpoint(paths: list[list[str]]) -> None:
    """Whatever the paths; and grouping them again gives the same."""
    sightings = [s for path in paths if (s := read_sighting(asked("/" + "/".join(path), ITEM)))]
    endpoints = group_endpoints(sightings)
    assert sorted(map(id, sightings)) == sorted(id(s) for endpoint in endpoints for s in endpoint.sightings)
    assert endpoints == group_endpoints(sightings)

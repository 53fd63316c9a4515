"""What names of hosts, paths and parameters mean."""

import pytest

from tasks.discovery.engine.api_words import (
    is_api_address,
    is_cache_buster,
    is_same_site,
    is_secret,
    is_static,
    role_of,
    split_name,
)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("q", "query"),
        ("searchTerm", "query"),
        ("filter[page]", "page"),
        ("page[number]", "page"),
        ("perPage", "size"),
        ("per_page", "size"),
        ("nextPageToken", "cursor"),
        ("pageToken", "cursor"),
        ("after", "cursor"),
        ("offset", "offset"),
        ("orderBy", "sort"),
        ("colour", None),
        ("", None),
        ("[][]", None),
    ],
)
def test_roles_of_parameters(name: str, role: str | None) -> None:
    assert role == role_of(name)


@pytest.mark.parametrize(
    "name",
    ["X-CSRF-Token", "csrfmiddlewaretoken", "access_token", "apiKey", "x-api-key", "sessionId", "_wpnonce", "Cookie"],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["page_token", "nextPageToken", "q", "author", "keyword", "x-requested-with", "sort_key", "tokens_used"]
)
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("www.example.org", "api.example.org", True),
        ("example.org", "example.org", True),
        ("www.example.co.uk", "api.example.co.uk", True),
        ("one.co.uk", "two.co.uk", False),
        ("example.org", "example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("localhost", "localhost", True),
        ("", "", False),
    ],
)
def test_hosts_of_one_site(one: str, other: str, is_same: bool) -> None:
    assert is_same is is_same_site(one, other)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.google-analytics.com/g/collect",
        "https://o1.ingest.sentry.io/api/1/envelope/",
        "https://shop.example/collect?x=1",
        "data:text/plain,x",
        "http://[",
    ],
)
def test_analytics_are_no_api(url: str) -> None:
    assert not is_api_address(url)


def test_small_words() -> None:
    assert is_api_address("https://shop.example/api/collections")
    assert ["per", "page"] == split_name("perPage") == split_name("per-page")
    assert is_static("/locales/en.json")
    assert not is_static("/api/items")
    assert is_cache_buster("_", "1700000000000")
    assert not is_cache_buster("ts", "yes")

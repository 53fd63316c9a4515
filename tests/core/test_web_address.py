"""One spelling per URL."""

import pytest

from tasks.core.web_address import canonical, host_of, origin_of, target_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://EXAMPLE.org:80/a", "http://example.org/a"),
        ("https://example.org:443", "https://example.org/"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/a#part", "http://example.org/a"),
        ("http://example.org/a?", "http://example.org/a"),
        ("http://example.org/%7euser/%e4%bd", "http://example.org/~user/%E4%BD"),
        ("http://example.org/a%2Fb", "http://example.org/a%2Fb"),
        ("http://example.org/?b=2&a=1", "http://example.org/?b=2&a=1"),
        ("http://b\u00fccher.example/\u00fc", "http://xn--bcher-kva.example/%C3%BC"),
        ("  http://example.org/a b ", "http://example.org/a%20b"),
        ("http:\\\\example.org\\a", "http://example.org/a"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
    ],
)
def test_spellings_of_one_address_become_one(url: str, expected: str) -> None:
    """As browsers read it, without fragment, default port and needless escapes."""
    assert expected == canonical(url)


@pytest.mark.parametrize(
    "url",
    ["mailto:a@example.org", "javascript:void(0)", "http://", "http://u:p@example.org/", "http://[x/", "\ud800", ""],
)
def test_what_cannot_be_fetched_has_no_spelling(url: str) -> None:
    """Other schemes, credentials and nonsense are no addresses of pages."""
    assert canonical(url) is None


def test_url_of_more_than_2048_characters_is_no_address() -> None:
    """Endless query strings are a crawler trap."""
    assert canonical("http://example.org/" + "a" * 2029) is not None
    assert canonical("http://example.org/" + "a" * 2030) is None


def test_relative_link_is_resolved_against_its_base() -> None:
    """A page's links become absolute."""
    assert canonical("../c?d#e", base="http://example.org/a/b/") == "http://example.org/a/c?d"


def test_parts_of_an_address() -> None:
    """Robots and politeness need origin and host, patterns the target."""
    url = "https://example.org:8443/a/b?c=/d"
    assert (origin_of(url), host_of(url), target_of(url)) == (
        "https://example.org:8443",
        "example.org:8443",
        "/a/b?c=/d",
    )

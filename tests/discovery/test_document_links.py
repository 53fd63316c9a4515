"""What answers link to: headers as RFC 8288 and GitHub write them, JSON as HAL and JSON:API do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.document_links import MAX_LINKS, header_links, json_links

BASE = "https://shop.example/api/items?page=2"


def told(header: str) -> list[tuple[tuple[str, ...], str]]:
    return [(link.rel, link.href) for link in header_links(header, base=BASE)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            '<https://shop.example/api/items?page=3>; rel="next", <https://shop.example/api/items?page=1>; rel="prev"',
            [(("next",), "https://shop.example/api/items?page=3"), (("prev",), "https://shop.example/api/items?page=1")],
        ),
        ("</openapi.json>;rel=service-desc;type=\"application/openapi+json\"", [(("service-desc",), "https://shop.example/openapi.json")]),
        ('<?page=3>; rel="next last"; title="a, <b>; rel=x"', [(("next", "last"), "https://shop.example/api/items?page=3")]),
        ('</a>; rel="one"; rel="two"', [(("one",), "https://shop.example/a")]),
        ('</a>; rev=x, </b>; REL=Next', [(("next",), "https://shop.example/b")]),
        ('</a>; rel="next"; anchor="#part"', [(("next",), "https://shop.example/a")]),
        ('</a>; rel="next"; anchor="/other"', []),
        ('rubbish, </a>; rel=next junk, </b>; rel=prev', [(("next",), "https://shop.example/a"), (("prev",), "https://shop.example/b")]),
        ('<http://[>; rel=next', []),
        ('</a', []),
        ("", []),
    ],
)  # fmt: skip
def test_a_header_is_read_as_the_standard_says(header: str, expected: list[tuple[tuple[str, ...], str]]) -> None:
    """Relative to the document; quoted texts may hold anything; what is malformed costs only itself."""
    assert expected == told(header)


def test_what_a_link_leads_to_is_kept() -> None:
    """Without parameters."""
    (link,) = header_links('</d>; rel=search; type="Application/OpenSearchDescription+XML;x=1"; title=Shop', base=BASE)
    assert ("application/opensearchdescription+xml", "Shop") == (link.media_type, link.title)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"_links": {"self": {"href": "/api"}, "search": [{"href": "/s{?q}", "templated": True}, {"href": "/t"}]}},
            [("self", "/api"), ("search", "/t")],
        ),
        ({"links": {"next": "/api?page=2", "prev": None}}, [("next", "/api?page=2")]),
        ({"links": [{"rel": "service-desc", "href": "spec"}, {"href": "/x"}, 5]}, [("service-desc", "/api/spec")]),
        ({"_links": {"a": {"href": 5}}, "links": 5}, []),
        ([], []),
    ],
)
def test_json_links_are_read(raw: object, expected: list[tuple[str, str]]) -> None:
    """Of the root; templates are no addresses."""
    links = json_links(json.dumps(raw), base=BASE)
    assert expected == [(link.rel[0], link.href.removeprefix("https://shop.example")) for link in links]


@given(st.text(max_size=200))
def test_whatever_is_sent_ends(text: str) -> None:
    """Bounded, and without an error."""
    for header in (text, f"<{text}>; rel={text}", ",".join(["</a>;rel=a"] * 200)):
        assert len(header_links(header, base=BASE)) <= MAX_LINKS
    assert len(json_links(text, base=BASE)) <= MAX_LINKS

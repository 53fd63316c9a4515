"""Actions in JSON-LD and microdata, as search engines' and schema.org's documentation has them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.sources.linked_data import MAX_NODES, nodes
from tasks.discovery.engine.sources.schema_org import find_tools
from tasks.discovery.tool import Effect, Place, RequestCall, Tool
from tests.discovery.sources.sites import ORIGIN, site_of
from tests.discovery.sources.valid import check_tools

SITELINKS = {
    "@context": "https://schema.org",
    "@type": "WebSite",
    "name": "Shop",
    "url": ORIGIN,
    "potentialAction": {
        "@type": "SearchAction",
        "target": {"@type": "EntryPoint", "urlTemplate": f"{ORIGIN}/search?q={{search_term_string}}"},
        "query-input": "required maxlength=100 name=search_term_string",
    },
}
# WordPress with Yoast: a graph, the input as a specification.
YOAST = {
    "@context": "https://schema.org",
    "@graph": [
        {"@type": "WebPage", "@id": f"{ORIGIN}/", "potentialAction": [{"@type": "ReadAction", "target": [ORIGIN]}]},
        {
            "@type": "WebSite",
            "name": "Blog",
            "potentialAction": [
                {
                    "@type": "SearchAction",
                    "target": {"@type": "EntryPoint", "urlTemplate": f"{ORIGIN}/?s={{search_term_string}}"},
                    "query-input": {
                        "@type": "PropertyValueSpecification",
                        "valueRequired": True,
                        "valueName": "search_term_string",
                    },
                }
            ],
        },
    ],
}
MICRODATA = f"""<div itemscope itemtype="https://schema.org/WebSite"><meta itemprop="url" content="{ORIGIN}/"/>
<form itemprop="potentialAction" itemscope itemtype="https://schema.org/SearchAction">
<meta itemprop="target" content="{ORIGIN}/search?q={{search_term_string}}"/>
<input itemprop="query-input" type="text" name="search_term_string" maxlength="80" required/></form></div>"""
RESTAURANT = {
    "@context": "https://schema.org",
    "@type": "Restaurant",
    "name": "Tartine",
    "potentialAction": {
        "@type": "https://schema.org/ReserveAction",
        "target": {
            "@type": "EntryPoint",
            "urlTemplate": "/reserve/{day}?seats={seats}",
            "actionPlatform": ["http://schema.org/DesktopWebPlatform", "http://schema.org/IOSPlatform"],
        },
        "day-input": "required name=day pattern=^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "seats-input": {"@type": "PropertyValueSpecification", "valueName": "seats", "minValue": "1", "maxValue": 12},
    },
}


def action(kind: str, template: str, **more: Any) -> dict[str, Any]:
    target = {"@type": "EntryPoint", "urlTemplate": template, **more}
    return {"@context": "https://schema.org", "@type": kind, "target": target}


def page(*values: Any) -> str:
    return "".join(f"<script type='application/ld+json'>{json.dumps(value)}</script>" for value in values)


def tools_of(html: str) -> list[Tool]:
    tools = find_tools(site_of(html, path="/menu"))
    check_tools(tools)
    return tools


@pytest.mark.parametrize("html", [page(SITELINKS), page(YOAST), MICRODATA, page([SITELINKS])])
def test_a_search_action_is_a_search(html: str) -> None:
    """In all the forms that sites write it in."""
    (tool,) = tools_of(html)
    assert isinstance(tool.call, RequestCall)
    assert ("search", "search", Effect.READ) == (tool.name, tool.purpose, tool.effect)
    assert [("search_term_string", Place.QUERY)] == [(slot.input, slot.place) for slot in tool.call.slots]
    assert ["search_term_string"] == tool.input_schema["required"]
    assert 1 == tool.input_schema["properties"]["search_term_string"]["minLength"]


def test_the_limits_of_inputs_are_kept() -> None:
    """Of the short form, of microdata's input, and of a specification whose numbers are texts."""
    assert [100, 80] == [
        tools_of(html)[0].input_schema["properties"]["search_term_string"]["maxLength"]
        for html in (page(SITELINKS), MICRODATA)
    ]
    (tool,) = tools_of(page(RESTAURANT))
    assert {"type": "number", "minimum": 1, "maximum": 12} == tool.input_schema["properties"]["seats"]
    assert ["day"] == tool.input_schema["required"]


def test_a_reservation_is_addressed_relative_to_its_page_and_writes() -> None:
    """An entry point for the web beside one for telephones."""
    (tool,) = tools_of(page(RESTAURANT))
    assert isinstance(tool.call, RequestCall)
    assert ("reserve", "Reserve Tartine", Effect.WRITE) == (tool.name, tool.title, tool.effect)
    assert f"{ORIGIN}/reserve/{{day}}" == tool.call.url


@pytest.mark.parametrize(
    ("kind", "more", "effect"),
    [
        ("FindAction", {}, Effect.READ),
        ("OrderAction", {}, Effect.WRITE),
        ("SubscribeAction", {"httpMethod": "POST"}, Effect.WRITE),
        ("BuyAction", {}, Effect.DESTROY),
        ("CancelAction", {}, Effect.DESTROY),
        ("ViewAction", {"httpMethod": "DELETE"}, Effect.DESTROY),
    ],
)
def test_the_type_says_what_it_does_and_the_method_may_say_worse(
    kind: str, more: dict[str, Any], effect: Effect
) -> None:
    """An order is written, a purchase costs money."""
    assert [effect] == [tool.effect for tool in tools_of(page(action(kind, "/do?x={x}", **more)))]


@pytest.mark.parametrize(
    "value",
    [
        action("ViewAction", f"{ORIGIN}/page"),  # a link
        action("SearchAction", "/s?q=x{q}"),
        action("SearchAction", "http://shop.example/?q={q}"),
        action("SearchAction", "/s?q={q}&q2={q}"),
        action("WatchAction", "android-app://shop/{q}"),
        action("OrderAction", "/o?x={x}", actionPlatform="http://schema.org/AndroidPlatform"),
        action("Recipe", "/r?x={x}"),
        {"@type": "SearchAction", "target": 7},
        {"potentialAction": [None, 1, "x", []]},
    ],
)
def test_what_cannot_or_should_not_be_called_is_left(value: Any) -> None:
    """Links, other platforms, other things."""
    assert [] == tools_of(page(value))


def test_forms_of_rfc_6570_become_optional_parts_of_the_query() -> None:
    """``{?q,page}`` and ``{&sort}``."""
    (tool,) = tools_of(page(action("SearchAction", "/s{?q,page}"), action("SearchAction", "/s{?q,page}")))
    assert {"q", "page"} == set(tool.input_schema["properties"])


def test_malformed_scripts_do_not_hide_the_others() -> None:
    """Nor does one in a comment of old."""
    broken = "<script type='application/ld+json'>{\"@type\": </script>"
    assert 1 == len(tools_of(broken + page(SITELINKS)))


def test_deep_and_wide_data_is_bounded() -> None:
    """Nesting beyond reading, and more actions than anybody wants."""
    deep = "<script type='application/ld+json'>" + '{"a":' * 50_000 + "</script>"
    many = [action("SearchAction", f"/s{i}?q={{q}}") for i in range(200)]
    assert 30 == len(tools_of(deep + page(many)))


KEYS = ("@type", "@graph", "potentialAction", "target", "urlTemplate", "query-input", "name", "httpMethod", "valueName")
VALUES = st.sampled_from(["SearchAction", "/s?q={q}", "{q}", "required name=q", "POST", "q", "\x00", "\ud800", 1, None])
JUNK = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(JUNK)
def test_any_data_gives_valid_tools_or_none(value: Any) -> None:
    """Every key may hold anything."""
    tools_of(page(value))


@given(st.text("<>=\"' itemscopetypepropSearchAction/{}q?", max_size=150))
def test_any_html_gives_valid_tools_or_none(html: str) -> None:
    """Microdata is whatever a page makes of it."""
    tools_of(f"<div itemscope itemtype=x>{html}")


SPREAD = """<div itemscope itemtype="https://schema.org/WebSite" itemref="name search">
  <meta itemprop=url content="https://shop.example/"></div>
<footer><p id=name><span itemprop=name>Shop</span></p>
<div id=search itemprop=potentialAction itemscope itemtype="https://schema.org/SearchAction" itemref=target>
  <input itemprop=query-input name=q required></div></footer>
<meta id=target itemprop=target content="https://shop.example/find?q={q}">"""


def test_microdata_may_be_spread_over_the_page() -> None:
    """What ``itemref`` names belongs to the item, wherever it stands; also of an item that is referred to itself."""
    (tool,) = find_tools(site_of(SPREAD))
    assert isinstance(tool.call, RequestCall)
    assert f"{ORIGIN}/find" == tool.call.url
    assert ["q"] == tool.input_schema["required"]
    assert "Shop" in tool.title + tool.description


def test_references_that_never_end_are_cut() -> None:
    """An item that holds itself, and items that each hold all others twice."""
    ring = "".join(
        f"<div id=i{n} itemprop=a itemscope itemtype=https://schema.org/Thing itemref='{refs}'></div>"
        for refs in (" ".join(f"i{m}" for m in range(18)),)
        for n in range(18)
    )
    head = "<div itemscope itemtype=https://schema.org/Thing itemref='top i0 i1' id=top></div>"
    assert len(list(nodes(head + ring))) <= MAX_NODES

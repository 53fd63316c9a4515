"""Tools from requests that scripts were seen to make."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tasks.discovery.engine.page import Control, Option, Page
from tasks.discovery.engine.sources.xhr import find_tools
from tasks.discovery.tool import Effect, Place, RequestCall, Tool
from tests.discovery.exchanges import ORIGIN, asked, site_of

ITEMS = {"items": [{"id": 1, "name": "kettle", "price": 2.5}], "next": "c2"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def tool_of(*exchanges: Any, page: Page | None = None) -> Tool:
    """The only tool there is; its example fits its own schema."""
    [tool] = find_tools(site_of(*exchanges, page=page))
    Draft202012Validator.check_schema(tool.input_schema)
    for example in tool.examples:
        Draft202012Validator(tool.input_schema).validate(example)
    return tool


def call_of(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


def test_search_as_you_type_becomes_a_search() -> None:
    tool = tool_of(
        asked("/api/v1/products?q=&page=1&_=1700000000001", ITEMS),
        asked("/api/v1/products?q=ke&page=1&_=1700000000002", ITEMS, typed="kettle", trigger="typed 'kettle'"),
        asked("/api/v1/products?q=kettle&page=2&_=1700000000003", ITEMS, typed="kettle", trigger="typed 'kettle'"),
    )
    assert ("search_products", "search", Effect.READ, True) == (
        tool.name,
        tool.purpose,
        tool.effect,
        tool.is_idempotent,
    )
    assert {"q": "string", "page": "integer"} == {k: v["type"] for k, v in tool.input_schema["properties"].items()}
    assert ["q", "page"] == tool.input_schema["required"]
    assert ({"q": "kettle", "page": 1},) == tool.examples
    assert "'q' is what was typed" in tool.evidence
    assert f"{ORIGIN}/api/v1/products" == call_of(tool).url
    assert tool.output_schema is not None
    assert {"id", "name", "price"} == tool.output_schema["properties"]["items"]["items"]["properties"].keys()


def test_a_parameter_that_is_not_always_there_is_optional() -> None:
    tool = tool_of(asked("/api/items?limit=5", ITEMS), asked("/api/items?limit=5&colour=red", ITEMS))
    assert ["limit"] == tool.input_schema["required"]
    assert 5 == tool.input_schema["properties"]["limit"]["default"]


def test_repeated_parameters_are_arrays() -> None:
    tool = tool_of(asked("/api/items?tag=a&tag=b", ITEMS))
    rules = tool.input_schema["properties"]["tag"]
    assert ("array", "string") == (rules["type"], rules["items"]["type"])
    assert ({"tag": ["a", "b"]},) == tool.examples


def test_an_enumeration_needs_a_control_that_offers_the_values() -> None:
    seen = (asked("/api/items?sort=name", ITEMS), asked("/api/items?sort=price", ITEMS))
    assert "enum" not in tool_of(*seen).input_schema["properties"]["sort"]
    options = (Option("name", "Name"), Option("price", "Price"), Option("age", "Newest first"))
    page = Page(f"{ORIGIN}/", f"{ORIGIN}/", loose=(Control("select-one", id="sort", options=options),))
    rules = tool_of(*seen, page=page).input_schema["properties"]["sort"]
    assert ["name", "price", "age"] == rules["enum"]
    assert {"const": "age", "title": "Newest first"} == rules["oneOf"][2]


def test_a_cursor_is_known_by_the_answer_that_gave_it() -> None:
    tool = tool_of(asked("/feed", ITEMS), asked("/feed?cursor=c2", ITEMS))
    assert "required" not in tool.input_schema
    assert "'cursor' is a cursor, from 'next' of the answer before" in tool.evidence


def test_json_bodies_have_slots_by_pointer_over_what_was_seen() -> None:
    body = {"q": "kettle", "page": {"size": 10}, "sort": ["name"], "filters": [{"f": 1}], "csrf_token": "secret"}
    tool = tool_of(asked("/api/products/search", ITEMS, method="POST", body=body, typed="kettle"))
    call = call_of(tool)
    assert ("POST", "application/json", Effect.READ) == (call.method, call.media_type, tool.effect)
    assert {"q": "/q", "size": "/page/size", "sort": "/sort"} == {slot.input: slot.pointer for slot in call.slots}
    assert {key: value for key, value in body.items() if key != "csrf_token"} == call.body
    assert ["q"] == tool.input_schema["required"]
    assert 10 == tool.input_schema["properties"]["size"]["default"]
    assert "needs a session: csrf_token" in tool.evidence


def test_fields_of_a_form_go_into_the_form() -> None:
    body = "action=search_items&s=kettle&_wpnonce=abc"
    tool = tool_of(
        asked("/wp-admin/admin-ajax.php", ITEMS, method="POST", body=body, headers=FORM, typed="kettle", status=200)
    )
    call = call_of(tool)
    assert ({"action": "search_items"}, FORM["content-type"]) == (call.body, call.media_type)
    assert [("s", Place.FORM)] == [(slot.name, slot.place) for slot in call.slots]


def test_secrets_are_named_and_never_kept() -> None:
    """Neither header nor parameter nor cookie; the tool is less sure for it."""
    headers = {"authorization": "", "x-csrf-token": "", "cookie": "", "x-requested-with": "XMLHttpRequest"}
    tool = tool_of(asked("/api/items?access_token=s3cr3t", ITEMS, headers=headers))
    assert (("x-requested-with", "XMLHttpRequest"),) == call_of(tool).headers
    assert "s3cr3t" not in tool.model_dump_json()
    needed = {"needs a session: access_token", "needs a session: authorization", "needs a session: x-csrf-token"}
    assert needed <= set(tool.evidence)
    assert tool.prior < tool_of(asked("/api/items", ITEMS)).prior


def test_what_was_stopped_is_marked_by_what_it_would_do() -> None:
    stopped = {"is_sent": False, "status": 0, "media_type": ""}
    delete = asked("/api/items/7", "", method="DELETE", **stopped)
    add = asked("/api/items", "", method="POST", body={"name": "x"}, **stopped)
    tools = {tool.name: tool.effect for tool in find_tools(site_of(delete, add))}
    assert {"delete_items": Effect.DESTROY, "post_items": Effect.WRITE} == tools


def test_what_is_no_function_of_the_site_is_no_tool() -> None:
    exchanges = [
        asked("https://www.google-analytics.com/g/collect", ITEMS),
        asked("/api/pageview", ITEMS),
        asked("/api/items", ITEMS, status=500),
        asked("/script", "x()", media_type="text/javascript"),
        asked("/api/items", ITEMS, method="OPTIONS"),
        asked("/graphql", {"data": {}}, method="POST", body={"query": "{ a }"}),
    ]
    assert [] == find_tools(site_of(*exchanges))


def test_pieces_of_pages_are_less_sure_than_data() -> None:
    piece = tool_of(asked("/items/more?page=2", "<li>kettle</li>", media_type="text/html"))
    assert piece.output_schema is None
    assert piece.prior < tool_of(asked("/items/more?page=2", ITEMS)).prior


def test_names_are_free_and_in_order() -> None:
    exchanges = [asked(url, ITEMS) for url in ("/api/items", "/v2/items", "/api/items/12", "/api/items/12/reviews")]
    assert ["list_items", "list_items_2", "get_item", "list_reviews"] == [
        tool.name for tool in find_tools(site_of(*exchanges))
    ]


DEEP = '{"a":' * 300 + "1" + "}" * 300
_HOSTILE = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    st.sampled_from(
        [DEEP, "[" * 50_000, '{"a":' * 5_000, "NaN", '{"q": {"q": {"q": {"q": {"q": 1}}}}}', "{}", "[]", "[[[1]]]"]
    ),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5) | st.lists(st.integers())).map(json.dumps),
)


@given(
    st.lists(
        st.builds(
            asked,
            st.text(max_size=20).map(lambda path: f"/{path}") | st.text(max_size=20),
            _HOSTILE,
            method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
            body=_HOSTILE,
            headers=st.sampled_from([{}, FORM, {"content-type": "\x00"}, {"accept": "\r\nx"}]),
            typed=st.sampled_from(["", "kettle", "\x00\x00\x00"]),
            is_sent=st.booleans(),
            media_type=st.sampled_from(["application/json", "text/html", "", "x"]),
        ),
        max_size=6,
    )
)
def test_hostile_exchanges_make_valid_tools_or_none(exchanges: list[Any]) -> None:
    for tool in find_tools(site_of(*exchanges)):
        Draft202012Validator.check_schema(tool.input_schema)
        call = call_of(tool)
        assert {slot.input for slot in call.slots} == tool.input_schema["properties"].keys()
        assert call.url.startswith(("http://", "https://"))
        assert not any("\r" in value or "\n" in value for _, value in call.headers)
        assert tool.effect is not Effect.READ or call.method in ("GET", "POST")


def test_a_huge_answer_is_bounded() -> None:
    huge = {f"key{number}": [{"x": number}] * 100 for number in range(300)}
    tool = tool_of(asked("/api/huge", huge))
    assert len(json.dumps(tool.output_schema)) < 1000

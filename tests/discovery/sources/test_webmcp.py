"""Tools that pages register by script."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.site import DeclaredTool, Site
from tasks.discovery.engine.sources.webmcp import find_tools
from tasks.discovery.tool import Effect, PageToolCall
from tests.discovery.sources.sites import ORIGIN, site_of
from tests.discovery.sources.valid import check_tools

FLIGHTS = DeclaredTool(
    name="searchFlights",
    description="Searches for flights between two airports. It does not book them.",
    input_schema={
        "type": "object",
        "properties": {
            "from": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "IATA code"},
            "to": {"$ref": "#/$defs/airport"},
            "when": {"type": "string", "format": "date"},
        },
        "required": ["from", "to"],
        "$defs": {"airport": {"type": "string", "pattern": "^[A-Z]{3}$"}},
    },
    annotations={"readOnlyHint": True},
)


def declared(name: str, description: str = "", **hints: Any) -> DeclaredTool:
    return DeclaredTool(name, description, {"type": "object", "properties": {}}, annotations=hints or None)


def test_a_registered_tool_is_called_in_its_page() -> None:
    """By the name that the page gave it, with its own schema, references written out."""
    (tool,) = find_tools(site_of(declared=(FLIGHTS,), path="/flights"))
    check_tools([tool])
    assert ("searchFlights", Effect.READ, True) == (tool.name, tool.effect, tool.is_idempotent)
    assert PageToolCall(page_url=f"{ORIGIN}/flights", tool_name="searchFlights") == tool.call
    assert {"type": "string", "pattern": "^[A-Z]{3}$"} == tool.input_schema["properties"]["to"]
    assert ["from", "to"] == tool.input_schema["required"]


@pytest.mark.parametrize(
    ("tool", "effect"),
    [
        (declared("get_cart", "Returns what is in the cart."), Effect.READ),
        (declared("add_to_cart", "Adds a product."), Effect.WRITE),
        (declared("book", "Books it.", readOnlyHint=False), Effect.WRITE),
        (declared("tidy", "", destructiveHint=True, readOnlyHint=True), Effect.DESTROY),
        (declared("delete_account", "Deletes it.", readOnlyHint=True), Effect.DESTROY),
        (declared("logout"), Effect.WRITE),
        (declared("logout", "", readOnlyHint=True), Effect.WRITE),
        (declared("list_orders", "Lists orders. Use delete_order to remove one."), Effect.READ),
    ],
)
def test_hints_are_believed_unless_the_words_are_graver(tool: DeclaredTool, effect: Effect) -> None:
    """A page that calls its deletion read-only is not trusted with it."""
    assert effect == find_tools(site_of(declared=(tool,)))[0].effect


def test_a_tool_on_many_pages_is_one_and_forms_are_left_to_their_source() -> None:
    """Names that are equal after cleaning stay apart."""
    form = DeclaredTool("newsletter", "", {}, is_imperative=False)
    pages = site_of(declared=(FLIGHTS, declared("a b"), declared("a.b"), form))
    site = Site(pages.origin, pages.snapshots * 3, pages.fetch)
    assert ["searchFlights", "a_b", "a_b_2"] == [tool.name for tool in find_tools(site)]


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "$ref", "$defs", "required", "enum"]), inner)
    ),
    max_leaves=15,
)


WILD = st.text() | st.text(st.sampled_from("a_é \x00\ud800名{"), max_size=600)


@given(WILD, WILD, JUNK, st.dictionaries(WILD, st.none() | st.booleans() | WILD))
def test_whatever_a_page_registers_is_a_valid_tool_or_none(
    name: str, description: str, schema: Any, hints: dict[str, Any]
) -> None:
    """Names, schemas and hints are a stranger's."""
    check_tools(find_tools(site_of(declared=(DeclaredTool(name, description, schema, annotations=hints),))))

"""When two finds are one tool."""

from typing import Any

from tasks.discovery.engine.merging import merge
from tasks.discovery.tool import FormCall, FormField, PageToolCall, Place, RequestCall, Slot, Source, Tool

SITE = "https://shop.test"


def request(path: str, *names: str, method: str = "GET", source: Source = Source.OPENAPI, **more: Any) -> Tool:
    place = Place.QUERY if method == "GET" else Place.JSON
    call = RequestCall(
        method=method,
        url=f"{SITE}{path}",
        slots=tuple(Slot(input=name, place=place, name=name) for name in names),
        query=more.pop("query", ()),
        body=more.pop("body", None),
    )
    return tool(call, source, **more)


def form(path: str, *names: str, method: str = "GET", hidden: tuple[tuple[str, str], ...] = (), **more: Any) -> Tool:
    fields = [FormField(name=name, type="text", input=name) for name in names]
    fields += [FormField(name=name, type="hidden", value=value) for name, value in hidden]
    page = f"{SITE}{more.pop('on', '/')}"
    call = FormCall(page_url=page, url=f"{SITE}{path}", method=method, fields=tuple(fields))
    return tool(call, Source.FORM, found_on=page, **more)


def tool(call: Any, source: Source, **more: Any) -> Tool:
    facts: dict[str, Any] = {"name": "search", "site": SITE, "found_on": f"{SITE}/", "prior": 0.8} | more
    schema = {"type": "object"} | ({"required": facts.pop("required")} if "required" in facts else {})
    return Tool(source=source, call=call, input_schema=schema, **facts)


def test_the_surer_source_wins_and_keeps_the_others_evidence() -> None:
    """An API's description knows more than the form that calls it."""
    (one,) = merge([form("/search", "q", evidence=("a text input",)), request("/search", "q", "page", title="Search")])
    assert (Source.OPENAPI, "Search") == (one.source, one.title)
    assert (f"also found as form on {SITE}/: a text input",) == one.evidence


def test_the_same_form_on_many_pages_is_one_tool() -> None:
    """And says on how many it was seen."""
    (one,) = merge([form("/search", "q", on=f"/{n}") for n in range(3)])
    assert ("on 3 pages that were looked at",) == one.evidence


def test_other_methods_paths_and_inputs_are_other_tools() -> None:
    """A search and the pages of a list may share an address."""
    found = [
        form("/items", "q"),
        form("/items", "q", method="POST"),
        form("/other", "q"),
        request("/items", "page", source=Source.PAGINATION),
        request("/items", "sort", source=Source.SORT),
    ]
    assert len(found) == len(merge(found))


def test_the_pages_of_a_search_are_not_lost_in_the_search() -> None:
    """A form that takes no page cannot give the second one; one that does is the same tool."""
    pages = request("/items", "q", "page", source=Source.PAGINATION, required=["page"])
    assert 2 == len(merge([form("/items", "q"), pages]))
    assert 1 == len(merge([form("/items", "q", "page"), pages]))


def test_what_is_always_sent_tells_tools_apart() -> None:
    """One address may serve many functions by a fixed parameter."""
    assert 2 == len(merge([form("/do", "id", hidden=(("act", "show"),)), form("/do", "id", hidden=(("act", "list"),))]))
    assert 1 == len(merge([form("/do", "id", hidden=(("act", "show"),)), request("/do", "id")]))
    operations = [request("/graphql", "id", method="POST", body={"query": name}) for name in ("{a}", "{b}")]
    assert 2 == len(merge(operations))


def test_the_query_of_a_get_forms_address_does_not_count() -> None:
    """Sending the form replaces it."""
    assert 1 == len(merge([form("/search?lang=en", "q"), request("/search", "q")]))


def test_placeholders_of_one_place_are_the_same() -> None:
    """Whatever they are called."""
    assert 1 == len(merge([request("/items/{id}"), request("/items/{item_id}", source=Source.XHR)]))
    assert 2 == len(merge([request("/items/{id}"), request("/items/{id}/parts")]))


def test_names_are_made_distinct_by_the_end_of_the_path() -> None:
    """Else by a number; the surest keeps its name."""
    found = [request("/a"), request("/b/flights", "x"), request("/c/flights", "y"), request("/d/flights", "z")]
    assert ["search", "search_flights", "search_2", "search_3"] == [one.name for one in merge(found)]


def test_long_names_stay_within_bounds() -> None:
    """A hundred characters, also when made distinct."""
    found = [request(f"/{n}/x", str(n), name="n" * 100) for n in range(4)]
    names = [one.name for one in merge(found)]
    assert 4 == len(set(names))
    assert all(len(name) <= 100 for name in names)


def test_tools_of_the_page_itself_are_told_apart_by_name() -> None:
    """They have no address."""
    one, two = (PageToolCall(page_url=f"{SITE}/", tool_name=name) for name in ("add", "list"))
    assert 2 == len(merge([tool(one, Source.WEBMCP), tool(two, Source.WEBMCP), tool(one, Source.WEBMCP)]))


def test_what_the_winner_lacks_is_taken_from_the_others() -> None:
    """Examples too, each once."""
    named = form("/search", "q", title="Find", description="Finds.", examples=({"q": "a"},))
    (one,) = merge([request("/search", "q", examples=({"q": "a"}, {"q": "b"})), named])
    assert ("Find", "Finds.", ({"q": "a"}, {"q": "b"})) == (one.title, one.description, one.examples)

"""Tools from links: pages, orders and filters of a list, by how their addresses differ."""

from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from tasks.discovery.engine.document_links import header_links
from tasks.discovery.engine.sources.links import find_tools
from tasks.discovery.tool import Place, RequestCall, Source, Tool
from tests.discovery.sources.pages import ORIGIN, site_of


def pager(*hrefs: str, here: str = "1") -> str:
    links = "".join(f"<a href='{href}'>{text}</a> " for href, text in (one.split("|") for one in hrefs))
    return f"<title>Books | Shop</title><div class=pagination><b>{here}</b> {links}</div>"


def tools_of(html: str, *, path: str = "books") -> list[Tool]:
    found = find_tools(site_of(**{path: html}))
    for tool in found:
        Draft202012Validator.check_schema(tool.input_schema)
        for example in tool.examples:
            Draft202012Validator(tool.input_schema).validate(example)
    return found


def only(html: str, source: Source, *, path: str = "books") -> Tool:
    (found,) = [tool for tool in tools_of(html, path=path) if tool.source is source]
    return found


def call_of(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


def test_a_parameter_that_counts_pages_is_an_input() -> None:
    tool = only(pager("?page=2|2", "?page=3|3", "?page=14|14", "?page=2|Next", "?page=14|Last »"), Source.PAGINATION)
    rules = tool.input_schema["properties"]["page"]
    assert ("integer", 1, 14) == (rules["type"], rules["minimum"], rules["maximum"])
    assert (f"{ORIGIN}/books", ()) == (call_of(tool).url, call_of(tool).query)
    assert [("page", Place.QUERY)] == [(slot.name, slot.place) for slot in call_of(tool).slots]
    assert ({"page": 2}, {"page": 1}) == tool.examples
    assert ("browse_books", "pagination") == (tool.name, tool.purpose)
    assert tool.prior > 0.5


@pytest.mark.parametrize("shape", ["/books/page/{}/", "/books/page/{}", "/books/page-{}.html", "/books/p{}"])
def test_a_part_of_the_path_that_counts_pages_is_an_input(shape: str) -> None:
    tool = only(pager(f"{shape.format(2)}|2", f"{shape.format(3)}|3", f"{shape.format(2)}|Next"), Source.PAGINATION)
    assert f"{ORIGIN}{shape.format('{page}')}" == call_of(tool).url
    assert [("page", Place.PATH)] == [(slot.input, slot.place) for slot in call_of(tool).slots]
    assert "maximum" not in tool.input_schema["properties"]["page"]


def test_rows_that_are_called_by_their_numbers_are_no_pages() -> None:
    """A table has a row 1, and no page of it leads to the next one."""
    rows = [f"/books/{at}|{at}" for at in range(1, 8)]
    assert [] == [tool for tool in tools_of(pager(*rows)) if tool.source is Source.PAGINATION]
    assert only(pager(*rows[1:], "/books/2|Next"), Source.PAGINATION)


def test_numbers_that_begin_elsewhere_are_no_pages() -> None:
    """Years of a list; the first page would lead to the second."""
    years = [f"?year={at}|{at}" for at in range(1997, 2004)]
    assert [] == [tool for tool in tools_of(pager(*years)) if tool.source is Source.PAGINATION]


def test_offsets_count_in_steps() -> None:
    tool = only(pager("?start=20|2", "?start=40|3", "?start=20|Next"), Source.PAGINATION)
    rules = tool.input_schema["properties"]["start"]
    assert (0, 20) == (rules["minimum"], rules["multipleOf"])
    assert ({"start": 20}, {"start": 0}) == tool.examples


def test_pages_may_count_from_nought() -> None:
    tool = only(pager("?page=1|2", "?page=2|3", "?page=1|Next"), Source.PAGINATION)
    assert 0 == tool.input_schema["properties"]["page"]["minimum"]


def test_a_next_link_alone_counts_where_its_address_shows_it() -> None:
    assert "page" in only(pager("?page=2|Next page"), Source.PAGINATION).input_schema["properties"]
    head = "<head><title>Books</title><link rel=next href='/books?after=abc123'></head><p>text</p>"
    cursor = only(head, Source.PAGINATION)
    assert "string" == cursor.input_schema["properties"]["after"]["type"]
    assert ({"after": "abc123"},) == cursor.examples


@pytest.mark.parametrize(
    ("path", "links"),
    [
        ("blog", ("/blog/page/2/|← Older posts",)),
        ("blog/page/4/", ("/blog/page/5/|← Older posts", "/blog/page/3/|Newer posts →")),
    ],
)
def test_older_posts_are_the_next_page_of_a_blog(path: str, links: tuple[str, ...]) -> None:
    (tool,) = tools_of(pager(*links), path=path)
    assert f"{ORIGIN}/blog/page/{{page}}/" == call_of(tool).url
    assert 1 == tool.input_schema["properties"]["page"]["minimum"]


@pytest.mark.parametrize(
    "href",
    [
        "?photo=2|Next",
        "/books/the-salt-road|Next",
        "/articles/1234|Next",
        "#|Next",
        "javascript:next()|Next",
        "https://other.org/?page=2|Next",
    ],
)
def test_a_next_link_without_evidence_in_its_address_is_no_tool(href: str) -> None:
    assert [] == tools_of(pager(href))


def test_other_parameters_stay_and_what_was_searched_for_is_open() -> None:
    tool = only(
        pager("?q=salt&lang=en&page=2|2", "?q=salt&lang=en&page=3|3", "?q=salt&lang=en&page=2|Next"), Source.PAGINATION
    )
    assert (("lang", "en"),) == call_of(tool).query
    assert {"q", "page"} == set(tool.input_schema["properties"])
    assert ["page"] == tool.input_schema["required"]
    assert {"q": "salt", "page": 2} == tool.examples[0]


def test_what_names_a_visit_is_dropped() -> None:
    tool = only(pager("?utm_source=x&page=2|2", "?PHPSESSID=1&page=3|3"), Source.PAGINATION)
    assert () == call_of(tool).query


def test_the_pages_of_one_list_are_one_tool_wherever_they_are_met() -> None:
    first = pager("?page=2|2", "?page=3|3", "?page=2|Next")
    tools = find_tools(
        site_of(books=first, **{"books?page=2": pager("?page=1|1", "?page=3|3", "?page=3|Next", here="2")})
    )
    assert [Source.PAGINATION] == [tool.source for tool in tools]


HEADS = (
    "<title>People</title><table><tr><th><a href='?sort=name&order=asc'>Name</a><th><a href='?sort=born&order=desc'>"
    "Born</a></table>"
)


def test_links_that_differ_in_an_order_are_a_tool() -> None:
    tool = only(HEADS, Source.SORT, path="people")
    properties = tool.input_schema["properties"]
    assert [{"const": "name", "title": "Name"}, {"const": "born", "title": "Born"}] == properties["sort"]["oneOf"]
    assert ["asc", "desc"] == properties["order"]["enum"]
    assert ["sort"] == tool.input_schema["required"]
    assert ("sort_people", {"sort": "name", "order": "asc"}) == (tool.name, tool.examples[0])


def test_short_names_are_an_order_in_the_heads_of_a_table_alone() -> None:
    heads = "<table><tr><th><a href='?o=1'>A</a><th><a href='?o=2'>B</a></table>"
    assert ["1", "2"] == only(heads, Source.SORT).input_schema["properties"]["o"]["enum"]
    assert [Source.FILTER] == [tool.source for tool in tools_of("<p><a href='?o=1'>A</a><a href='?o=2'>B</a>")]


def test_links_that_narrow_a_list_are_a_tool() -> None:
    html = "<title>Shop</title><ul><li><a href='?colour=r'>Red (12)</a><li><a href='?colour=b'>Blue (3)</a></ul>"
    tool = only(html, Source.FILTER)
    assert [{"const": "r", "title": "Red"}, {"const": "b", "title": "Blue"}] == tool.input_schema["properties"][
        "colour"
    ]["oneOf"]
    assert ("filter_books_by_colour", "Filter books by colour") == (tool.name, tool.title)
    assert ({"colour": "r"}, {"colour": "b"}) == tool.examples


def test_frameworks_words_for_comparing_are_no_part_of_a_name() -> None:
    links = "<a href='?is_staff__exact=1'>Yes</a><a href='?is_staff__exact=0'>No</a>"
    assert "filter_books_by_is_staff" == only(links, Source.FILTER).name


def test_pages_and_orders_are_no_part_of_a_filter() -> None:
    """Links carry them along; a filter begins without."""
    links = "".join(f"<a href='?colour={colour}&page=1&sort=name'>{colour}</a>" for colour in ("red", "blue"))
    html = pager("?page=2&sort=name|2", "?page=3&sort=name|3") + links
    tools = {tool.source: tool for tool in tools_of(html, path="books?sort=name")}
    assert (("sort", "name"),) == call_of(tools[Source.FILTER]).query
    assert (("sort", "name"),) == call_of(tools[Source.PAGINATION]).query


@pytest.mark.parametrize(
    "html",
    [
        "<a href='/item?id=1'>One</a><a href='/item?id=2'>Two</a>",
        "<a href='?id=1'>One</a><a href='?id=2'>Two</a>",
        "<a href='?action=edit'>Edit</a><a href='?action=logout'>Log out</a>",
        "<a href='?lang=en'>English</a><a href='?lang=de'>Deutsch</a>",
        "<a href='/other?colour=r'>Red</a><a href='/other?colour=b'>Blue</a>",
        "<a href='?colour=r'>Red</a>",
        "<a href='?drop=all'>Delete all</a><a href='?drop=one'>Delete one</a>",
        "<a href='mailto:a@example.org'>Mail</a><a href='http://[bad'>Bad</a>",
    ],
)
def test_links_to_other_things_are_no_filter(html: str) -> None:
    assert [] == tools_of(html)


def test_neighbours_may_stand_in_the_header() -> None:
    """As GitHub pages its lists: no word of it in the page."""
    site = site_of(**{"books?page=2": "<title>Books</title><p>text"})
    (snapshot,) = site.snapshots
    links = header_links('<?page=3>; rel="next", <?page=1>; rel="prev"', base=snapshot.page.url)
    (tool,) = find_tools(replace(site, snapshots=(replace(snapshot, page=replace(snapshot.page, head_links=links)),)))
    assert {"page"} == set(tool.input_schema["properties"])

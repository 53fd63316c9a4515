"""Tools from forms: one for each distinct form, sent as the browser would."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.discovery.engine.page import Control, Page
from tasks.discovery.engine.site import Site, Snapshot
from tasks.discovery.engine.sources.form import find_tools
from tasks.discovery.tool import Effect, FormCall, Source, StepsCall, Tool
from tests.discovery.sources.pages import ORIGIN, PAGES, no_fetch, site_of

SEARCH = "<form action=/find><input type=search name=q placeholder='Search books'><button>Go</button></form>"


def only(html: str) -> Tool:
    (found,) = find_tools(site_of(start=html))
    return found


def call_of(tool: Tool) -> FormCall:
    assert isinstance(tool.call, FormCall)
    return tool.call


def library() -> dict[str, Tool]:
    return {tool.name: tool for tool in find_tools(site_of(library=(PAGES / "library.html").read_text()))}


def test_a_search_form_is_a_tool_that_a_person_would_recognise() -> None:
    tool = only(f"<title>Shop</title>{SEARCH}<a href=/b/1>The salt road</a>")
    assert ("search_books", "Search books", "search", Source.FORM) == (tool.name, tool.title, tool.purpose, tool.source)
    assert (Effect.READ, True, ORIGIN, f"{ORIGIN}/") == (tool.effect, tool.is_idempotent, tool.site, tool.found_on)
    assert tool.prior > 0.9
    assert {"q": "salt"} in tool.examples
    assert "/find" in tool.description
    call = call_of(tool)
    assert (f"{ORIGIN}/find", "GET", "UTF-8") == (call.url, call.method, call.charset)


@pytest.mark.parametrize(
    ("html", "name"),
    [
        (
            "<form role=search aria-label='Search the catalogue'><input name=q><button>Search</button></form>",
            "search_catalogue",
        ),
        ("<form action=/s><input name=q placeholder='Search…'><button>Search</button></form>", "search"),
        ("<form action=/s><label>Find a recipe <input type=search name=q></label></form>", "search_recipe"),
        ("<form action=/s><input type=search name=q><button>Bücher suchen</button></form>", "bucher_suchen"),
        (
            "<form action=/s><input name=k placeholder='キーワードで検索'><input type=submit value='検索'></form>",
            "search",
        ),
        ("<form method=post><input name=user><input type=password name=pw><button>Sign in</button></form>", "log_in"),
        (
            "<form role=search action=/s><label>Date from <input name=since></label><label>Words <input name=q></label>"
            "<button>Search</button></form>",
            "search",
        ),
        (
            "<form action=/q><input type=search name=query aria-label='Query'><button>Run SQL</button></form>",
            "run_sql",
        ),
        (
            "<h2>181 rows</h2><form method=post action=/loans/mend><input name=a><input type=number name=b>"
            "<button>Save</button></form>",
            "save_mend",
        ),
        (
            "<h1>Add a book</h1><form method=post action=/books><label>Name <input name=a></label><label>Pages"
            "<input type=number name=b></label><select name=c><option>x<option>y</select><button>Save</button></form>",
            "add_a_book",
        ),
        ("<form action=/images/results/><input type=search name=q><button>Search</button></form>", "search_images"),
        (
            "<title>Add site: Site - Desk</title><form method=post action=/sites/new><h2>Site</h2><label>Host "
            "<input name=a></label><input type=number name=b><button>Create</button></form>",
            "add_site",
        ),
        (
            "<title>New: Author - Desk</title><form method=post action=/authors/add/><h2>Name*</h2><label>Name "
            "<input name=a></label><input type=number name=b><button>Save</button></form>",
            "add_author",
        ),
        (
            "<title>Add user: User - Desk</title><form method=post action=/out><button>Log out</button></form>"
            "<form method=post action=/users><h2>User</h2><input name=username><input type=email name=email>"
            "<input type=password name=p1><input type=password name=p2><button>Create</button></form>",
            "add_user",
        ),
    ],
)
def test_names_are_words_of_the_page(html: str, name: str) -> None:
    """A heading that is only a field's is none of the form; nobody who is signed in registers."""
    assert name in {tool.name for tool in find_tools(site_of(start=html))}


def test_the_same_form_on_many_pages_is_one_tool() -> None:
    """Also where it leads to the page itself, as sign-in boxes do."""
    box = "<form method=post><input name=user><input type=password name=pw><button>Log in</button></form>"
    tools = find_tools(site_of(start=SEARCH + box, a=SEARCH + box, b=SEARCH + box))
    assert ["search_books", "log_in"] == [tool.name for tool in tools]
    assert any("3 pages" in line for line in tools[0].evidence)


LIST = "<form id=find><input type=search name=q><button>Search</button></form>"
ROWS = (
    "<form id=rows method=post><select name=action><option value=''>--<option value=drop>Delete selected</select>"
    "{rows}<button>Go</button></form>"
)
ROW = "<input type=checkbox name=row value=7 aria-label=First><input type=checkbox name=row value=8 aria-label=Other>"


def test_a_form_of_some_pages_that_leads_back_to_them_is_a_tool_for_each() -> None:
    """Searching the authors is not searching the books; what else a list was asked for is no part of either."""
    asked = LIST.replace("<button", "<input type=hidden name=genre value=play><button")
    pages = {"books?genre=play": asked, "books": LIST, "authors": LIST, "a": "", "b": "", "c": ""}
    tools = find_tools(site_of(start="", **pages))
    assert {"search_books": "/books", "search_authors": "/authors"} == {
        tool.name: tool.found_on.removeprefix(ORIGIN) for tool in tools
    }


def test_a_list_that_has_no_rows_just_now_is_the_same_list() -> None:
    """Its form can do less; what may delete is marked, whatever is chosen in the end."""
    tools = find_tools(
        site_of(start="", a="", b="", c="", books=ROWS.format(rows=ROW), **{"books?genre=play": ROWS.format(rows="")})
    )
    (rows,) = tools
    assert "Delete selected" == rows.title
    assert (Effect.DESTROY, {"action", "row"}) == (rows.effect, set(rows.input_schema["properties"]))
    assert f"{ORIGIN}/books" == call_of(rows).url


def test_forms_that_differ_are_tools_with_names_of_their_own() -> None:
    other = SEARCH.replace("/find", "/find-more").replace("name=q", "name=w")
    assert ["search_books", "search_books_2"] == [tool.name for tool in find_tools(site_of(start=SEARCH + other))]


def test_fields_are_all_that_the_form_sends_in_the_order_of_the_document() -> None:
    """What the caller sets, what stays as it is, what is read anew, and the button in its place."""
    tool = only(
        "<form method=post action=/echo><input type=hidden name=csrf_token value=8d1f><input name=a value=x dirname=d>"
        "<input type=radio name=r value=1 checked><input type=radio name=r value=2><button name=go value=1>Go</button>"
        "<select name=m multiple><option selected>p<option selected>q<option disabled>z</select><select name=s><option "
        "value='' disabled>pick<option>u</select><input name=off disabled><input name=fixed readonly value=f>"
        "<input type=password name=pw value=secret><input type=reset><textarea name=t>text</textarea></form>"
    )
    fields = {f"{field.name}{field.value}": field for field in call_of(tool).fields}
    order = ["csrf_token", "ax", "r1", "r2", "go1", "m", "su", "off", "fixedf", "pw", "ttext"]
    assert order == list(fields)
    assert fields["csrf_token"].is_token
    assert ("a", "d") == (fields["ax"].input, fields["ax"].dirname)
    assert [True, False] == [fields["r1"].is_checked, fields["r2"].is_checked]
    assert (("p", "q"), ("p", "q")) == (fields["m"].chosen, fields["m"].options)
    assert ["", "", "", "", ""] == [fields[name].input for name in ("csrf_token", "go1", "off", "fixedf")] + [""]
    assert fields["off"].is_disabled
    assert ("go", "1", True) == (call_of(tool).submit_name, call_of(tool).submit_value, call_of(tool).needs_page)
    assert {"a", "r", "m", "s", "pw", "t"} == set(tool.input_schema["properties"])


@pytest.mark.parametrize(
    ("html", "is_token"),
    [
        ("name=authenticity_token value=x", True),
        ("name=form_build_id value=form-Xk2Lr8_QzP0vN5dW3mJ7aT1bY9cE4uH6", True),
        ("name=lang value=en", False),
        ("name=next value=/account/settings/profile/notifications", False),
        ("name=when value=2024-06-01T00:00:00", False),
        ("name=id value=1234567890123456789012", False),
    ],
)
def test_hidden_values_that_change_with_each_load_are_read_anew_and_not_kept(html: str, is_token: bool) -> None:
    tool = only(f"<form method=post action=/x><input type=hidden {html}><input name=a><button>Save it</button></form>")
    hidden = call_of(tool).fields[0]
    assert (is_token, is_token) == (hidden.is_token, not hidden.value)


def test_a_token_that_the_head_holds_too_is_read_anew() -> None:
    html = "<meta name=csrf-param content=t><meta name=csrf-token content='ab&amp;cdefgh'><form method=post action=/x>"
    tool = only(f"{html}<input type=hidden name=t value='ab&amp;cdefgh'><input name=a><button>Save it</button></form>")
    assert call_of(tool).fields[0].is_token


def test_the_charset_that_a_form_accepts_is_the_one_it_is_sent_in() -> None:
    tool = only(SEARCH.replace("<form", "<form accept-charset='windows-1251 utf-8'"))
    assert "windows-1251" == call_of(tool).charset


def test_each_button_that_does_something_else_is_a_tool() -> None:
    """By what it sends, where and how; a second button that sends the same is none."""
    tools = find_tools(
        site_of(
            start="<h1>Edit page</h1><form method=post action=/page><input name=title><button name=do value=save>Save"
            "</button><button name=do value=save>Save</button><button name=do value=publish>Publish</button><button "
            "formaction=/preview formmethod=get>Preview</button><button formmethod=dialog>Close</button><button "
            "name=do value=delete>Delete</button><button type=button>Nothing</button></form>"
        )
    )
    calls = [call_of(tool) for tool in tools]
    assert ["save", "publish", "", "delete"] == [call.submit_value for call in calls]
    assert ["POST", "POST", "GET", "POST"] == [call.method for call in calls]
    assert f"{ORIGIN}/preview" == calls[2].url
    assert ["edit_page", "edit_page_publish", "edit_page_preview", "edit_page_delete"] == [tool.name for tool in tools]
    assert [Effect.DESTROY] == [tool.effect for tool in tools if tool.name.endswith("delete")]


def test_hidden_method_overrides_count() -> None:
    tool = only(
        "<form method=post action=/things/1><input type=hidden name=_method value=delete><input name=why>"
        "<button>Go</button></form>"
    )
    assert (Effect.DESTROY, "POST") == (tool.effect, call_of(tool).method)


@pytest.mark.parametrize(
    "html",
    [
        "<form method=dialog><input name=a><button>OK</button></form>",
        "<form action='mailto:a@example.org'><input name=a></form>",
        "<form action='javascript:go()'><input name=a></form>",
        "<form><input type=hidden name=csrfmiddlewaretoken value=x><input type=checkbox aria-label=All></form>",
        "<form action=/next><button>Next</button></form>",
        "<p>nothing</p>",
    ],
)
def test_what_sends_nothing_is_no_tool(html: str) -> None:
    assert [] == find_tools(site_of(start=html))


def test_forms_beside_items_are_one_tool_that_asks_for_the_item() -> None:
    reserve = library()["reserve"]
    item = reserve.input_schema["properties"]["item"]
    assert ["811", "812"] == item["examples"]
    assert "811 (The Salt Road)" in item["description"]
    assert ["item"] == reserve.input_schema["required"]
    by_name = {field.name: field for field in call_of(reserve).fields}
    assert ("item", True) == (by_name["item"].input, by_name["csrf"].is_token)
    assert ({"item": "811"},) == reserve.examples


def test_traps_for_robots_are_left_as_they_are() -> None:
    html = "<form method=post action=/c><input name=name><div hidden><input name=website></div>"
    tool = only(f"{html}<textarea name=m></textarea></form>")
    assert {"name", "m"} == set(tool.input_schema["properties"])
    assert ["name", "website", "m"] == [field.name for field in call_of(tool).fields]


def test_a_library_offers_what_a_visitor_would_ask_for() -> None:
    tools = library()
    assert {"search_catalogue", "reserve", "become_a_member", "log_in", "opening_hours"} == set(tools)
    assert {"kind", "q"} == set(tools["search_catalogue"].input_schema["properties"])
    for tool in tools.values():
        Draft202012Validator.check_schema(tool.input_schema)
        for example in tool.examples:
            Draft202012Validator(tool.input_schema).validate(example)
        assert Tool.model_validate_json(tool.model_dump_json()) == tool


def test_examples_hold_what_the_page_suggests_and_nothing_made_up() -> None:
    filled = only("<form><select name=s><option>a<option>b</select><input name=t value=v></form>")
    assert ({}, {"s": "b"}) == filled.examples
    assert () == only("<form method=post action=/x><input name=must required><button>Send it</button></form>").examples


def test_words_of_navigation_are_not_searched_for() -> None:
    nav = "<nav><a href=/c>Contact sales</a></nav><footer><a href=/p>Imprint</a></footer>"
    tool = only(f"{nav}{SEARCH}<a href=/b>Winter gardening</a>")
    assert [{"q": "gardening"}, {"q": "winter"}] == list(tool.examples)


def box(**attributes: Any) -> Control:
    return Control(**({"type": "text", "id": "box"} | attributes))


GO = Control(type="button", caption="Search")


@pytest.mark.parametrize(
    ("controls", "act"),
    [
        ((box(type="search"),), "key"),
        ((box(is_in_search=True), GO), "click"),
        ((box(role="searchbox"),), "key"),
        ((box(placeholder="Search books"), GO), "click"),
    ],
)
def test_search_boxes_without_a_form_are_steps(controls: tuple[Control, ...], act: str) -> None:
    page = Page(url=f"{ORIGIN}/", base_url=ORIGIN, title="Shop", loose=controls)
    selectors = tuple((f"#c{at}",) for at, _ in enumerate(controls))
    (tool,) = find_tools(Site(ORIGIN, (Snapshot(page, "", loose_selectors=selectors),) * 2, no_fetch))
    assert isinstance(tool.call, StepsCall)
    assert ["navigate", "input", act, "extract"] == [step.act for step in tool.call.steps]
    assert ("{query}", ("#c0",)) == (tool.call.steps[1].text, tool.call.steps[1].selectors)
    assert (Source.STEPS, Effect.READ, ["query"]) == (tool.source, tool.effect, tool.input_schema["required"])


@pytest.mark.parametrize(
    "controls",
    [
        (box(),),
        (box(), GO),
        (box(placeholder="Search books"),),
        (box(type="search", is_visible=False),),
        (box(type="search", is_disabled=True),),
        (box(type="checkbox", is_in_search=True),),
    ],
)
def test_loose_fields_that_may_be_anything_are_no_tool(controls: tuple[Control, ...]) -> None:
    page = Page(url=f"{ORIGIN}/", base_url=ORIGIN, loose=controls)
    snapshot = Snapshot(page, "", loose_selectors=tuple((f"#c{at}",) for at, _ in enumerate(controls)))
    assert [] == find_tools(Site(ORIGIN, (snapshot,), no_fetch))

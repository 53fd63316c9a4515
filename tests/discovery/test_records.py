"""Repeated records of pages and of JSON: found, named and bounded, the same each time."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.discovery.engine.answers import Answer, decode
from tasks.discovery.engine.json_records import find_json_records
from tasks.discovery.engine.output_schema import schema_of_page, schema_of_records, schema_of_values
from tasks.discovery.engine.outputs import read_value
from tasks.discovery.engine.records import MAX_RECORDS, find_records

URL = "https://example.org/list/?q=1"
DATA = Path(__file__).parents[3] / "shared" / "data" / "pagination"
ENTRIES = "".join(f"<li><a href=/n{n}>A long entry of the menu, number {n}</a></li>" for n in range(9))
NAV = f"<nav><ul>{ENTRIES}</ul></nav>"


def test_rows_of_a_table_are_named_by_its_headers() -> None:
    """Links are absolute; a box to select the row with is no field; a footer is no record."""
    html = """<table><thead><tr><th><input type=checkbox></th><th>Full name</th>
    <th>E-mail (work)</th><th></th></tr></thead>
    <tbody><tr><td><input type=checkbox></td><th class=field-name><a href=1/>Ada</a></th><td>a@x.org</td>
    <td class=act>go</td></tr>
    <tr><td><input type=checkbox></td><th><a href=2/>Bo</a></th><td></td><td>go</td></tr></tbody>
    <tfoot><tr><td></td><td>2 people</td><td></td><td></td></tr></tfoot></table>"""
    assert [
        {"full_name": "Ada", "full_name_url": "https://example.org/list/1/", "e_mail_work": "a@x.org", "act": "go"},
        {"full_name": "Bo", "full_name_url": "https://example.org/list/2/", "e_mail_work": "", "act": "go"},
    ] == find_records(NAV + html, url=URL)


KEPT_BACK = (
    "<template>{}</template>",
    "<div hidden>{}</div>",
    "<dialog>{}</dialog>",
    "<noscript>{}</noscript>",
)


@pytest.mark.parametrize("around", KEPT_BACK)
def test_what_a_page_keeps_out_of_sight_is_no_record_of_it(around: str) -> None:
    """A table of keyboard shortcuts that waits in a template says more than the two posts that are shown."""
    keys = "".join(f"<tr><td>Section number {n}</td><td>Ctrl + {n}, then something long</td></tr>" for n in range(21))
    shortcuts = around.format(f"<table><tr><th>What</th><th>Keys</th></tr>{keys}</table>")
    posts = "<ul><li><a href=/1>First post</a></li><li><a href=/2>Second post</a></li></ul>"
    html = f"{shortcuts}<main>{posts}</main>"
    assert ["First post", "Second post"] == [one["title"] for one in find_records(html, url=URL)]
    answer = Answer(200, URL, "text/html", f"<main>{posts}{shortcuts}</main>")
    value, _ = read_value(answer)
    assert "First post Second post" == value["text"]


@pytest.mark.parametrize("around", ["<dialog open>{}</dialog>", "<div hidden=until-found>{}</div>"])
def test_what_is_shown_or_can_be_found_counts(around: str) -> None:
    """An open dialog, and what a search in the page would open."""
    html = around.format("<ul><li><a href=/1>First post</a></li><li><a href=/2>Second post</a></li></ul>")
    assert 2 == len(find_records(html, url=URL))


def test_a_table_of_one_row_is_a_record_where_its_columns_have_names() -> None:
    """A list may have a single entry today; without names it may be anything."""
    row = "<tr><td>shop.example</td><td>443</td></tr>"
    named = f"<table><tr><th>Host</th><th>Port</th></tr>{row}</table>"
    assert [{"host": "shop.example", "port": "443"}] == find_records(named, url=URL)
    assert [] == find_records(f"<table>{row}</table>", url=URL)


def test_a_table_without_headers_has_numbered_columns() -> None:
    """Header cells in the first row count as headers, too."""
    rows = "<tr><td>a</td><td>1</td></tr><tr><td>b</td><td>2</td></tr>"
    expected = [{"column_1": "a", "column_2": "1"}, {"column_1": "b", "column_2": "2"}]
    assert expected == find_records(f"<table>{rows}</table>", url=URL)
    named = find_records(f"<table><tr><th>L</th><th>N</th></tr>{rows}</table>", url=URL)
    assert [{"l": "a", "n": "1"}, {"l": "b", "n": "2"}] == named


def test_siblings_built_alike_are_records_named_by_their_classes() -> None:
    """States, positions and looks are not kinds; what repeats within a record is a list."""
    card = """<article class="card {state}" data-id={n}><a href="/p/{n}"><img src="{n}.png" alt=""></a>
    <h3 class="text-lg"><a href="/p/{n}">Thing {n}</a></h3><p class="mt-2 price">{n}0 EUR</p>
    <time datetime=2026-11-0{n}>yesterday</time><span class=tag>red</span>{more}<button>Buy</button></article>"""
    cards = [card.format(n=1, state="first", more=""), card.format(n=2, state="odd", more="<span class=tag>big</span>")]
    first, second = find_records(NAV + f"<main><div>{''.join(cards)}</div></main>", url=URL)
    assert {
        "image": "https://example.org/list/1.png",
        "title": "Thing 1",
        "url": "https://example.org/p/1",
        "price": "10 EUR",
        "time": "yesterday",
        "time_at": "2026-11-01",
        "tag": ["red"],
    } == first
    assert ("Thing 2", ["red", "big"]) == (second["title"], second["tag"])


def test_itemprop_and_definitions_name_fields() -> None:
    """What the page says for machines wins over how it looks."""
    item = "<li><span itemprop='name' class=x>A{n}</span><div itemprop=price>{n}</div></li>"
    html = "<ol>" + "".join(item.format(n=n) for n in (1, 2)) + "</ol>"
    assert [{"name": "A1", "price": "1"}, {"name": "A2", "price": "2"}] == find_records(html, url=URL)
    html = "<dl><dt>One</dt><dd>First <a href=/1>more</a></dd><dt>Two</dt><dd>Second</dd></dl>"
    assert [
        {"term": "One", "description": "First more", "url": "https://example.org/1"},
        {"term": "Two", "description": "Second"},
    ] == find_records(html, url=URL)


@pytest.mark.parametrize("html", ["", "<p>One text.", "<p>a<p>b", NAV, "<table></table>"])
def test_what_does_not_repeat_is_no_record(html: str) -> None:
    """Nor is a menu, be it all that there is: a search that found nothing has no items, whatever leads away from it."""
    assert [] == find_records(html, url=URL)


def test_rows_that_are_ticked_in_a_form_win_over_what_filters_them() -> None:
    """A single row, too; a long list to choose from beside it is no record."""
    row = "<tr><td><input type=checkbox name=x></td><td>Emma</td><td>1815</td></tr>"
    rows = f"<form method=post><table><tr><th></th><th>Title</th><th>Year</th></tr>{row}</table></form>"
    authors = "".join(f"<li><a href='?author={n}'>An author of many books, number {n}</a></li>" for n in range(42))
    page = f"{rows}<nav><ul>{authors}</ul></nav>"
    assert [{"title": "Emma", "year": "1815"}] == find_records(page, url=URL)


def test_the_frame_of_the_page_never_hides_its_subject() -> None:
    """Two short results win over nine long entries of the menu."""
    html = NAV + "<div id=results><div class=hit>One</div><div class=hit>Two</div></div>" + NAV
    assert [{"text": "One"}, {"text": "Two"}] == find_records(html, url=URL)


def test_records_are_bounded_and_large_pages_end() -> None:
    """In number and in size."""
    html = "<ul>" + "".join(f"<li><b class=name>{n}</b><p>{'x' * 5000}" for n in range(MAX_RECORDS + 50)) + "</ul>"
    records = find_records(html, url=URL)
    assert MAX_RECORDS == len(records)
    assert all(len(value) <= 2000 for record in records for value in record.values())
    deep = "<div>" * 5000 + "x" + "</div>" * 5000
    assert [] == find_records(deep, url=URL)


@pytest.mark.skipif(not DATA.exists(), reason="needs the pages of ../shared/data")
def test_real_pages_of_lists_give_records() -> None:
    """Development pages: nine of ten paginated pages have at least two records, and reading twice gives the same."""
    counts = []
    for name in sorted((DATA / "html").glob("*.html.gz"))[:60]:
        html = decode(gzip.decompress(name.read_bytes()), "text/html")
        records = find_records(html, url=URL)
        assert records == find_records(html, url=URL)
        counts.append(len(records))
    assert sum(count >= 2 for count in counts) >= 0.9 * len(counts)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ({"count": 1, "results": [{"a": 1}]}, [{"a": 1}]),
        ({"data": {"items": [{"a": 1}], "few": []}, "tags": ["x"]}, [{"a": 1}]),
        ({"short": [{"s": 1}], "long": [{"l": 1}, {"l": 2}]}, [{"l": 1}, {"l": 2}]),
        ({"columns": ["id", "n"], "rows": [[1, "x"], [2, "y"]]}, [{"id": 1, "n": "x"}, {"id": 2, "n": "y"}]),
        ({"data": {"repos": {"edges": [{"node": {"id": 1}}, {"node": {"id": 2}}]}}}, [{"id": 1}, {"id": 2}]),
        ({"a": 1}, []),
        ([1, 2], []),
        ("text", []),
    ],
)
def test_records_of_json(value: Any, expected: list[dict[str, Any]]) -> None:
    """The array of objects at the shallowest level; tables and GraphQL's edges become objects."""
    assert expected == find_json_records(value)


def test_a_list_of_thousands_is_cut_and_deep_nesting_is_not_searched() -> None:
    """Both ends are bounded."""
    assert 500 == len(find_json_records([{"n": n} for n in range(9000)]))
    deep: Any = [{"n": 1}]
    for _ in range(20):
        deep = {"in": deep}
    assert [] == find_json_records(deep)


def test_schema_of_records_fits_them_and_what_comes_later() -> None:
    """Types are merged; what few samples have is not required, what many have is."""
    few = [{"id": 1, "n": 1.5}, {"id": 2, "n": 2, "extra": None}]
    schema = schema_of_records(few)
    assert ({"integer", "number"}, False) == (
        {schema["properties"]["id"]["type"], schema["properties"]["n"]["type"]},
        "required" in schema,
    )
    assert ["id"] == schema_of_records([{"id": n} for n in range(5)])["required"]
    Draft202012Validator(schema_of_values([{"items": few}])).validate({"items": [{"id": 3}]})
    Draft202012Validator.check_schema(schema_of_page([]))
    _, items = read_value(Answer(200, URL, "text/html", "<ul><li>a</li><li>b</li></ul>"))
    value, _ = read_value(Answer(200, URL, "text/html", "<p>none</p>"))
    Draft202012Validator(schema_of_page(items)).validate(value)


def test_values_are_typed_by_what_came() -> None:
    """JSON even under a wrong label; text as text; a page as title, text and items."""
    assert ({"a": [1]}, []) == read_value(Answer(200, URL, "text/plain", '{"a": [1]}'))
    assert ({"text": "{no", "url": URL}, []) == read_value(Answer(200, URL, "application/json", "{no"))
    value, items = read_value(Answer(200, URL, "text/html", f"<title> T </title>{NAV}<main><p>Main  text</p></main>"))
    assert ("T", "Main text", value["items"]) == (value["title"], value["text"], items)


def test_cells_of_a_grid_are_records_across_its_rows() -> None:
    """A row that holds three things is no record of its own."""
    cell = "<div class=cell><h3>Thing {n}</h3><p class=price>{n} EUR</p></div>"
    rows = ["".join(cell.format(n=3 * row + at) for at in range(3)) for row in range(2)]
    html = "".join(f"<div class=row>{row}</div>" for row in rows)
    assert [f"Thing {n}" for n in range(6)] == [record["title"] for record in find_records(html, url=URL)]

"""Pages that are built to keep discovery busy: what is the same for many elements is read once, and what is read ends.

Where nothing else tells, pages are so large that it was minutes where time grew with their square.
"""

import re

import pytest

from tasks.discovery.engine import html_control, record_fields, shown
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.labels import MAX_TEXT_CHARS
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.records import Record, find_records

URL = "https://example.org/"
WORDS = "word " * 60_000
MANY = 4000


def page_of(html: str) -> Page:
    return read_page(html, url=URL)


def records_of(html: str) -> list[Record]:
    return find_records(html, url=URL)


def test_what_many_refer_to_is_read_once_and_no_further_than_a_label_goes() -> None:
    """One element that refers to another ten thousand times; ten thousand that stand in what refers to it."""
    label = WORDS[:MAX_TEXT_CHARS].rstrip()
    link = page_of(f'<p id=a>{WORDS}</p><a href=/x aria-labelledby="{"a " * MANY}">x</a>').links[0]
    assert label == link.label
    links = page_of(f"<p id=a>{WORDS}</p><div aria-labelledby=a>{'<a href=/x>x</a>' * MANY}</div>").links
    assert (MANY, {label}) == (len(links), {link.ancestors[0].label for link in links})
    controls = (
        page_of(f"<form><fieldset><legend>{WORDS}</legend>{'<input>' * MANY}</fieldset></form>").forms[0].controls
    )
    assert (MANY, {label}) == (len(controls), {control.legend for control in controls})


def test_what_stands_around_many_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes of a hundred thousand characters around thousands of links, inputs and lists."""
    long = "x:y " * 25_000
    page = page_of(f'<div class="{long}">{"<a href=/x>x</a>" * MANY}</div>')
    assert (MANY, 1) == (len(page.links), len({id(link.ancestors[0]) for link in page.links}))
    style, words = Searches(html_control._HIDING_STYLE), Searches(shown._FRAME_WORDS)
    monkeypatch.setattr(html_control, "_HIDING_STYLE", style)
    page_of(f'<div style="{long}">{"<input>" * MANY}</div>')
    assert len(long) == style.chars
    monkeypatch.setattr(shown, "_FRAME_WORDS", words)
    assert records_of(f'<main><div class="{long}">{"<ul><li>a<li>b</ul>" * 100}</div></main>')
    assert len(long) <= words.chars < 2 * len(long)


class Searches:
    """An expression that counts the characters it searches."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.chars = 0

    def search(self, text: str) -> re.Match[str] | None:
        self.chars += len(text)
        return self._pattern.search(text)


def test_choices_of_a_list_are_read_once() -> None:
    """Thousands of inputs offer the same thousand."""
    page = page_of(f"<datalist id=l>{'<option>a' * 1000}</datalist>{'<input list=l>' * MANY}")
    assert (1000, 1) == (len(page.loose[0].options), len({id(control.options) for control in page.loose}))


def test_controls_behind_a_form_that_ended_early_are_its_own_until_one_can_be_seen() -> None:
    """However many hidden ones there are."""
    page = page_of(f"<div><form><b></b></div>{'<input type=hidden>' * MANY}<input name=q><input name=other></form>")
    assert (MANY + 1, ["other"]) == (len(page.forms[0].controls), [control.name for control in page.loose])


def test_columns_are_named_apart_however_many_there_are() -> None:
    """Thousands of the same name, and as many without one."""
    width = 4000
    row = "<td>x" * width
    records = records_of(f"<table><tr>{'<th>a' * width}<tr>{row}<tr>{row}</table>")
    assert ["a", "a_2", f"a_{width}"] == [list(records[0])[at] for at in (0, 1, -1)]
    assert f"column_{width}" in records_of(f"<table><tr>{row}<tr>{row}</table>")[0]


def test_page_that_holds_lists_within_lists_is_read_as_far_as_is_reasonable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a hundred nested groups has all that is inside the inner ones; the list before them is found."""
    wanted = "".join(f"<li><h2>Title {number}</h2><p>Text of number {number}.</p></li>" for number in range(9))
    nested = "<div class=a>x</div><div class=a>" * 100 + "<p>x</p><b>y</b>" * 50
    monkeypatch.setattr(record_fields, "MAX_LOOKS", 3000)
    found = records_of(f"<main><ul>{wanted}</ul>{nested}</main>")
    assert [f"Title {number}" for number in range(9)] == [record["title"] for record in found]


def test_labels_within_labels_are_no_endless_text() -> None:
    """Each holds all that the inner ones hold; none is read further than a label goes."""
    control = page_of("<label>" * 200 + "<b>x</b>" * MANY + "<input>").loose[0]
    assert {"x"} == set(control.label.split())

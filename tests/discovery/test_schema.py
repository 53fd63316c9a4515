"""The JSON Schema of a form: what browsers would send passes, what they would refuse does not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Control, Form, Option
from tasks.discovery.engine.schema import DIALECT, Schema, describe, fillable, input_schema, property_schema, tool_name

URL = "https://example.org/"


def form(body: str) -> Form:
    return read_page(f"<form id=f>{body}</form>", url=URL).forms[0]


def schema_of(body: str) -> Schema:
    """Return the schema of the only property of a form."""
    schema = input_schema(form(body))
    Draft202012Validator.check_schema(schema)
    (found,) = schema["properties"].values()
    return dict(found)


def accepts(schema: Schema, value: object) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<input name=a>", {"type": "string"}),
        ("<input name=a type=search>", {"type": "string"}),
        ("<input name=a type=email>", {"type": "string", "format": "email"}),
        ("<input name=a type=url>", {"type": "string", "format": "uri"}),
        ("<input name=a type=password value=x>", {"type": "string", "format": "password", "writeOnly": True}),
        (
            "<input name=a type=date min=2024-01-01>",
            {"type": "string", "format": "date", "formatMinimum": "2024-01-01"},
        ),
        ("<input name=a type=email multiple>", {"type": "array", "items": {"type": "string", "format": "email"}}),
        ("<input name=a minlength=2 maxlength=5>", {"type": "string", "maxLength": 5, "minLength": 2}),
        ("<input name=a minlength=5 maxlength=2>", {"type": "string", "minLength": 5}),
        ("<input name=a pattern='[a-z]+'>", {"type": "string", "pattern": "^(?:[a-z]+)$"}),
        ("<input name=a value=v>", {"type": "string", "default": "v"}),
        ("<textarea name=a pattern=x>hello</textarea>", {"type": "string", "default": "hello"}),
        ("<input name=a type=number>", {"type": "integer"}),
        ("<input name=a type=number step=any min=.5>", {"type": "number", "minimum": 0.5}),
        ("<input name=a type=number step=0.5>", {"type": "number", "multipleOf": 0.5}),
        ("<input name=a type=number step=5 min=1>", {"type": "integer", "minimum": 1}),
        (
            "<input name=a type=number step=5 min=10 value=15>",
            {"type": "integer", "minimum": 10, "multipleOf": 5, "default": 15},
        ),
        ("<input name=a type=number min=x max=1e2 step=-1>", {"type": "integer", "maximum": 100}),
        ("<input name=a type=number min=10 max=1>", {"type": "integer", "minimum": 10, "maximum": 1}),
        ("<input name=a type=range min=10 max=1>", {"type": "integer", "minimum": 10}),
        ("<input name=a type=range>", {"type": "integer", "minimum": 0, "maximum": 100}),
        ("<input name=a type=checkbox>", {"type": "boolean", "default": False}),
        ("<input name=a type=checkbox checked>", {"type": "boolean", "default": True}),
        ("<input name=a type=checkbox required>", {"type": "boolean", "const": True}),
        ("<select name=a></select>", {"type": "string"}),
    ],
)
def test_controls_become_types(html: str, expected: Schema) -> None:
    assert expected == schema_of(html)


def test_choices_carry_the_words_that_a_person_reads() -> None:
    found = schema_of(
        "<select name=a><option value=1>One<option value=2 selected>Two<option value=3 disabled>No</select>"
    )
    titled = [{"const": "1", "title": "One"}, {"const": "2", "title": "Two"}]
    assert {"type": "string", "enum": ["1", "2"], "oneOf": titled, "default": "2"} == found


def test_the_prompt_of_a_required_select_is_no_choice() -> None:
    options = "<option value=''>Pick one<option value=1>One"
    assert ["1"] == schema_of(f"<select name=a required>{options}</select>")["enum"]
    assert ["", "1"] == schema_of(f"<select name=a>{options}</select>")["enum"]


def test_several_of_one_name_become_arrays() -> None:
    boxes = schema_of(
        "<fieldset><legend>Toppings</legend><label><input type=checkbox name=t value=a>Ham</label>"
        "<label><input type=checkbox name=t value=b checked>Egg</label></fieldset>"
    )
    assert ("array", True, ["b"], "Toppings") == (
        boxes["type"],
        boxes["uniqueItems"],
        boxes["default"],
        boxes["description"],
    )
    assert [{"const": "a", "title": "Ham"}, {"const": "b", "title": "Egg"}] == boxes["items"]["oneOf"]
    many = schema_of("<select name=m multiple required><option selected>x<option>y</select>")
    assert ("array", ["x", "y"], 1, ["x"]) == (many["type"], many["items"]["enum"], many["minItems"], many["default"])
    texts = schema_of("<input name=t value=1><input name=t>")
    assert {"type": "array", "items": {"type": "string"}, "maxItems": 2} == texts


def test_radio_buttons_are_one_choice() -> None:
    found = schema_of(
        "<fieldset><legend>Size</legend><input type=radio name=s value=s required>small<br>"
        "<input type=radio name=s value=m checked><b>medium</b></fieldset>"
    )
    assert (["s", "m"], "m", "Size") == (found["enum"], found["default"], found["description"])
    assert ["small", "medium"] == [one["title"] for one in found["oneOf"]]


def test_files_are_marked() -> None:
    one = schema_of("<input type=file name=a accept='image/*,.pdf'>")
    assert ("base64", "binary", "image/*,.pdf") == (one["contentEncoding"], one["format"], one["x-accept"])
    many = schema_of("<input type=file name=a multiple accept=text/plain>")
    assert ("array", "text/plain") == (many["type"], many["items"]["contentMediaType"])


def test_suggestions_are_examples_and_bind_nobody() -> None:
    found = schema_of("<input name=a list=l><datalist id=l><option value=x><option value=y></datalist>")
    assert ["x", "y"] == found["examples"]
    assert accepts(found, "z")


@pytest.mark.parametrize(
    "html",
    [
        "<input>",
        "<input type=hidden name=a value=1>",
        "<input name=a disabled>",
        "<input name=a readonly>",
        "<button name=a>x</button>",
        "<input type=submit name=a>",
        "<input type=image name=a>",
        "<input name=csrf_token>",
        "<input name=authenticity_token>",
        "<input name=__RequestVerificationToken>",
        "<input name=_wpnonce_nonce>",
        "<fieldset disabled><input name=a></fieldset>",
    ],
)
def test_what_nobody_may_set_is_left_out(html: str) -> None:
    assert {} == fillable(form(html))
    assert {} == input_schema(form(html))["properties"]


def test_the_whole_schema_names_its_dialect_and_what_is_required() -> None:
    radios = "<input type=radio name=c value=1><input type=radio name=c value=2 required>"
    found = input_schema(form(f"<input name=a required><input name=b>{radios}"))
    assert (DIALECT, "object", False) == (found["$schema"], found["type"], found["additionalProperties"])
    assert ["a", "c"] == found["required"]
    assert accepts(found, {"a": "x", "c": "1"})
    assert not accepts(found, {"a": "", "c": "1"})
    assert not accepts(found, {"a": "x", "c": "1", "d": 1})
    assert not accepts(found, {"a": "x", "c": "3"})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("color", ["#ff00AA"], ["red", "#ff00a"]),
        ("month", ["2024-12"], ["2024-13", "24-01"]),
        ("week", ["2024-W53"], ["2024-W54", "2024-53"]),
        ("time", ["23:59", "00:00:01.5"], ["24:00", "9:00"]),
        ("datetime-local", ["2024-02-03T10:00"], ["2024-02-03", "2024-02-32T10:00"]),
    ],
)
def test_times_and_colours_have_the_form_that_browsers_send(kind: str, good: list[str], bad: list[str]) -> None:
    schema = schema_of(f"<input name=a type={kind}>")
    assert [True] * len(good) == [accepts(schema, value) for value in good]
    assert [False] * len(bad) == [accepts(schema, value) for value in bad]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<label>Your name: <input name=a placeholder='e.g. Jo'></label>", "Your name. e.g. Jo"),
        ("<input name=a placeholder=Name title=name>", "name"),
        ("<input name=a aria-description='Four digits' aria-label=PIN>", "PIN. Four digits"),
        ("<label>L <input name=a toolparamdescription='Said to programs'></label>", "Said to programs. L"),
        ("User <input name=a>", "User"),
        ("<input type=checkbox name=a> Keep me signed in", "Keep me signed in"),
        ("<input name=a>", ""),
    ],
)
def test_descriptions_come_from_what_the_page_says(html: str, expected: str) -> None:
    (found,) = form(html).controls
    assert expected == describe(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Search the Shop!", "search_the_shop"),
        ("  Über uns -- 2 ", "uber_uns_--_2"),
        ("検索", "search"),
        ("", "search"),
        ("a" * 300, "a" * 100),
    ],
)
def test_tool_names_keep_to_their_alphabet(text: str, expected: str) -> None:
    assert expected == tool_name(text, fallback="search")


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_text_gives_a_tool_name(text: str, fallback: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", tool_name(text, fallback=fallback))


NAMES = st.sampled_from(["a", "b", "c[]", "d.e"])
WORDS = st.text(alphabet="abc <>\"'é漢-1", max_size=8)


@st.composite
def number_inputs(draw: st.DrawFn) -> tuple[Control, int]:
    """Draw a number input and a value that its rules allow."""
    least, steps, step = draw(st.integers(-50, 50)), draw(st.integers(0, 20)), draw(st.integers(1, 9))
    at = draw(st.integers(0, steps))
    control = Control(type="number", name="n", min=str(least), max=str(least + steps * step), step=str(step))
    return control, least + at * step


@given(number_inputs())
def test_every_number_that_a_browser_allows_is_accepted(drawn: tuple[Control, int]) -> None:
    control, value = drawn
    schema = property_schema((control,))
    assert accepts(schema, value)
    assert not accepts(schema, int(control.min) - 1)
    assert not accepts(schema, int(control.max) + 1)


@given(st.lists(st.builds(Option, value=WORDS, label=WORDS, is_selected=st.booleans()), min_size=1, max_size=6))
def test_every_option_is_accepted_and_no_other(options: list[Option]) -> None:
    schema = property_schema((Control(type="select-one", name="s", options=tuple(options)),))
    assert all(accepts(schema, option.value) for option in options)
    assert not accepts(schema, "none of them")
    assert accepts(schema, schema["default"])


@given(st.integers(0, 5), st.integers(0, 8), st.booleans(), st.text(alphabet="xyz", max_size=10))
def test_lengths_are_those_of_the_browser(least: int, more: int, is_required: bool, value: str) -> None:
    control = Control(type="text", name="t", min_length=least, max_length=least + more, is_required=is_required)
    allowed = least <= len(value) <= least + more and not (is_required and not value)
    assert allowed == accepts(property_schema((control,)), value) or least + more == 0


CONTROLS = st.builds(
    Control,
    type=st.sampled_from(
        [
            *("text", "email", "url", "tel", "search", "password", "number", "range", "date", "month", "week", "time"),
            *("datetime-local", "color", "checkbox", "radio", "file", "select-one", "select-multiple", "textarea"),
            *("hidden", "submit"),
        ]
    ),
    name=NAMES,
    value=WORDS,
    options=st.lists(st.builds(Option, value=WORDS, label=WORDS, group=WORDS), max_size=4).map(tuple),
    label=WORDS,
    legend=WORDS,
    placeholder=WORDS,
    pattern=st.sampled_from(["", "[a-z]+", "[(]", "(", r"\d{2}", "[a-z-]"]),
    min=st.sampled_from(["", "0", "-1.5", "x"]),
    max=st.sampled_from(["", "10", "-9", "1e2"]),
    step=st.sampled_from(["", "any", "2", "0.25", "0"]),
    min_length=st.none() | st.integers(0, 5),
    max_length=st.none() | st.integers(0, 5),
    is_required=st.booleans(),
    is_multiple=st.booleans(),
    is_checked=st.booleans(),
)


@settings(max_examples=300)
@given(st.lists(CONTROLS, max_size=6))
def test_any_form_gives_a_valid_schema_whose_defaults_pass(controls: list[Control]) -> None:
    """Whatever a page holds, the schema is one, and sending back its defaults is allowed."""
    schema = input_schema(Form(action=URL, controls=tuple(controls)))
    Draft202012Validator.check_schema(schema)
    assert set(schema.get("required", ())) <= set(schema["properties"])
    for name, one in schema["properties"].items():
        if "default" in one:
            assert accepts(one, one["default"]), (name, one)

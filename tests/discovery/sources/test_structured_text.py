"""JSON and YAML from strangers: read as JSON has it, and never more than it is worth."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.sources.structured_text import MAX_DEPTH, read_json, read_object

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(st.characters(codec="ascii"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_$/", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), JSON_VALUES, min_size=1, max_size=4))
def test_what_is_written_as_yaml_reads_as_the_same_value(value: dict[str, object]) -> None:
    """With quotes where PyYAML puts them; NUL, which cannot be stored, apart."""
    expected = json.loads(json.dumps(value).replace("\\u0000", ""))
    assert expected == read_object(yaml.safe_dump(value))
    assert expected == read_object(json.dumps(value))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes it fail."""
    assert isinstance(read_object(text), dict | None)
    read_json(text)


@given(st.text("-?:[]{},&*!|>'\"%@` \n\tab1", max_size=60))
def test_any_yaml_signs_are_read_or_refused(text: str) -> None:
    """Nor any mixture of YAML's own signs."""
    assert isinstance(read_object(text), dict | None)


def test_plain_scalars_are_those_of_json() -> None:
    """Dates, times and ``no`` stay words, as YAML 1.2 and OpenAPI mean them; status codes become names."""
    text = "a: 2024-01-02\nb: 12:30:45\nc: no\nd: 010\ne: 1.5e3\nf: ~\ng: true\nh: .inf\ni: !!str 12\n200: ok\ntrue: x"
    expected = {"a": "2024-01-02", "b": "12:30:45", "c": "no", "d": "010", "e": 1500.0, "f": None, "g": True}
    assert {**expected, "h": ".inf", "i": "12", "200": "ok", "true": "x"} == read_object(text)


def test_anchors_and_merge_keys_are_followed() -> None:
    """As in many written descriptions."""
    text = "base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\nagain: *base\n"
    assert {"base": {"a": 1, "b": 2}, "other": {"a": 1, "b": 3}, "again": {"a": 1, "b": 2}} == read_object(text)


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    """Nine levels of nine aliases are a billion values."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    assert read_object("\n".join(lines)) is None
    merges = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 10))]
    assert read_object("\n".join(merges)) is None


def test_an_alias_inside_of_what_it_names_is_refused() -> None:
    """No JSON can say it."""
    assert read_object("a: &a [1, *a]") is None


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 100_000, "a:\n " + "- " * 100_000 + "x", '{"a":' + "[" * 100_000, "a: " + "{a: " * 50_000],
)
def test_a_deep_text_is_refused(text: str) -> None:
    """PyYAML's own composer crashes the process on two of these."""
    assert read_object(text) is None


def test_depth_is_bounded_alike_for_json_and_yaml() -> None:
    """A level more than allowed is one too many."""
    for depth, is_read in ((MAX_DEPTH - 2, True), (MAX_DEPTH + 1, False)):
        text = '{"a": ' + "[" * depth + "]" * depth + "}"
        assert is_read == (read_object(text) is not None)
        assert is_read == (read_object("# yaml\n" + text) is not None)


def test_what_cannot_be_stored_is_left_out_of_texts() -> None:
    """NUL and halves of surrogate pairs, which JSON can write."""
    value = read_json(r'["a\u0000b", "\ud83d\ude00", "x\ud800y"]')
    assert "ab" == value[0]
    assert "\U0001f600" == value[1]
    "".join(value).encode("utf-8")

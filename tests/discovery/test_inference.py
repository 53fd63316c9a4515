"""Schemas from values: an independent judge finds that every value fits its own schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tasks.discovery.engine.inference import infer_schema, read_json, shape_of, text_schema

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_every_value_fits_the_schema_made_of_it(values: list[Any]) -> None:
    schema = infer_schema(values)
    Draft202012Validator.check_schema(schema)
    for value in values:
        Draft202012Validator(schema).validate(value)


def test_a_member_is_required_only_at_the_root_and_where_values_agree() -> None:
    one = {"items": [{"id": 1}], "next": None}
    assert "required" not in infer_schema([one])
    schema = infer_schema([one, {"items": [{"id": 2}]}])
    assert ["items"] == schema["required"]
    assert "required" not in schema["properties"]["items"]["items"]


def test_maps_and_depths_are_not_spelled_out() -> None:
    """A map of ids, and a value nested without end, stay small."""
    deep: Any = 1
    for _ in range(500):
        deep = {"a": deep}
    schema = infer_schema([{"map": {str(n): n for n in range(500)}, "deep": deep}])
    assert {"type": "object"} == schema["properties"]["map"]
    assert len(str(schema)) < 1000


def test_members_called_like_keywords_stay_members() -> None:
    schema = infer_schema([{"required": [1], "properties": {"required": "x"}}])
    assert {"required", "properties"} == schema["properties"].keys()
    assert "required" in schema["properties"]["properties"]["properties"]


@pytest.mark.parametrize(
    "text", ["", "no", "NaN", '{"a": Infinity}', "[" * 100_000, "[" * 60 + "]" * 60, '"' + "x" * 700_000 + '"', "\x00"]
)
def test_what_is_no_json_is_none(text: str) -> None:
    assert read_json(text) is None


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1", "20"], "integer"),
        (["1", "2.5"], "number"),
        (["true", "false", ""], "boolean"),
        (["007"], "string"),
        (["1", "x"], "string"),
        ([""], "string"),
        (["9" * 30], "string"),
    ],
)
def test_types_of_texts(values: list[str], type_: str) -> None:
    assert {"type": type_} == text_schema(values)


def test_shapes_are_paths() -> None:
    assert {".items", ".items[].id", ".total"} == shape_of({"items": [{"id": 1}], "total": 2})

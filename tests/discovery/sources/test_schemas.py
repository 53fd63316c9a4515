"""Schemas of strangers become valid ones of 2020-12 that stand by themselves and stay small."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tasks.discovery.engine.sources.schema_cycles import MAX_CHAIN
from tasks.discovery.engine.sources.schema_keywords import is_usable_pattern
from tasks.discovery.engine.sources.schemas import Schemas

KEYWORDS = (
    *("type", "nullable", "items", "properties", "required", "allOf", "anyOf", "enum", "const", "default", "minimum"),
    *("exclusiveMinimum", "maxLength", "pattern", "patternProperties", "additionalProperties", "example", "examples"),
    *("$ref", "discriminator", "multipleOf", "prefixItems", "not", "title", "readOnly", "format", "$defs", "oneOf"),
)
SCALARS = st.sampled_from([None, True, False, 0, -1, 1.5, float("inf"), "string", "object", "", "[", "#/a", "#/b"])
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=25,
)


def read(raw: Any, parts: dict[str, Any] | None = None, *, is_answer: bool = False) -> dict[str, Any]:
    schema = Schemas(lambda uri: (parts or {}).get(uri.removeprefix("#/")), is_answer=is_answer).schema(raw)
    Draft202012Validator.check_schema(schema)
    return {key: value for key, value in schema.items() if key != "$schema"}


@given(SCHEMAS, SCHEMAS, SCHEMAS)
def test_anything_becomes_a_valid_schema(raw: Any, a: Any, b: Any) -> None:
    """Whatever stands where, in it and in what it refers to; and a validator can use it."""
    schema = read(raw, {"a": a, "b": b})
    list(Draft202012Validator(schema).iter_errors({"a": [1, "x"]}))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"$ref": "#/a"}, {}),
        ({"$ref": "#/b"}, {"$ref": "#/a"}),
        ({"anyOf": [{"type": "object"}, {"not": {"$ref": "#/b"}}]}, {"allOf": [{"if": {"$ref": "#/a"}}]}),
        ({"dependentSchemas": {"a": {"$ref": "#/b"}}}, {"oneOf": [{"$ref": "#/a"}, {"$ref": "#/b"}]}),
    ],
)
def test_circles_upon_the_same_value_are_opened(a: Any, b: Any) -> None:
    schema = read({"$ref": "#/a"}, {"a": a, "b": b})
    list(Draft202012Validator(schema).iter_errors({"a": [1, "x"]}))


def test_circles_into_the_value_are_kept() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/a"}, "right": {"anyOf": [{"$ref": "#/a"}]}}}
    schema = read({"$ref": "#/a"}, {"a": tree})
    assert list(Draft202012Validator(schema).iter_errors({"left": {"right": {"left": 1}}}))
    assert not list(Draft202012Validator(schema).iter_errors({"left": {"right": {"left": {}}}}))


def test_long_chains_of_references_are_cut() -> None:
    big = {"enum": list(range(200))}
    parts = {str(i): {"allOf": [{"$ref": f"#/{i + 1}"}], **big} for i in range(300)}
    schema = Schemas(lambda uri: parts.get(uri.removeprefix("#/")), max_total=10**6).schema({"$ref": "#/0"})
    assert len(schema["$defs"]) > MAX_CHAIN
    list(Draft202012Validator(schema).iter_errors(3))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"nullable": True, "allOf": [{"type": "object"}]},
            {"anyOf": [{"allOf": [{"type": "object"}]}, {"type": "null"}]},
        ),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 1}),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
        ({"type": "integer", "exclusiveMinimum": 3}, {"type": "integer", "exclusiveMinimum": 3}),
        ({"type": "string", "example": "tabby"}, {"type": "string", "examples": ["tabby"]}),
        (
            {"items": [{"type": "string"}, {"type": "number"}]},
            {"prefixItems": [{"type": "string"}, {"type": "number"}]},
        ),
        ({"type": "banana", "minLength": -1, "required": True, "enum": []}, {}),
        ({"type": "string", "xml": {"name": "x"}, "x-go": 1}, {"type": "string"}),
        ({"discriminator": {"propertyName": "kind"}}, {"discriminator": {"propertyName": "kind"}}),
        (False, {"not": {}}),
        ("nonsense", {}),
    ],
)
def test_older_dialects_are_written_as_2020_12(raw: Any, expected: dict[str, Any]) -> None:
    """OpenAPI 3.0 and Swagger 2.0 are draft 4 with differences."""
    assert expected == read(raw)


def test_a_reference_is_written_out_with_the_words_beside_it() -> None:
    """A caller's description wins over that of the part."""
    parts = {"Tag": {"type": "string", "description": "A tag"}}
    assert {"type": "string", "description": "The first tag"} == read(
        {"$ref": "#/Tag", "description": "The first tag"}, parts
    )


def test_a_cycle_stays_a_reference() -> None:
    """Of a tree, each node has children that are such nodes; the root's type is seen at once."""
    node = {"type": "object", "properties": {"name": {"type": "string"}, "children": {"items": {"$ref": "#/Node"}}}}
    schema = read({"$ref": "#/Node"}, {"Node": node})
    assert "object" == schema["type"]
    assert {"$ref": "#/$defs/Node"} == schema["properties"]["children"]["items"]
    assert ["Node"] == list(schema["$defs"])
    errors = Draft202012Validator(schema).iter_errors({"children": [{"name": 1}]})
    assert ["1 is not of type 'string'"] == [error.message for error in errors]


def test_cycles_of_several_parts_and_of_nothing_else_end() -> None:
    """A part that only refers to itself allows anything."""
    assert "$defs" in read({"$ref": "#/A"}, {"A": {"items": {"$ref": "#/B"}}, "B": {"items": {"$ref": "#/A"}}})
    read({"$ref": "#/A"}, {"A": {"$ref": "#/B"}, "B": {"$ref": "#/A"}})
    assert {} == read({"$ref": "#/nowhere"})


def test_many_ways_through_a_document_do_not_make_it_larger() -> None:
    """Thirty parts that each refer twice to the next: a billion ways."""
    parts: dict[str, Any] = {f"p{i}": {"properties": {k: {"$ref": f"#/p{i + 1}"} for k in "ab"}} for i in range(30)}
    assert len(json.dumps(read({"$ref": "#/p0"}, parts))) < 20_000


def test_a_huge_document_is_cut_where_it_is_farthest_away() -> None:
    """What is cut allows anything."""
    wide = {f"field{i}": {"type": "string", "description": "x" * 20} for i in range(90)}
    parts = {f"p{i}": {"properties": {**wide, "next": {"$ref": f"#/p{i + 1}"}}} for i in range(50)}
    schema = read({"$ref": "#/p0"}, parts)
    assert len(json.dumps(schema)) < 100_000
    assert "string" == schema["properties"]["field0"]["type"]
    assert {"description": "Not described further."} in schema["$defs"].values()


def test_what_only_the_other_side_holds_is_not_required() -> None:
    """A request need not bring an ID that the answer gives, nor the answer a password."""
    raw = {
        "required": ["id", "password", "name"],
        "properties": {"id": {"readOnly": True}, "password": {"writeOnly": True}, "name": {}},
    }
    assert ["password", "name"] == read(raw)["required"]
    assert ["id", "name"] == read(raw, is_answer=True)["required"]


@pytest.mark.parametrize(
    ("pattern", "is_usable"),
    [
        (r"^[a-z]{2,3}$", True),
        (r"^(a|b)+$", True),
        (r"^\d{4}-\d{2}$", True),
        (r"^(a+)+$", False),
        (r"^(\w*-?)*$", False),
        (r"(", False),
        (r"\p{L}+", False),
        ("a" * 400, False),
        (7, False),
    ],
)
def test_patterns_are_kept_where_every_checker_runs_them_in_good_time(pattern: Any, is_usable: bool) -> None:
    """A repeated repetition is how a pattern takes for ever."""
    assert is_usable == is_usable_pattern(pattern)

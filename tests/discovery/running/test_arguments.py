"""Arguments are judged by the schema before anything is sent, within bounds."""

import pytest

from tasks.core.errors import InputRejected, Permanent
from tasks.discovery.engine.running.arguments import check_arguments, secret_inputs

SCHEMA = {
    "type": "object",
    "properties": {
        "q": {"type": "string", "minLength": 1, "maxLength": 5},
        "size": {"type": "string", "enum": ["small", "large"]},
        "n": {"type": "integer", "minimum": 1},
        "mail": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "pw": {"type": "string", "format": "password", "writeOnly": True, "minLength": 9},
    },
    "required": ["q"],
    "additionalProperties": False,
}


def refused(arguments: dict[str, object], schema: dict[str, object] | None = None) -> InputRejected:
    with pytest.raises(InputRejected) as refusal:
        check_arguments(schema or SCHEMA, arguments)
    return refusal.value


def test_what_fits_is_let_through() -> None:
    """Nothing is changed and nothing filled in."""
    arguments: dict[str, object] = {"q": "abc", "size": "small", "n": 1, "mail": "a@example.org", "tags": ["x"]}
    check_arguments(SCHEMA, arguments)
    assert {"q", "size", "n", "mail", "tags"} == set(arguments)


def test_all_problems_are_named_at_once_with_value_and_remedy() -> None:
    """A caller mends them in one go."""
    message = refused({"q": "abcdef", "size": "huge", "n": 0, "mail": "x", "tags": ["a", 1]}).message
    for part in ('q = "abcdef"', "longer than 5", 'size = "huge"', '"small" or "large"', "n = 0", "mail", "tags.1 = 1"):
        assert part in message


def test_missing_and_unknown_inputs_are_named() -> None:
    """Also where the schema would let unknown ones pass."""
    refusal = refused({"zz": 1})
    assert "zz: no such input" in refusal.message
    assert "q: missing" in refusal.message
    assert "zz" == refusal.field
    assert "zz" in refused({"zz": 1}, {"type": "object", "properties": {"q": {"type": "string"}}}).message


def test_a_password_is_never_shown_and_long_values_are_cut() -> None:
    """Not even in the words of the checker."""
    message = refused({"q": "x" * 500, "pw": "hunter2"}).message
    assert "hunter2" not in message
    assert "pw: " in message
    assert len(message) < 400
    assert frozenset({"pw"}) == secret_inputs(SCHEMA)


@pytest.mark.parametrize("pattern", [r"^(?:(a+)+)$", r"^(?:(a|a)*)$", r"^(?:(?=a)(a+)+\1)$", r"^(?:(.*)(.*)(.*)\1x)$"])
def test_no_pattern_runs_away(pattern: str) -> None:
    """Patterns that take ages elsewhere end, and what they do not match is refused."""
    refused({"q": "a" * 5000 + "!"}, {"type": "object", "properties": {"q": {"type": "string", "pattern": pattern}}})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"q": {"pattern": "^(?:(?:a{0,1000}){0,1000})$"}}},
        {"type": "object", "properties": {"q": {"$ref": "http://127.0.0.1:9/schema.json"}}},
        {"type": "object", "properties": {"q": {"type": "nothing"}}},
    ],
)
def test_a_schema_too_large_or_elsewhere_is_no_schema(schema: dict[str, object]) -> None:
    """It is refused, and nothing is fetched."""
    with pytest.raises(Permanent, match="schema"):
        check_arguments(schema, {"q": "a"})

"""The pattern attribute as a JSON Schema pattern."""

import pytest

from tasks.discovery.engine.html_pattern import json_schema_pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[a-z]+", "^(?:[a-z]+)$"),
        ("a|b", "^(?:a|b)$"),
        (r"\d{3}-\d{2}", r"^(?:\d{3}-\d{2})$"),
        (r"[\w.]+@[a-z.]{2,}", r"^(?:[\w.]+@[a-z.]{2,})$"),
        (r"[^\s\-]+", r"^(?:[^\s\-]+)$"),
        (r"[a\&\!b]", "^(?:[a&!b])$"),
        (r"https?:\/\/.+", r"^(?:https?:\/\/.+)$"),
        ("(?=.*[0-9]).{8,}", "^(?:(?=.*[0-9]).{8,})$"),
        ("^x$", "^(?:^x$)$"),
    ],
)
def test_patterns_become_anchored(pattern: str, expected: str) -> None:
    assert expected == json_schema_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["", "[a-z0-9-]", "[-a]", "[(]", "[a||b]", r"\-", r"\_", "(", "a)", "[a", "]", "a}", "\\", r"[\_]"],
)
def test_what_browsers_refuse_is_no_constraint(pattern: str) -> None:
    """The flag v makes these invalid, and HTML ignores an invalid pattern."""
    assert json_schema_pattern(pattern) is None


@pytest.mark.parametrize("pattern", ["[[a-z]--[aeiou]]", r"[\w&&\d]", r"[\q{abc}]"])
def test_what_only_the_flag_v_can_say_is_left_out(pattern: str) -> None:
    assert json_schema_pattern(pattern) is None

"""Templates: values stand where they are named, and nowhere else."""

from typing import Any

import pytest

from tasks.connectors.template import filled, filled_path, placeholders
from tasks.core.errors import InputRejected

SCOPE = {"input": {"city": "São João", "n": 3, "list": [1, {"a": None}], "dots": ".."}, "remote": {"id": "a/b?c#d"}}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{input.n}}", 3),
        ("{{ input.list }}", [1, {"a": None}]),
        ("{{input.list.1.a}}", None),
        ("{{input.n}} in {{input.city}}", "3 in São João"),
        ({"a": ["{{input.city}}", 1, True], "{{input.n}}": {}}, {"a": ["São João", 1, True], "3": {}}),
    ],
)
def test_values_stand_in_their_places(template: Any, expected: Any) -> None:
    """One that is alone keeps its type."""
    assert expected == filled(template, SCOPE)


@pytest.mark.parametrize("template", ["{{input.none}}", "{{secret.key}}", "a {{input.list}}", "{{input.list.7}}"])
def test_what_is_missing_or_does_not_fit_is_refused(template: str) -> None:
    """The message names the placeholder."""
    with pytest.raises(InputRejected, match=r"^(input|secret)\.[a-z.0-9]+ is "):
        filled(template, SCOPE)


def test_values_filled_in_are_no_templates() -> None:
    """An input cannot ask for a secret."""
    assert "{{secret.key}}" == filled("{{input.a}}", {"input": {"a": "{{secret.key}}"}, "secret": {"key": "x"}})


def test_a_value_cannot_lead_a_path_elsewhere() -> None:
    """Marks of URLs are encoded; dots that mean a folder are refused."""
    assert "/jobs/a%2Fb%3Fc%23d/S%C3%A3o%20Jo%C3%A3o" == filled_path("/jobs/{{remote.id}}/{{input.city}}", SCOPE)
    with pytest.raises(InputRejected, match="cannot be part of a path"):
        filled_path("/jobs/{{input.dots}}", SCOPE)


@pytest.mark.parametrize(
    "template", ["{{input}}", "{{ a b }}", "{{env.PATH}}", ["{{input.a"], {"}}": 1}, "{{input.a|b}}"]
)
def test_what_is_no_placeholder_is_refused(template: Any) -> None:
    """At once, and not when a job meets it."""
    with pytest.raises(ValueError, match=r"placeholders|must begin with"):
        placeholders(template)

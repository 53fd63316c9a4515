"""Templates of requests: JSON in whose texts stand ``{{input.city}}``, ``{{secret.key}}``, ``{{job.id}}`` and the like.

Nothing is computed in them: a placeholder is replaced by a value, and one that is alone in its text keeps its type.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tasks.core.errors import InputRejected

SCOPES = ("input", "secret", "job", "remote")
_PLACEHOLDER = re.compile(r"\{\{ ?([a-z]+)((?:\.[A-Za-z0-9_-]+)+) ?\}\}", re.ASCII)

Scope = Mapping[str, Any]
"""What placeholders stand for: by the first word, such as ``input``."""


def placeholders(template: object) -> set[tuple[str, str]]:
    """Return the placeholders of a template: first word and the rest, such as ``("input", "city")``.

    Raises:
        ValueError: braces that are no placeholder, or one of a scope that there is not.
    """
    found: set[tuple[str, str]] = set()
    for text in _texts(template):
        left = _PLACEHOLDER.sub("", text)
        if "{{" in left or "}}" in left:
            raise ValueError("write placeholders as {{input.name}}: letters, digits, _ and - between dots")
        found |= {(match[1], match[2][1:]) for match in _PLACEHOLDER.finditer(text)}
    for scope, name in found:
        if scope not in SCOPES:
            raise ValueError(f"{{{{{scope}.{name}}}}} must begin with one of {', '.join(SCOPES)}")
    return found


def filled(template: Any, scope: Scope) -> Any:
    """Return the template with the values in place.

    Raises:
        InputRejected: a value is not there, or a list or an object stands within a text.
    """
    if isinstance(template, str):
        alone = _PLACEHOLDER.fullmatch(template)
        return _value(alone, scope) if alone else _PLACEHOLDER.sub(lambda match: _text(match, scope), template)
    if isinstance(template, dict):
        return {_filled_text(key, scope): filled(value, scope) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, scope) for value in template]
    return template


def filled_texts(template: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """Return a template of texts by name, such as headers, with the values in place, as texts.

    Raises:
        InputRejected: as ``filled``.
    """
    return {name: _filled_text(text, scope) for name, text in template.items()}


def filled_path(template: str, scope: Scope) -> str:
    """Return a path with the values in place, percent-encoded: none can lead to another folder, query or host.

    Raises:
        InputRejected: as ``filled``, or a value is empty or is one or two dots.
    """

    def encoded(match: re.Match[str]) -> str:
        text = _text(match, scope)
        if text in {"", ".", ".."}:
            raise InputRejected(f"{_name(match)} is {text!r}, which cannot be part of a path.", field=match[1])
        return quote(text, safe="")

    return _PLACEHOLDER.sub(encoded, template)


def _filled_text(template: str, scope: Scope) -> str:
    return _PLACEHOLDER.sub(lambda match: _text(match, scope), template)


def _texts(template: object) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _texts(value)


def _text(match: re.Match[str], scope: Scope) -> str:
    value = _value(match, scope)
    if isinstance(value, dict | list):
        raise InputRejected(f"{_name(match)} is a list or an object, and stands within a text.", field=match[1])
    return value if isinstance(value, str) else json.dumps(value)


def _value(match: re.Match[str], scope: Scope) -> Any:
    value: Any = scope.get(match[1])
    for step in match[2][1:].split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise InputRejected(f"{_name(match)} is missing.", field=match[1])
    return value


def _name(match: re.Match[str]) -> str:
    return match[1] + match[2]

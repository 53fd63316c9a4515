"""JSON and YAML that anybody may have written, as plain values: bounded in length, depth and number of values."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

MAX_CHARS = 8_000_000
MAX_VALUES = 600_000
MAX_DEPTH = 64

_UNSTORABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30}|[0-9]{1,30}(?=[eE]))(?:[eE][-+]?[0-9]{1,2})?")


def read_json(text: str) -> Any:
    """Return the value of a JSON text; None where it is none, or is out of bounds."""
    if len(text) > MAX_CHARS:
        return None
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        if _UNSTORABLE.search(text):
            # Half a surrogate pair and NUL can be written in JSON, but not be stored or sent.
            kept = json.dumps(value, ensure_ascii=False).replace("\\u0000", "").encode("utf-8", "replace")
            value = json.loads(kept)
    except (ValueError, RecursionError):
        return None
    return value if _is_bounded(value) else None


def read_object(text: str) -> dict[str, Any] | None:
    """Return the object that a JSON or YAML text is; None where it is none, or is out of bounds."""
    start = text[:1000].lstrip("\ufeff \t\r\n")
    if not start or start.startswith("<") or len(text) > MAX_CHARS:
        return None
    text = text.lstrip("\ufeff")
    value = read_json(text) if start.startswith(("{", "[")) else None
    if value is None:
        value = _read_yaml(text)
    return value if isinstance(value, dict) else None


def _read_yaml(text: str) -> Any:
    """Return the first document of a YAML text, its plain scalars as JSON has them: no dates, ``yes`` is a word."""
    try:
        # PyYAML's own ways from events to values recurse in C without a limit, which deep texts crash.
        return _Builder().build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, _Refused, ValueError):
        return None


class _Refused(Exception):
    """A YAML text is out of bounds, or no JSON can say what it says."""


@dataclass(slots=True)
class _Open:
    """A collection while it is being read. ``before`` is how many values came before it."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    before: int
    key: str | None = None


class _Builder:
    """Makes values from the events of a YAML text; counts them with every alias written out."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchored: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._count = 0
        self._root: Any = None

    def build(self, events: Iterable[yaml.Event]) -> Any:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._take_scalar(event)
                case yaml.CollectionStartEvent():
                    self._begin(event)
                case yaml.CollectionEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._take_alias(event.anchor)
                case yaml.DocumentEndEvent():
                    break
            if self._count > MAX_VALUES or len(self._open) > MAX_DEPTH:
                raise _Refused
        return self._root

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        self._count += 1
        value = _scalar(event.value) if event.implicit[0] else event.value.replace("\0", "")
        if event.anchor:
            self._anchored[event.anchor], self._sizes[event.anchor] = value, 1
        self._put(value)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        self._open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor, self._count))
        self._count += 1
        if event.anchor:
            self._sizes.pop(event.anchor, None)

    def _end(self) -> None:
        done = self._open.pop()
        if done.anchor:
            self._anchored[done.anchor], self._sizes[done.anchor] = done.value, self._count - done.before
        self._put(done.value)

    def _take_alias(self, anchor: str | None) -> None:
        if anchor is None or anchor not in self._sizes:  # inside of what it names
            raise _Refused
        self._count += self._sizes[anchor]
        self._put(self._anchored[anchor])

    def _put(self, value: Any) -> None:
        if not self._open:
            self._root = value
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            if isinstance(value, dict | list):
                raise _Refused
            top.key = value if isinstance(value, str) else json.dumps(value)
        else:
            key, top.key = top.key, None
            if key == "<<":
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, dict):
                        top.value |= {name: item for name, item in part.items() if name not in top.value}
            else:
                top.value[key] = value


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in _NUMBER_STARTS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text):
            return float(text)
    return text.replace("\0", "")


def _is_bounded(value: Any) -> bool:
    level, count, depth = [value], 0, 0
    while level:
        count += len(level)
        depth += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            return False
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return True

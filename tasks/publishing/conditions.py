"""What a request asks of a file beyond its name: that it is still the one, or that only a part is sent (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a content, the first and the last one counted from 0."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Unsatisfiable(ValueError):
    """The content has none of the bytes that are asked for."""


def is_known(environ: Mapping[str, Any], etag: str) -> bool:
    """Whether the client has the content already (``If-None-Match``; weak tags are as good, 13.1.2)."""
    given = environ.get("HTTP_IF_NONE_MATCH", "")
    return given.strip() == "*" or etag in [one.removeprefix("W/") for one in _tags(given)]


def is_other(environ: Mapping[str, Any], etag: str) -> bool:
    """Whether the client wants another content than this or nothing (``If-Match``; weak tags never match, 13.1.1)."""
    given = environ.get("HTTP_IF_MATCH", "").strip()
    return bool(given) and given != "*" and etag not in _tags(given)


def part_of(environ: Mapping[str, Any], *, etag: str, size: int) -> Part | None:
    """Return the one part that is asked for; None: all.

    Several parts, other units and what cannot be read are answered with all, as RFC 9110 lets a server do (14.2), and
    so is a part of what has changed meanwhile (``If-Range``; by its date we cannot tell, 13.1.5).

    Raises:
        Unsatisfiable: the content ends before the part begins.
    """
    found = _RANGE.fullmatch(environ.get("HTTP_RANGE", "").strip())
    if environ["REQUEST_METHOD"] != "GET" or found is None or environ.get("HTTP_IF_RANGE", etag).strip() != etag:
        return None
    first, last = found.groups()
    if max(len(first), len(last)) > _MOST_DIGITS or not (first or last):
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return Part(max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Part(int(first), min(int(last), size - 1) if last else size - 1)


def _tags(given: str) -> list[str]:
    return [one.strip() for one in given.split(",")]

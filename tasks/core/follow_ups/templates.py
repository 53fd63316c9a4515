"""Requests with holes: ``{"$from": pointer}`` takes a value of the job that is followed. Nothing is ever evaluated.

A pointer is a JSON Pointer (RFC 6901) into what ``document_of`` makes of that job. ``default`` stands in where it leads
nowhere or to null. ``{"$literal": value}`` is the value as it stands, should it look like a hole.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import InputRejected
from tasks.core.records import Job, JobState

FROM, DEFAULT, LITERAL = "$from", "default", "$literal"
PARENT = "parent"
"""The document of the job that the followed one follows itself."""
MOST_HOLES = 100

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_LONGEST_POINTER = 500

Path = tuple[str | int, ...]


class TemplateRefused(InputRejected):
    """A template is none, or a hole in it cannot be filled. ``path`` leads to the place."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message, field=".".join(map(str, path)))
        self.path = path


@dataclass(frozen=True, slots=True)
class Hole:
    """One place to be filled."""

    path: Path
    pointer: str
    tokens: tuple[str, ...]
    default: Any
    has_default: bool


def holes_of(template: object) -> list[Hole]:
    """List the holes of a template, in its order.

    Raises:
        TemplateRefused: a hole is written wrongly, or there are too many.
    """
    found: list[Hole] = []
    _put(template, (), found.append)
    if len(found) > MOST_HOLES:
        raise TemplateRefused(f"has more than {MOST_HOLES} places to be filled", found[MOST_HOLES].path)
    return found


def filled(template: object, document: Mapping[str, Any]) -> Any:
    """Return the template with its holes filled from ``document``.

    Raises:
        TemplateRefused: a pointer leads nowhere, and has no default.
    """
    return _put(template, (), lambda hole: _value_for(hole, document))


def condition(pointer: str) -> dict[str, Any]:
    """Return the template of a value that need not be there: null stands in for it."""
    return {FROM: pointer, DEFAULT: None}


def with_nulls(template: object) -> Any:
    """Return the template with null in each hole."""
    return _put(template, (), lambda _hole: None)


def generations(template: object) -> int:
    """Return how many jobs back from the followed one the pointers reach."""
    return max((_leading_parents(hole.tokens) for hole in holes_of(template)), default=0)


def document_of(job: Job, parent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what pointers lead into: the job, its request, its result or its error, and its own parent's document."""
    document: dict[str, Any] = {
        "job": {
            "id": job.id,
            "kind": job.kind,
            "reference": job.reference,
            "site": job.site,
            "labels": dict(job.labels),
            "created_at": job.created_at.isoformat(),
            "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
        },
        "request": job.request,
    }
    if job.state is JobState.SUCCEEDED:
        document["result"] = job.result
    else:
        document["error"] = job.error
    if parent is not None:
        document[PARENT] = parent
    return document


def tokens_of(pointer: str) -> tuple[str, ...] | None:
    """Return the parts of a JSON Pointer; None: it is none."""
    if len(pointer) > _LONGEST_POINTER or not _POINTER.fullmatch(pointer):
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def items_of(node: object) -> Iterator[tuple[str | int, Any]]:
    """Iterate over what is directly inside a JSON value, with names or indexes."""
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def _put(node: object, path: Path, fill: Callable[[Hole], Any]) -> Any:
    if isinstance(node, dict):
        if FROM in node:
            return fill(_hole(node, path))
        if node.keys() == {LITERAL}:
            return node[LITERAL]
        return {key: _put(inner, (*path, key), fill) for key, inner in node.items()}
    if isinstance(node, list):
        return [_put(inner, (*path, index), fill) for index, inner in enumerate(node)]
    return node


def _hole(node: dict[str, Any], path: Path) -> Hole:
    unknown = sorted(node.keys() - {FROM, DEFAULT})
    if unknown:
        raise TemplateRefused(f"Unknown beside `{FROM}`: only `{DEFAULT}` may stand there.", (*path, unknown[0]))
    pointer = node[FROM]
    tokens = tokens_of(pointer) if isinstance(pointer, str) else None
    if tokens is None:
        raise TemplateRefused("must be a JSON Pointer, such as `/result/url`", (*path, FROM))
    return Hole(path, pointer, tokens, node.get(DEFAULT), DEFAULT in node)


def _value_for(hole: Hole, document: Mapping[str, Any]) -> Any:
    value: Any = document
    for token in hole.tokens:
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        elif hole.has_default:
            return hole.default
        else:
            message = f"`{hole.pointer}` leads nowhere: the job that was followed has no such value."
            raise TemplateRefused(message, hole.path)
    return hole.default if value is None and hole.has_default else value


def _leading_parents(tokens: tuple[str, ...]) -> int:
    count = 0
    for token in tokens:
        if token != PARENT:
            break
        count += 1
    return count

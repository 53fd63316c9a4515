"""Groups requests that were seen into endpoints: one method and one path with slots for what varies in it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tasks.discovery.engine.api_words import is_secret, split_name, words
from tasks.discovery.engine.inference import read_json, shape_of
from tasks.discovery.engine.site import Exchange

# Of the members of two answers, how many must be the same for both to be answers of one endpoint.
_LIKE = 0.6
_MAX_SEGMENTS = 20
_MAX_PARAMETERS = 200
_FUNCTION_NAMES = frozenset({"action", "method", "operation", "op", "cmd", "command"})

_VERSION = re.compile(r"v\d{1,3}([._]\d{1,3})*|\d{4}-\d{2}", re.IGNORECASE)
_CLEAR: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    ("integer", re.compile(r"\d{1,19}")),
    ("uuid", re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)),
    ("hash", re.compile(r"(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,128}", re.IGNORECASE)),
    ("key", re.compile(r"(?=\w*\d)(?=\w*[A-Z])[0-9A-Z]{20,32}")),
    # A title that ends in its number, or has several words with one: blue-kettle-12, iphone-15-pro.
    ("slug", re.compile(r"(?=[^\d]*\d)[a-z0-9]+(-[a-z0-9]+){1,15}")),
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One request, read. ``segments`` are percent-encoded as they were sent; ``answer`` is None where it is no JSON."""

    exchange: Exchange
    origin: str
    segments: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    answer: Any

    @property
    def typed(self) -> str:
        """What was being typed, in lower case; empty for nothing or for a letter or two."""
        typed = self.exchange.typed.strip().lower()
        return typed if len(typed) > 2 else ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What requests of one kind have in common. A segment that varies is None; ``slots`` has the kind of each.

    The kind is ``typed``, ``varies`` or what a single value shows: ``integer``, ``uuid``, ``slug`` …
    """

    method: str
    origin: str
    segments: tuple[str | None, ...]
    slots: tuple[str, ...]
    sightings: tuple[Sighting, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """The fixed segments that say what it is about: no prefix, no version."""
        return tuple(segment for segment in self.segments if segment is not None and not is_prefix(segment))


@dataclass(slots=True, eq=False)
class _Group:
    segments: list[str | None]
    kinds: dict[int, str]
    sightings: list[Sighting] = field(default_factory=list)


def read_sighting(exchange: Exchange) -> Sighting | None:
    """Return an exchange read; None where its address cannot be, or is none of HTTP."""
    try:
        parts = urlsplit(exchange.url)
        parameters = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        host = parts.hostname
    except ValueError:
        return None
    segments = tuple(segment for segment in parts.path.split("/") if segment)
    if parts.scheme not in ("http", "https") or not host or len(segments) > _MAX_SEGMENTS or "@" in parts.netloc:
        return None
    answer = read_json(exchange.response_text) if "json" in exchange.media_type or not exchange.media_type else None
    return Sighting(exchange, f"{parts.scheme}://{parts.netloc}", segments, tuple(parameters), answer)


def group_endpoints(sightings: Sequence[Sighting]) -> list[Endpoint]:
    """Return the endpoints in the order in which they were first seen."""
    apart: dict[tuple[str, str, str], list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        apart[(sighting.exchange.method, sighting.origin, _function(sighting))].append(sighting)
    found = [
        _endpoint(method, origin, group)
        for (method, origin, _), alike in apart.items()
        for group in _merged(_templates(alike))
    ]
    order = {id(sighting): position for position, sighting in enumerate(sightings)}
    return sorted(found, key=lambda endpoint: order[id(endpoint.sightings[0])])


def clear_kind(segment: str) -> str | None:
    """Return what a segment is when it can only be a value, judged by itself; None for a word or a version."""
    if _VERSION.fullmatch(segment):
        return None
    text = unquote(segment)
    return next((kind for kind, pattern in _CLEAR if len(text) <= 200 and pattern.fullmatch(text)), None)


def is_prefix(segment: str) -> bool:
    """Whether a segment says nothing about what is asked for: ``api``, ``v2``."""
    return segment.lower() in words("api_prefixes") or _VERSION.fullmatch(segment) is not None


def _function(sighting: Sighting) -> str:
    """Return the function that is named outside of the path, for addresses that serve many."""
    named = [value for name, value in sighting.parameters if name.lower() in _FUNCTION_NAMES]
    body = sighting.exchange.request_body
    content = read_json(body) if body.startswith("{") else None
    if isinstance(content, dict):
        named += [v for k, v in content.items() if k in (*_FUNCTION_NAMES, "operationName") and isinstance(v, str)]
    elif "=" in body and "{" not in body:
        named += [v for k, v in body_fields(sighting) if k.lower() in _FUNCTION_NAMES]
    return " ".join(named)


def body_fields(sighting: Sighting) -> list[tuple[str, str]]:
    """Return the fields of a form-encoded body; empty for any other."""
    media_type = sighting.exchange.request_headers.get("content-type", "").partition(";")[0].strip()
    if media_type != "application/x-www-form-urlencoded":
        return []
    try:
        return parse_qsl(sighting.exchange.request_body, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return []


def _templates(sightings: Iterable[Sighting]) -> list[_Group]:
    """Group by what each path shows by itself."""
    groups: dict[tuple[str | None, ...], _Group] = {}
    for sighting in sightings:
        # The first word of an address names a function even where the same word was typed.
        kinds = {
            place: kind
            for place, segment in enumerate(sighting.segments)
            if (kind := _kind(segment, sighting)) and (place or kind != "typed")
        }
        segments = [None if place in kinds else segment for place, segment in enumerate(sighting.segments)]
        group = groups.setdefault(tuple(segments), _Group(segments, kinds))
        group.sightings.append(sighting)
        group.kinds |= {place: "varies" for place, kind in kinds.items() if group.kinds[place] != kind}
    return list(groups.values())


def _kind(segment: str, sighting: Sighting) -> str | None:
    if sighting.typed and unquote(segment).lower() == sighting.typed:
        return "typed"
    return clear_kind(segment)


def _merged(groups: list[_Group]) -> list[_Group]:
    """Merge groups that differ in one segment and are answered alike, until none do."""
    while True:
        merged = _merge_once(groups)
        if merged is None:
            return groups
        groups = merged


def _merge_once(groups: list[_Group]) -> list[_Group] | None:
    buckets: dict[tuple[int, tuple[str | None, ...]], list[_Group]] = defaultdict(list)
    for group in groups:
        for place in range(len(group.segments)):
            buckets[(place, (*group.segments[:place], "\0", *group.segments[place + 1 :]))].append(group)
    for (place, _), alike in sorted(buckets.items(), key=lambda item: -item[0][0]):
        if len(alike) > 1 and _may_vary(place, alike) and _are_answered_alike(alike):
            first = alike[0]
            one = _Group(
                [None if at == place else segment for at, segment in enumerate(first.segments)],
                first.kinds | {place: _joint_kind(place, alike)},
                [sighting for group in alike for sighting in group.sightings],
            )
            return [one if group is first else group for group in groups if group is first or group not in alike]
    return None


def _may_vary(place: int, groups: list[_Group]) -> bool:
    """Whether the segment is a value of what stands before it, rather than another function."""
    before = groups[0].segments[place - 1] if place else None
    if before is None or is_prefix(before):
        return False
    values = [group.segments[place] for group in groups]
    return not any(value is not None and (is_prefix(value) or _is_function(value)) for value in values)


def _is_function(segment: str) -> bool:
    return bool(set(split_name(segment)) & (words("verbs") | words("qualifiers"))) or is_secret(segment)


def _are_answered_alike(groups: list[_Group]) -> bool:
    shapes = [shape_of(group.sightings[0].answer) for group in groups]
    if not all(shapes):
        return False
    return all(len(shapes[0] & shape) >= _LIKE * len(shapes[0] | shape) for shape in shapes[1:])


def _joint_kind(place: int, groups: list[_Group]) -> str:
    kinds = [group.kinds.get(place, "varies") for group in groups]
    return "typed" if "typed" in kinds else "varies"


def _endpoint(method: str, origin: str, group: _Group) -> Endpoint:
    kinds = tuple(group.kinds[place] for place, segment in enumerate(group.segments) if segment is None)
    return Endpoint(method, origin, tuple(group.segments), kinds, tuple(group.sightings))

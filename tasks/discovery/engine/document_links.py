"""What a document links to beside its text: ``Link`` headers, and the links of JSON answers.

Source: RFC 8288 (the header; appendix B.2 for reading what is malformed); draft-kelly-json-hal-11, 5 (``_links``);
JSON:API 1.1, ``links``.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from tasks.discovery.engine.page import Link

MAX_LINKS = 100
_MAX_HEADER_CHARS = 20_000
_MAX_JSON_CHARS = 200_000
_MAX_TEXT_CHARS = 200

_TARGET = re.compile(r"[\s,]*<([^<>]{0,2000})>")
_PARAMETER = re.compile(r"""\s*;\s*([\w!#$&+.^`|~*-]{1,60})\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?""", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")


def header_links(header: str, *, base: str) -> tuple[Link, ...]:
    """Return the links of a ``Link`` header, 100 at most; ``base`` is the address of what it came with.

    Links whose ``anchor`` is another document than that say nothing of it, and are left out.
    """
    return tuple(_of_header(header[:_MAX_HEADER_CHARS], base))[:MAX_LINKS]


def json_links(text: str, *, base: str) -> tuple[Link, ...]:
    """Return the links of a JSON answer, 100 at most: those of ``_links`` or ``links`` at its root; none of others.

    Templates are no addresses and are left out.
    """
    if len(text) > _MAX_JSON_CHARS or not text.lstrip().startswith("{"):
        return ()
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(_of_json(raw, base))[:MAX_LINKS]


def _of_header(header: str, base: str) -> Iterator[Link]:
    at = 0
    while 0 <= at < len(header):
        match = _TARGET.match(header, at)
        if match is None:  # malformed: go on behind the next comma
            at = header.find(",", at) + 1 or len(header)
            continue
        at = match.end()
        said: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            value = _ESCAPED.sub(r"\1", parameter[2]) if parameter[2] is not None else parameter[3] or ""
            said.setdefault(parameter[1].lower(), value)  # the first one counts
        if rel := said.get("rel"):
            anchor = _absolute(said.get("anchor", ""), base)
            if anchor is not None and anchor.partition("#")[0] == base.partition("#")[0]:
                yield from _link(match[1], rel, said.get("type", ""), base=base, title=said.get("title", ""))


def _of_json(raw: Any, base: str) -> Iterator[Link]:
    for key in ("_links", "links"):
        held = raw.get(key)
        if isinstance(held, dict):
            for rel, targets in list(held.items())[:MAX_LINKS]:
                for target in (targets if isinstance(targets, list) else [targets])[:MAX_LINKS]:
                    yield from _of_target(target, rel, base)
        elif isinstance(held, list):
            for target in held[:MAX_LINKS]:
                if isinstance(target, dict) and isinstance(target.get("rel"), str):
                    yield from _of_target(target, target["rel"], base)


def _of_target(target: Any, rel: str, base: str) -> Iterator[Link]:
    said = {"href": target} if isinstance(target, str) else target
    if isinstance(said, dict) and isinstance(said.get("href"), str) and said.get("templated") is not True:
        yield from _link(said["href"], rel, str(said.get("type") or ""), base=base, title=str(said.get("title") or ""))


def _link(href: str, rel: str, media_type: str, *, base: str, title: str) -> Iterator[Link]:
    address = _absolute(href, base)
    if address is not None and len(address) <= 2048:
        yield Link(
            href=address,
            rel=tuple(rel.lower().split()[:10]),
            title=title[:_MAX_TEXT_CHARS],
            media_type=media_type.partition(";")[0].strip().lower()[:_MAX_TEXT_CHARS],
        )


def _absolute(href: str, base: str) -> str | None:
    try:
        return urljoin(base, href.strip())
    except ValueError:
        return None

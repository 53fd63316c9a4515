"""Addresses of a site that differ in one value: ``/books/3/change/`` and ``/books/7/change/`` have one template."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from tasks.discovery.engine.endpoints import clear_kind
from tasks.discovery.engine.page import Link, Page
from tasks.discovery.engine.sources.addresses import Address, address_of

# From so many values on, numbers and the like are values of one kind of thing; words only when there are more.
_ENOUGH_CLEAR = 2
_ENOUGH_WORDS = 5
_MANY_WORDS = 12
_MAX_VALUES = 50
_CONTENT = frozenset({"li", "td", "th", "tr", "article", "dd", "dt", "h2", "h3", "h4", "section", "div", "main", "p"})
_FRAME = frozenset({"nav", "header", "footer", "aside"})
_FRAME_ROLES = frozenset({"navigation", "menu", "menubar", "banner", "contentinfo", "tablist"})
# A name with a place in it: no function of a site is called so.
_COMPOUND = re.compile(r"[^/@]+@[^/@]+")

Segments = tuple[str, ...]


@dataclass(slots=True)
class Template:
    """A path with one segment open. ``before`` and ``after`` are the others, percent-encoded as they were."""

    origin: str
    before: Segments
    after: Segments
    has_slash: bool
    page: Page
    values: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def is_clear(self) -> bool:
        """Whether the values show by themselves that they are no words: numbers, keys, names with a place in them."""
        return all(clear_kind(value) or _COMPOUND.fullmatch(value) for value in self.values)

    def path(self, name: str) -> str:
        """Return the path with ``{name}`` for what is open."""
        whole = "/".join((*self.before, f"{{{name}}}", *self.after))
        return f"/{whole}{'/' if self.has_slash else ''}"

    def value_in(self, path: str) -> str | None:
        """Return what a path has for the open segment; None for a path of another template."""
        segments = segments_of(path)
        at = len(self.before)
        if len(segments) != at + 1 + len(self.after) or path.endswith("/") != self.has_slash:
            return None
        is_same = segments[:at] == self.before and segments[at + 1 :] == self.after
        return unquote(segments[at]) if is_same else None


def templates(origin: str, pages: Iterable[Page]) -> list[Template]:
    """Return the templates of the links of a site's pages, in the order in which they were first seen.

    The addresses of the pages themselves count as links to them.
    """
    seen = list(_addresses(origin, pages))
    known = _known_values(seen)
    found: dict[tuple[Segments, Segments, bool], Template] = {}
    for address, link, page in seen:
        segments = segments_of(address.path)
        for at in range(1, len(segments)):
            if segments[at] in known[segments[:at]]:
                key = (segments[:at], segments[at + 1 :], address.path.endswith("/"))
                template = found.setdefault(key, Template(origin, *key, page))
                value = unquote(segments[at])
                if value not in template.values and len(template.values) < _MAX_VALUES:
                    template.values.append(value)
                    template.texts.append(link.text if link is not None else page.title)
                break
    return list(found.values())


def segments_of(path: str) -> Segments:
    """Return the parts of a path between its slashes."""
    return tuple(part for part in path.split("/") if part)


def _addresses(origin: str, pages: Iterable[Page]) -> Iterable[tuple[Address, Link | None, Page]]:
    for page in pages:
        here = address_of(page.url)
        if here is not None and here.origin == origin:
            yield here, None, page
        for link in (*page.links, *page.kept_back):
            address = address_of(link.href)
            if address is not None and address.origin == origin:
                yield address, link, page


def _known_values(seen: Sequence[tuple[Address, Link | None, Page]]) -> dict[Segments, set[str]]:
    """Return, for what stands before it in a path, the segments that are values."""
    clear: dict[Segments, set[str]] = defaultdict(set)
    words: dict[tuple[Segments, Segments], set[str]] = defaultdict(set)
    for address, link, _ in seen:
        segments = segments_of(address.path)
        for at in range(1, len(segments)):
            if clear_kind(segments[at]) or _COMPOUND.fullmatch(unquote(segments[at])):
                clear[segments[:at]].add(segments[at])
            elif link is not None and _is_content(link) and at == len(segments) - 1 and "." not in segments[at]:
                words[segments[:at], segments[at + 1 :]].add(segments[at])
    known: dict[Segments, set[str]] = defaultdict(set)
    for before, values in clear.items():
        if len(values) >= _ENOUGH_CLEAR:
            known[before] |= values
    paths = {segments_of(address.path) for address, _, _ in seen}
    above = {path[:at] for path in paths for at in range(len(path))}
    for (before, _), values in words.items():
        # What has pages below it is a place of its own; and where values are numbers, a word beside them is a function.
        leaves = {value for value in values if (*before, value) not in above}
        if _are_names(leaves) and not any(value.isdigit() for value in known[before]):
            known[before] |= leaves
    return known


def _are_names(values: set[str]) -> bool:
    """Whether words are names of many things: titles made into addresses, or more than a site has functions."""
    slugs = sum("-" in value for value in values)
    return len(values) >= _ENOUGH_WORDS and (2 * slugs >= len(values) or len(values) >= _MANY_WORDS)


def _is_content(link: Link) -> bool:
    tags = {ancestor.tag for ancestor in link.ancestors}
    roles = {ancestor.role for ancestor in link.ancestors}
    return bool(tags & _CONTENT) and not tags & _FRAME and not roles & _FRAME_ROLES

"""In what the addresses of a list's pages differ: a parameter or a part of the path that counts.

A link that says "next" is no evidence by itself: what it leads to must be the same list at another place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.discovery.engine.lexicon import link_concepts
from tasks.discovery.engine.link_features import PAGE_KEY
from tasks.discovery.engine.page import Link, Page
from tasks.discovery.engine.pagination import PageLinkKind, find_pagination
from tasks.discovery.engine.sources.addresses import Address, Query, address_of

PLACEHOLDER = "{page}"
# Of a link in the head, which says what it is by the standard.
_HEAD_SURENESS = 0.95
_LONE_SURENESS = 0.5
_MAX_NEXT_CHARS = 20
_MAX_NUMBER = 10**7
_SECOND = 2
_NEIGHBOURS = frozenset({PageLinkKind.NEXT, PageLinkKind.PREVIOUS})

_CURSOR = re.compile(
    r"_?next|(start_)?(after|before)|(next_|start_|end_)?cursor|(next_)?page_?token|continuation|max_id", re.I
)
_OFFSET = re.compile(r"start|offset|from|skip|begin|first|idx|row|st", re.IGNORECASE)
# In a path, a word beside the number.
_PAGE_IN_PATH = re.compile(r"(?:page|pag|pagina|seite|strana|sayfa|sivu|p|pg)[-_/=]?$", re.IGNORECASE)
_NUMBER_TEXT = re.compile(r"\W*(\d{1,6})\W*")


@dataclass(frozen=True, slots=True)
class Sign:
    """A link to another page of a list: what its address has in the counting place. ``number`` is what it says."""

    kind: PageLinkKind
    value: str
    number: int | None
    probability: float


@dataclass(slots=True)
class Counter:
    """A place in the addresses of one list that counts its pages.

    ``name`` is the parameter's, empty where the place is in ``path`` (as ``{page}``); ``rest`` are the other
    parameters. ``here`` is the value of the page that shows the links, None where it has none: the first page, mostly.
    """

    origin: str
    path: str
    name: str
    rest: Query
    here: str | None = None
    is_own: bool = False
    signs: list[Sign] = field(default_factory=list)

    @property
    def probability(self) -> float:
        """How sure the surest link is."""
        return max(sign.probability for sign in self.signs)

    @property
    def is_cursor(self) -> bool:
        """Whether it names a place in the list rather than counting."""
        return not all(sign.value.isdigit() for sign in self.signs) or bool(_CURSOR.fullmatch(self.name))

    def step(self) -> tuple[int, int] | None:
        """Return the first page's value and how much each page adds; None where the numbers do not say."""
        pairs = {(sign.number, int(sign.value)) for sign in self.signs if sign.number is not None}
        pairs |= self._next_pair()
        if not pairs:
            return None
        (low, at_low), (high, at_high) = min(pairs), max(pairs)
        if low != high:
            step, odd = divmod(at_high - at_low, high - low)
            first = at_low - (low - 1) * step
            is_even = not odd and step > 0 and all(value == first + (number - 1) * step for number, value in pairs)
            return (first, step) if is_even and first >= 0 else None
        if at_low in (low, low - 1):
            return at_low - low + 1, 1
        is_offset = low > 1 and at_low % (low - 1) == 0 and _OFFSET.search(self.name)
        return (0, at_low // (low - 1)) if is_offset else None

    def last(self) -> int | None:
        """Return the last page's value, where a link says so."""
        lasts = [int(sign.value) for sign in self.signs if sign.kind is PageLinkKind.LAST]
        return max(lasts, default=None)

    def _next_pair(self) -> set[tuple[int, int]]:
        """Return what a link to a neighbour says on the first page: it leads to page 2. Blogs call that one earlier."""
        if self.here is not None or any(sign.number is not None for sign in self.signs):
            return set()
        return {(2, int(sign.value)) for sign in self.signs if sign.kind in _NEIGHBOURS}


def counters(page: Page) -> list[Counter]:
    """Return the places that count the pages of the lists on ``page``, surest first."""
    here = address_of(page.url)
    if here is None:
        return []
    found: dict[tuple[str, str, str, Query], Counter] = {}
    for sign_link, kind, probability in _page_links(page):
        target = address_of(sign_link.href)
        if target is None or target.origin != here.origin:
            continue
        number = _NUMBER_TEXT.fullmatch(sign_link.text)
        for place, value in _places(target, here):
            key = (place.origin, place.path, place.name, place.rest)
            told = int(number[1]) if number else None
            found.setdefault(key, place).signs.append(Sign(kind, value, told, probability))
    counting = [counter for counter in found.values() if _counts(counter) and not _counts_rows(counter, page)]
    return sorted(counting, key=lambda counter: (-len(counter.signs), -counter.probability))


def _page_links(page: Page) -> Iterator[tuple[Link, PageLinkKind, float]]:
    found = find_pagination(page).links
    for one in found:
        yield one.link, one.kind, one.probability
    believed = {one.index for one in found}
    for index, link in enumerate(page.links):
        # Where it is the only link of its kind; its address has to prove it.
        if index not in believed and len(link.text) <= _MAX_NEXT_CHARS and link_concepts(link.text) >= {"next"}:
            yield link, PageLinkKind.NEXT, _LONE_SURENESS
    for link in page.head_links:
        for word, kind in (("next", PageLinkKind.NEXT), ("prev", PageLinkKind.PREVIOUS)):
            if word in link.rel:
                yield link, kind, _HEAD_SURENESS


def _places(target: Address, here: Address) -> Iterator[tuple[Counter, str]]:
    """Yield the places of an address that may count, with what stands there."""
    for name, value in target.query:
        rest = target.without(name)
        is_own = target.path == here.path and sorted(rest) == sorted(here.without(name))
        if _is_number(value) or (_CURSOR.fullmatch(name) and is_own):
            yield Counter(target.origin, target.path, name, rest, here.value(name) if is_own else None, is_own), value
    for match in re.finditer(r"\d+", target.path):
        before, after = target.path[: match.start()], target.path[match.end() :]
        if after.count("/") > 1 or "{" in before + after or not _is_number(match[0]):
            continue
        pattern = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
        own = pattern.fullmatch(here.path)
        is_first = here.path.rstrip("/") == _PAGE_IN_PATH.sub("", before).rstrip("/-_=")
        is_own = bool(own or is_first) and sorted(target.query) == sorted(here.query)
        place = Counter(target.origin, f"{before}{PLACEHOLDER}{after}", "", target.query, own and own[1], is_own)
        yield place, match[0]


def _counts(counter: Counter) -> bool:
    """Whether the links prove that the place counts the pages of one list."""
    values = {sign.value for sign in counter.signs}
    if counter.is_cursor:
        return counter.is_own
    numbered = {sign.number for sign in counter.signs if sign.number is not None}
    if counter.step() is None and not _steps_from_here(counter):
        return False
    # The first page of a list leads to the second: years, say, have numbers that begin elsewhere.
    if counter.here is None and numbered and min(numbered) > _SECOND and not _has_neighbours(counter):
        return False
    if counter.name:
        if len(values) > 1 and len(numbered) > 1:
            return True
        return counter.is_own and bool(PAGE_KEY.fullmatch(counter.name))
    has_word = bool(_PAGE_IN_PATH.search(counter.path.partition(PLACEHOLDER)[0]))
    return len(numbered) > 1 or (counter.is_own and (has_word or len(numbered) > 0))


def _counts_rows(counter: Counter, page: Page) -> bool:
    """Whether it is the rows of a list that are called by their numbers: there is a row 1, and nothing says "next"."""
    before = counter.path.partition(PLACEHOLDER)[0]
    if counter.name or counter.here is not None or _PAGE_IN_PATH.search(before) or _has_neighbours(counter):
        return False
    first = counter.path.replace(PLACEHOLDER, "1")
    return any(target is not None and target.path == first for target in (address_of(one.href) for one in page.links))


def _has_neighbours(counter: Counter) -> bool:
    return any(sign.kind in _NEIGHBOURS for sign in counter.signs)


def _steps_from_here(counter: Counter) -> bool:
    """Whether a link to a neighbour is one more or less than the page itself."""
    if counter.here is None or not counter.here.isdigit():
        return False
    near = (int(sign.value) - int(counter.here) for sign in counter.signs if sign.kind in _NEIGHBOURS)
    return any(abs(step) == 1 for step in near)


def _is_number(text: str) -> bool:
    return text.isdigit() and text.isascii() and int(text) < _MAX_NUMBER

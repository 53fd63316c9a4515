"""Links of a list that differ in one parameter: its orders and its filters."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tasks.discovery.engine.page import Link, Page
from tasks.discovery.engine.sources.addresses import Address, Query, address_of

MAX_VALUES = 200
_MAX_VALUE_CHARS = 200

SORT = re.compile(r"_?p?(sort|order|ordering)(_?(by|field|column|key|on))?(_(desc|asc))?", re.IGNORECASE)
# Short names that mean an order only where the heads of a table say so.
_HEAD_SORT = re.compile(r"o|s|c|col|column|field|by", re.IGNORECASE)
DIRECTION = re.compile(
    r"dir|direction|(sort_?)?(dir|direction|order)|order|asc|desc|ascending|descending|d|reverse", re.IGNORECASE
)
_DIRECTIONS = frozenset({"asc", "desc", "ascending", "descending", "a", "d", "up", "down", "asc.", "desc."})
_PAGE = re.compile(
    r"p|pg|page\w*|paged|pagina|seite|start|offset|from|skip|_?next|cursor|after|before|per_?page|limit|size|page_?size|count|_?size",
    re.IGNORECASE,
)
# Parameters that lead to another thing or view, not to fewer of the same.
_OTHER_THING = re.compile(
    r"\w*_?id|\w+id|uid|pid|action|act|do|op|cmd|task|mode|module|mod|m|view|option|controller|func|function|f|file|doc|url|"
    r"u|link|goto|redirect\w*|return\w*|next|continue|lang\w*|language|locale|hl|theme|style|skin|format|output|print|"
    r"download|v|ver|version|rev|revision|diff|oldid|title|article|post|topic|thread|t|tab|section|show|item|product|user|"
    r"s|sub|mpage|board|forum|f|route|msg|message|token|key|hash|_facet|_shape|_labels|_trace|replytocom|share\w*",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\s*[\[(]?\s*\d[\d.,\s]*[\])]?\s*$")


@dataclass(slots=True)
class Choice:
    """A parameter of a list, with the values that links give it and what they say."""

    origin: str
    path: str
    name: str
    rest: Query
    page: Page
    titles: dict[str, str] = field(default_factory=dict)
    directions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    is_sort: bool = False
    in_heads: bool = False


def choices(page: Page, *, paging: frozenset[str]) -> list[Choice]:
    """Return the orders and filters of the lists that ``page`` links to; ``paging`` names what counts pages."""
    here = address_of(page.url)
    if here is None:
        return []
    links = [
        (link, target) for link in page.links if (target := address_of(link.href)) and target.origin == here.origin
    ]
    found: dict[tuple[str, str, Query], Choice] = {}
    for link, target in links:
        for name, value, rest, direction in _parts(link, target, paging):
            key = (target.path, name, tuple(sorted(rest)))
            choice = found.setdefault(key, Choice(target.origin, target.path, name, rest, page))
            if len(choice.titles) < MAX_VALUES and len(value) <= _MAX_VALUE_CHARS:
                choice.titles.setdefault(value, _title(link))
                choice.in_heads |= _in_head(link)
                choice.is_sort |= bool(SORT.fullmatch(name)) or (_in_head(link) and bool(_HEAD_SORT.fullmatch(name)))
                if direction:
                    choice.directions[direction[0]].add(direction[1])
    return [choice for choice in _largest(found.values()) if _is_choice(choice, here)]


def _parts(
    link: Link, target: Address, paging: frozenset[str]
) -> Iterator[tuple[str, str, Query, tuple[str, str] | None]]:
    """Yield each parameter that may be what this link chooses, with the rest; an order's direction apart from both."""
    kept = [(name, value) for name, value in target.query if name not in paging and not _PAGE.fullmatch(name)]
    has_sort = any(_sorts(name, link) for name, value in kept if not _is_direction(name, value))
    direction = next((pair for pair in kept if has_sort and _is_direction(*pair)), None)
    for name, value in kept:
        if (name, value) == direction or not value:
            continue
        rest = tuple(pair for pair in kept if pair[0] != name and pair != direction)
        yield name, value, rest, direction if _sorts(name, link) else None


def _sorts(name: str, link: Link) -> bool:
    return bool(SORT.fullmatch(name)) or (_in_head(link) and bool(_HEAD_SORT.fullmatch(name)))


def _is_direction(name: str, value: str) -> bool:
    return bool(DIRECTION.fullmatch(name)) and value.casefold() in _DIRECTIONS


def _in_head(link: Link) -> bool:
    return any(ancestor.tag == "th" for ancestor in link.ancestors)


def _title(link: Link) -> str:
    text = link.text or link.label or link.title or link.image_text
    return (_COUNT.sub("", text) or text)[:100]


def _largest(found: Iterable[Choice]) -> list[Choice]:
    """Return one choice per list and parameter: the one with most values; of equals, with the fewest others fixed."""
    best: dict[tuple[str, str], Choice] = {}
    for choice in found:
        key = (choice.path, choice.name)
        known = best.get(key)
        if known is None or (len(choice.titles), -len(choice.rest)) > (len(known.titles), -len(known.rest)):
            best[key] = choice
    return list(best.values())


def _is_choice(choice: Choice, here: Address) -> bool:
    values = set(choice.titles)
    current = here.value(choice.name) if here.path == choice.path else None
    known = values | ({current} if current else set())
    if choice.is_sort:
        return len(known) > 1 or any(len(each) > 1 for each in choice.directions.values()) or choice.in_heads
    if _OTHER_THING.fullmatch(choice.name) or len(values) < 2:
        return False
    # Elsewhere such links lead to things; here they narrow what is shown.
    return here.path == choice.path and set(choice.rest) <= set(here.query)

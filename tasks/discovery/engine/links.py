"""Which links of a site are worth following: safe ones, and those to other kinds of pages first."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tasks.core.web_address import canonical, is_page_like, origin_of
from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.page import Link, Page
from tasks.discovery.tool import Effect

# A page of ten thousand links says nothing more than its first thousand.
_MAX_LINKS_OF_A_PAGE = 1000
# Of one name or number in a path: what differs between pages of one kind.
_VARIABLE = re.compile(r"\d|^[0-9a-f]{8,}$|(?:[^-_.]+[-_.]){2}|^.{25,}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A page that a link names.

    Args:
        order: where the link was seen, counted over the whole site.
        serves: how well its words serve the goal.
    """

    url: str
    depth: int
    order: int
    serves: float


class Links:
    """What is still to be looked at, level by level; each address once.

    Inside a level the pages of a kind that was seen least come first, then those whose words serve the goal, then the
    order of the links.
    """

    def __init__(self, *, max_depth: int, serves: Callable[[str], float], told: Callable[[str, str], None]) -> None:
        """Take ``serves`` for how well words serve the goal, and tell ``told`` of addresses left out, and why."""
        self._max_depth = max_depth
        self._serves = serves
        self._told = told
        self._known: set[str] = set()
        self._waiting: list[Candidate] = []
        self._kinds: Counter[str] = Counter()
        self._seen = 0
        self.origin = ""
        self.is_cut = False
        """Whether a page that could have been looked at was too deep."""

    def __len__(self) -> int:
        return len(self._waiting)

    def claim(self, url: str) -> bool:
        """Count a page as looked at; False where it was known before."""
        address = canonical(url) or url
        is_new = address not in self._known
        self._known.add(address)
        self._kinds[kind_of(address)] += 1
        return is_new

    def add(self, page: Page, *, depth: int) -> None:
        """Take the links of a page that was looked at."""
        for link in page.links[:_MAX_LINKS_OF_A_PAGE]:
            url = canonical(link.href, base=page.base_url or page.url)
            if url is None or url in self._known:
                continue
            self._known.add(url)
            if reason := self._refusal(url, link):
                self._told(url, reason)
                continue
            if depth >= self._max_depth:
                self.is_cut = True
                self._told(url, "max_depth")
                continue
            self._seen += 1
            serves = self._serves(f"{words_of(link)} {urlsplit(url).path}")
            self._waiting.append(Candidate(url, depth + 1, self._seen, serves))

    def take(self) -> Candidate | None:
        """Return the next page to look at."""
        if not self._waiting:
            return None
        level = min(one.depth for one in self._waiting)
        best = min((one for one in self._waiting if one.depth == level), key=self._rank)
        self._waiting.remove(best)
        self._kinds[kind_of(best.url)] += 1
        return best

    def give_back(self, candidate: Candidate) -> None:
        """Let a page that was taken wait again."""
        self._kinds[kind_of(candidate.url)] -= 1
        self._waiting.append(candidate)

    def _rank(self, candidate: Candidate) -> tuple[int, float, int]:
        return self._kinds[kind_of(candidate.url)], -candidate.serves, candidate.order

    def _refusal(self, url: str, link: Link) -> str:
        if origin_of(url) != self.origin:
            return "other_site"
        if not is_page_like(url):
            return "not_html"
        path = urlsplit(url)
        # A link is followed with GET, which some sites let delete things and end sessions.
        if effect_of("GET", words_of(link), path.path, path.query) is not Effect.READ:
            return "unsafe"
        return ""


def words_of(link: Link) -> str:
    """Return what a person reads on a link."""
    return link.label or link.text or link.title or link.image_text


def kind_of(url: str) -> str:
    """Return what addresses of one kind of page share: their path without names and numbers, and names of queries."""
    parts = urlsplit(url)
    path = "/".join("*" if _VARIABLE.search(segment) else segment for segment in parts.path.split("/"))
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return f"{path}?{'&'.join(names)}"

"""Which links of a site are worth following: safe ones, and those to other kinds of pages first."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tasks.core.web_address import canonical, is_page_like, origin_of
from tasks.discovery.engine.effects import effect_of, only_deletes
from tasks.discovery.engine.page import Link, Method, Page
from tasks.discovery.engine.sources.form_calls import is_token
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
        is_extra: no link leads to it, so that nothing of the site is left out without it.
    """

    url: str
    depth: int
    order: int
    serves: float
    is_extra: bool = False


class Links:
    """What is still to be looked at; each address once.

    Pages at places that nothing was seen of come first: a list with filters has more addresses than anybody looks at,
    and what lies below its items would never be reached. Then level by level; inside a level the pages of a kind that
    was seen least, then those whose words serve the goal, then the order of the links.
    """

    def __init__(
        self,
        *,
        max_depth: int,
        serves: Callable[[str], float],
        told: Callable[[str, str], None],
        opens_deletions: bool = False,
    ) -> None:
        """Take ``serves`` for how well words serve the goal, and tell ``told`` of addresses left out, and why.

        ``opens_deletions``: links that say delete are followed where everything says that the site asks first.
        """
        self._opens_deletions = opens_deletions
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
        return sum(not one.is_extra for one in self._waiting)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left at all, not even what no link leads to."""
        return not self._waiting

    def claim(self, url: str) -> bool:
        """Count a page as looked at; False where it was known before."""
        address = canonical(url) or url
        is_new = address not in self._known
        self._known.add(address)
        self._count(address)
        return is_new

    def add(self, page: Page, *, depth: int) -> None:
        """Take the links of a page that was looked at."""
        for link in (*page.links, *page.kept_back)[:_MAX_LINKS_OF_A_PAGE]:
            url = canonical(link.href, base=page.base_url or page.url)
            if url is None or url in self._known:
                continue
            self._known.add(url)
            if reason := self._refusal(url, link, page):
                self._told(url, reason)
                continue
            if depth >= self._max_depth:
                self.is_cut = True
                self._told(url, "max_depth")
                continue
            self._seen += 1
            serves = self._serves(f"{words_of(link)} {urlsplit(url).path}")
            self._waiting.append(Candidate(url, depth + 1, self._seen, serves))

    def name(self, url: str, *, depth: int = 1, is_extra: bool = False) -> None:
        """Take a page that the caller names, or one that no link leads to (``is_extra``)."""
        address = canonical(url) or url
        if address in self._known:
            return
        self._known.add(address)
        if origin_of(address) != self.origin:
            self._told(address, "other_site")
            return
        self._seen += 1
        self._waiting.append(Candidate(address, depth, self._seen, 0.0, is_extra))

    def take(self) -> Candidate | None:
        """Return the next page to look at."""
        if not self._waiting:
            return None
        best = min(self._waiting, key=self._rank)
        self._waiting.remove(best)
        self._count(best.url)
        return best

    def give_back(self, candidate: Candidate) -> None:
        """Let a page that was taken wait again."""
        self._count(candidate.url, -1)
        self._waiting.append(candidate)

    def _rank(self, candidate: Candidate) -> tuple[bool, int, int, float, int]:
        kind = kind_of(candidate.url)
        is_new_place = not self._kinds[_place_of(kind)]
        return not is_new_place, candidate.depth, self._kinds[kind], -candidate.serves, candidate.order

    def _count(self, url: str, times: int = 1) -> None:
        kind = kind_of(url)
        for counted in {kind, _place_of(kind)}:
            self._kinds[counted] += times

    def _refusal(self, url: str, link: Link, page: Page) -> str:
        if origin_of(url) != self.origin:
            return "other_site"
        if not is_page_like(url):
            return "not_html"
        path = urlsplit(url)
        # A link is followed with GET, which some sites let delete things and end sessions.
        if effect_of("GET", words_of(link), path.path, path.query) is not Effect.READ:
            return "" if self._opens_deletions and _asks_first(url, link, page) else "unsafe"
        return ""


def _place_of(kind: str) -> str:
    """Return the kind without its query."""
    return kind.partition("?")[0]


def _asks_first(url: str, link: Link, page: Page) -> bool:
    """Whether a link that says delete leads to a page that asks, as far as can be told without following it.

    It is a plain link to an address that ends in the deletion and says nothing else, on a page whose own forms are
    sent with tokens against forgery: where those are, a GET changes nothing unless somebody forgot.
    """
    parts = urlsplit(url)
    last = next((part for part in reversed(parts.path.split("/")) if part), "")
    is_plain = not link.is_scripted and all(value.startswith("/") for _, value in parse_qsl(parts.query))
    is_guarded = any(form.method is Method.POST and any(map(is_token, form.controls)) for form in page.forms)
    return is_plain and is_guarded and only_deletes(last) and only_deletes(words_of(link), parts.path)


def words_of(link: Link) -> str:
    """Return what a person reads on a link."""
    return link.label or link.text or link.title or link.image_text


def kind_of(url: str) -> str:
    """Return what addresses of one kind of page share: their path without names and numbers, and names of queries."""
    parts = urlsplit(url)
    path = "/".join("*" if _VARIABLE.search(segment) else segment for segment in parts.path.split("/"))
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return f"{path}?{'&'.join(names)}"

"""Words that stand on a site's own pages, to search it for: of its items rather than of its navigation."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.discovery.engine.lexicon import field_concepts, link_concepts
from tasks.discovery.engine.page import Link, Page

MAX_WORDS = 5
_WORD = re.compile(r"[^\W\d_]{4,14}")
# On more than this share of the pages, a word is the site's own furniture.
_FURNITURE = 0.6
_PLAIN = frozenset(
    {
        *(
            "about",
            "account",
            "after",
            "also",
            "back",
            "before",
            "best",
            "blog",
            "browse",
            "careers",
            "cart",
            "categories",
        ),
        *(
            "category",
            "click",
            "contact",
            "content",
            "cookie",
            "cookies",
            "docs",
            "documentation",
            "edit",
            "every",
            "feed",
        ),
        *("from", "have", "help", "here", "home", "index", "into", "legal", "license", "link", "links", "list", "main"),
        *("menu", "more", "most", "navigation", "news", "only", "other", "over", "page", "pages", "policy", "popular"),
        *("powered", "press", "privacy", "read", "recent", "report", "review", "reviews", "settings", "show", "skip"),
        *(
            "source",
            "support",
            "tags",
            "than",
            "that",
            "their",
            "there",
            "this",
            "topics",
            "view",
            "what",
            "when",
            "which",
        ),
        *("wiki", "will", "with", "your"),
    }
)


@dataclass(frozen=True, slots=True)
class SiteWords:
    """Words by the address of their page, best first."""

    by_page: dict[str, list[str]]

    def on(self, page: Page) -> list[str]:
        """Return words of ``page``, then of the site's other pages."""
        others = (word for url, words in self.by_page.items() if url != page.url for word in words)
        return list(dict.fromkeys((*self.by_page.get(page.url, ()), *others)))[:MAX_WORDS]


class CommonWords:
    """Which word most titles of the pages that were added so far have."""

    def __init__(self) -> None:
        self._titles: dict[str, set[str]] = {}

    def add(self, page: Page) -> None:
        """Count the titles that the page links to; one that several pages have counts once."""
        for link in page.links:
            for word, is_titled in _words_of(link):
                if is_titled:
                    self._titles.setdefault(word, set()).add(link.href)

    def commonest(self) -> str:
        """Return the word that most titles have, of equals the longest; empty where no two share one."""
        ranked = ((len(titles), len(word), word) for word, titles in self._titles.items())
        titles, _, word = max(ranked, default=(0, 0, ""))
        return word if titles > 1 else ""


def words_of_site(pages: list[Page]) -> SiteWords:
    """Return what each page could be searched for."""
    said = {page.url: list(_said(page)) for page in pages}
    shared = Counter(word for words in said.values() for word in {word for word, _ in words})
    most = _FURNITURE * len(said) if len(said) > 2 else len(said)
    return SiteWords({url: _best([one for one in words if shared[one[0]] <= most]) for url, words in said.items()})


def _said(page: Page) -> Iterator[tuple[str, bool]]:
    """Yield the words of links, and whether they stand in a title of several words."""
    for link in page.links:
        yield from _words_of(link)


def _words_of(link: Link) -> Iterator[tuple[str, bool]]:
    if _is_furniture(link):
        return
    words = _WORD.findall(link.text)
    for word in words:
        if word.casefold() not in _PLAIN and not field_concepts(word) and not link_concepts(word):
            yield word.casefold(), 2 <= len(words) <= 12


def _is_furniture(link: Link) -> bool:
    return any(ancestor.tag in ("nav", "footer", "header") for ancestor in link.ancestors)


def _best(words: list[tuple[str, bool]]) -> list[str]:
    in_titles = Counter(word for word, is_titled in words if is_titled)
    ranked = sorted(
        dict.fromkeys(word for word, _ in words),
        key=lambda word: (not in_titles[word], -min(in_titles[word], 3), -len(word)),
    )
    return ranked[:MAX_WORDS]

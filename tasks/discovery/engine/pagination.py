"""Which links lead to other pages of the same list, and whether a page has such links at all.

Weights: ``pagination.json``, made by ``python -m bench.pagination --fit``.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from tasks.discovery.engine.linear_model import LinearModel, load_model
from tasks.discovery.engine.link_features import link_features
from tasks.discovery.engine.page import Link, Page

# A page is believed to be one of several when its surest link is at least this sure.
PAGE_THRESHOLD = 0.5


class PageLinkKind(StrEnum):
    """Where a link leads; ``PAGE`` is one by its number."""

    PREVIOUS = "prev"
    PAGE = "page"
    NEXT = "next"
    FIRST = "first"
    LAST = "last"


NOT_PAGINATION = "none"


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link between pages of a list. ``probability`` is that of any pagination link, ``index`` counts in the page."""

    link: Link
    index: int
    kind: PageLinkKind
    probability: float


@dataclass(frozen=True, slots=True)
class Pagination:
    """The links found, in the order of the page, and the probability that the page is one of several."""

    links: tuple[PageLink, ...]
    probability: float

    @property
    def is_paginated(self) -> bool:
        """Whether the page is believed to be one of several."""
        return self.probability >= PAGE_THRESHOLD

    def first_of(self, kind: PageLinkKind) -> PageLink | None:
        """Return the surest link of a kind; the first of equals."""
        return max(
            (found for found in self.links if found.kind == kind), key=lambda found: found.probability, default=None
        )


def find_pagination(page: Page, *, model: LinearModel | None = None) -> Pagination:
    """Return the pagination of a page; ``model`` replaces the shipped one."""
    weights = model or _model()
    rows = weights.probabilities(link_features(page))
    none = weights.classes.index(NOT_PAGINATION)
    found = []
    for index, (link, row) in enumerate(zip(page.links, rows, strict=True)):
        if 1 - row[none] >= PAGE_THRESHOLD:
            kinds = {name: float(p) for name, p in zip(weights.classes, row, strict=True) if name != NOT_PAGINATION}
            kind = PageLinkKind(max(kinds, key=kinds.__getitem__))
            found.append(PageLink(link=link, index=index, kind=kind, probability=float(1 - row[none])))
    return Pagination(links=tuple(found), probability=float((1 - rows[:, none]).max(initial=0.0)))


@cache
def _model() -> LinearModel:
    return load_model("pagination")

"""What is read out of one page, in two steps: the second takes some ten times as long as the first."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outline:
    """What the crawl needs to go on. Fields as in ``contract.CrawledPage``."""

    title: str
    links: tuple[str, ...]
    canonical: str | None
    unfollowed: tuple[str, ...] = ()
    robots: tuple[tuple[str, str], ...] = ()
    """Names and contents of the ``meta`` elements that may be for robots."""
    is_shell: bool = False
    """Whether there are scripts and next to no words, so that the former seem to bring the latter."""


@dataclass(frozen=True, slots=True)
class MainText:
    """Main text as Markdown, and what the page says about itself. Fields as in ``contract.CrawledPage``."""

    text: str
    hash: str
    content_hash: str
    page_type: str
    headline: str
    author: str
    published: str
    modified: str
    language: str
    description: str
    structured: tuple[dict[str, Any], ...]
    forms: tuple[dict[str, Any], ...]

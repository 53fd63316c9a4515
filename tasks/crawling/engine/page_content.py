"""What is read out of one page, in two steps: the second takes a hundred times as long as the first."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outline:
    """What the crawl needs to go on. Fields as in ``contract.CrawledPage``."""

    title: str
    links: tuple[str, ...]
    canonical: str | None


@dataclass(frozen=True, slots=True)
class MainText:
    """Markdown, and its SHA-256 in hex."""

    text: str
    hash: str

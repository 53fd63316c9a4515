"""What was read out of one page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageContent:
    """Fields as in ``contract.CrawledPage``."""

    title: str
    text: str
    links: tuple[str, ...]
    canonical: str | None
    hash: str

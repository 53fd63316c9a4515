"""A site of given documents, for sources: what it is asked for is noted."""

from dataclasses import replace
from typing import Any

from tasks.discovery.engine.document_links import header_links
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.site import DeclaredTool, Document, Site, Snapshot

ORIGIN = "https://shop.example"


class Documents:
    """Answers fetches from a dictionary of path (or address) to text or ``(media type, text)``; 404 otherwise."""

    def __init__(self, documents: dict[str, Any] | None = None, *, origin: str = ORIGIN) -> None:
        self._documents = {self._absolute(path, origin): value for path, value in (documents or {}).items()}
        self.asked: list[str] = []

    @staticmethod
    def _absolute(path: str, origin: str) -> str:
        return path if "://" in path else origin + path

    def __call__(self, url: str, *, accept: str = "*/*") -> Document | None:
        self.asked.append(url)
        value = self._documents.get(url)
        if value is None:
            return Document(url, 404, "text/html", "<!DOCTYPE html><title>Not found</title><p>Nothing here")
        media_type, text = value if isinstance(value, tuple) else ("application/json", value)
        return Document(url, 200, media_type, text)


def site_of(
    html: str = "<title>Shop</title>",
    documents: dict[str, Any] | None = None,
    *,
    path: str = "/",
    origin: str = ORIGIN,
    declared: tuple[DeclaredTool, ...] = (),
    link_header: str = "",
) -> Site:
    """A site of one page, with documents beside it."""
    page = read_page(html, url=origin + path)
    page = replace(page, head_links=(*page.head_links, *header_links(link_header, base=page.url)))
    snapshot = Snapshot(page=page, html=html, declared=declared)
    return Site(origin=origin, snapshots=(snapshot,), fetch=Documents(documents, origin=origin))

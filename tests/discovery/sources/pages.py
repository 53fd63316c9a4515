"""Sites of pages that a test writes, as a source sees them."""

from pathlib import Path

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.site import Document, Site, Snapshot

ORIGIN = "https://example.org"
PAGES = Path(__file__).parents[1] / "pages"


def no_fetch(url: str, *, accept: str = "*/*") -> Document | None:
    """Find nothing."""
    return None


def snapshot_of(html: str, *, path: str = "/") -> Snapshot:
    """Return a page as static HTML shows it, without selectors."""
    return Snapshot(read_page(f"<!doctype html>{html}", url=f"{ORIGIN}{path}"), html)


def site_of(**pages: str) -> Site:
    """Return a site of pages by the name that their path ends in; ``start`` is the start page."""
    snapshots = [snapshot_of(html, path="/" if name == "start" else f"/{name}") for name, html in pages.items()]
    return Site(ORIGIN, tuple(snapshots), no_fetch)

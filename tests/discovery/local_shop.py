"""A small shop on loopback, ten pages and some that must not be visited, and what a source finds on it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from tasks.discovery.engine.site import Site
from tasks.discovery.tool import FormCall, FormField, Place, RequestCall, Slot, Source, Tool

PAGES = {
    "/": "<h1>Tea shop</h1><nav><a href=/products>Products</a> <a href=/products?page=2>Next</a> "
    "<a href=/about>About</a> <a href=/contact>Contact</a> <a href=/logout>Log out</a> "
    "<a href=/cart?delete=3>Delete from cart</a> <a href=/private/x>Private</a> "
    "<a href=http://elsewhere.test/>Elsewhere</a> <a href=/brochure.pdf>Brochure</a></nav>",
    "/products": "".join(f"<p><a href=/products/tea-{n}-of-the-house>Tea {n}</a>" for n in range(1, 8)),
    "/about": "<p>About us. <a href=/terms>Terms</a>",
    "/contact": "<form action=/send method=post><label>Message<textarea name=message></textarea></label>"
    "<button>Send</button></form>",
    "/terms": "<p>Terms.",
    "/private/x": "<p>Private.",
    "/logout": "<p>Logged out.",
    "/broken": "",
}
SEARCH = "<form action=/search><label>Search teas<input type=search name=q></label><button>Search</button></form>"
ROBOTS = "User-agent: *\nDisallow: /private/\n"


class LocalShop:
    """Serves the pages; ``hits`` counts requests by path, ``failing`` is a search that has gone."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        self.pages = dict(PAGES)
        self.statuses: dict[str, int] = {}
        self.failing = False
        self.robots: tuple[int, str] = (200, ROBOTS)
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, media_type, body = shop.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"127.0.0.1:{self._server.server_port}"
        self.origin = f"http://{self.endpoint}"

    def answer(self, target: str) -> tuple[int, str, bytes]:
        parts = urlsplit(target)
        self.hits[parts.path] += 1
        if parts.path == "/robots.txt":
            return self.robots[0], "text/plain", self.robots[1].encode()
        if parts.path == "/search" and self.failing:
            return 410, "text/html", _page("Gone", "<p>The search has moved.")
        if parts.path == "/search":
            words = parse_qs(parts.query).get("q", [""])[0]
            found = [f"Tea {n}" for n in range(1, 8) if words.lower() in f"tea {n}"]
            return 200, "text/html", _page("Search", "".join(f"<li>{one}" for one in found))
        if parts.path.startswith("/products/"):
            return 200, "text/html", _page("A tea", "<p>A tea.")
        if parts.path not in self.pages:
            return 404, "text/html", _page("Not found", "<p>No such page.")
        status = self.statuses.get(parts.path, 200)
        return status, "text/html; charset=utf-8", _page(parts.path, self.pages[parts.path])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _page(title: str, body: str) -> bytes:
    return f"<!doctype html><html lang=en><title>{title}</title><body>{SEARCH}{body}</body></html>".encode()


@contextmanager
def local_shop() -> Iterator[LocalShop]:
    """Serve a shop of one's own."""
    shop = LocalShop()
    try:
        yield shop
    finally:
        shop.close()


def a_search(origin: str, *, found_on: str = "") -> Tool:
    """A search form as a source would tell of it."""
    return Tool(
        name="search",
        title="Search teas",
        site=origin.rstrip("/"),
        found_on=found_on or f"{origin.rstrip('/')}/",
        source=Source.FORM,
        purpose="search",
        call=FormCall(
            page_url=found_on or f"{origin.rstrip('/')}/",
            url=f"{origin.rstrip('/')}/search",
            fields=(FormField(name="q", type="search", input="q"),),
            is_plain=True,
        ),
        input_schema={"type": "object", "properties": {"q": {"type": "string", "title": "Search teas"}}},
        prior=0.9,
        evidence=("a form with one text input",),
        examples=({"q": "tea"},),
    )


def find_search(site: Site) -> list[Tool]:
    """The search form of each page."""
    return [
        a_search(site.origin, found_on=snapshot.page.url)
        for snapshot in site.snapshots
        if any(form.action.endswith("/search") for form in snapshot.page.forms)
    ]


def find_messages(site: Site) -> list[Tool]:
    """The form of the contact page."""
    return [
        Tool(
            name="send_message",
            title="Send us a message",
            site=site.origin,
            found_on=snapshot.page.url,
            source=Source.FORM,
            purpose="contact/comment",
            effect="write",
            call=RequestCall(
                method="POST",
                url=f"{site.origin}/send",
                slots=(Slot(input="message", place=Place.FORM, name="message"),),
            ),
            input_schema={"type": "object", "properties": {"message": {"type": "string"}}},
            prior=0.8,
        )
        for snapshot in site.snapshots
        if any(form.action.endswith("/send") for form in snapshot.page.forms)
    ]

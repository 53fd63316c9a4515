"""A site of some thirty pages on loopback, with what crawlers meet: robots, a sitemap, a dead link, a slow page."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

PARAGRAPH = "Switching yards sort wagons by where they are bound; each wagon waits on its own track for its train. "
PAGES = 30


class Site:
    """Serves until closed; ``slow_s`` delays every page, so that a crawl can be met half way."""

    def __init__(self) -> None:
        self.slow_s = 0.0
        self.asked: list[str] = []
        self.docs: Callable[[], Path] | None = None
        """Where what is asked for below ``/docs/`` lies."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """``host:port``, as the egress guard's allow-list wants it."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The start page."""
        return f"http://{self.endpoint}/"

    @property
    def origin(self) -> str:
        """Where its pages come from, as a browser says it."""
        return f"http://{self.endpoint}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                if self.path.startswith("/docs/") and site.docs is not None:
                    status, media_type, body = _file(site.docs(), self.path.removeprefix("/docs/"))
                else:
                    status, media_type, body = _answer(self.path, site.slow_s)
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _file(folder: Path, path: str) -> tuple[int, str, bytes]:
    found = folder / (path or "index.html")
    if not found.is_file():
        return 404, "text/html", b"<title>gone</title><p>No such page.</p>"
    return 200, "text/html" if found.suffix == ".html" else "application/octet-stream", found.read_bytes()


def _answer(path: str, slow_s: float) -> tuple[int, str, bytes]:
    if path == "/robots.txt":
        return 200, "text/plain", b"User-agent: *\nDisallow: /private/\n"
    number = _page_number(path)
    if number is None:
        return 404, "text/html", b"<title>gone</title><p>No such page.</p>"
    time.sleep(slow_s)
    links = "".join(f'<li><a href="/page/{other}">page {other}</a>' for other in range(1, PAGES))
    body = (
        f"<!doctype html><html lang=en><head><title>Page {number}</title></head><body><nav><ul>{links}</ul></nav>"
        f"<main><h1>Page {number}</h1><p>{PARAGRAPH * 4}</p><p>This is page number {number}. {PARAGRAPH}</p></main>"
        '<a href="/private/ledger">private</a> <a href="/gone">gone</a></body></html>'
    )
    return 200, "text/html; charset=utf-8", body.encode()


def _page_number(path: str) -> int | None:
    if path == "/":
        return 0
    prefix, _, number = path.rpartition("/")
    return int(number) if prefix == "/page" and number.isdecimal() and int(number) < PAGES else None

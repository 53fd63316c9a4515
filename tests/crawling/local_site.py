"""A real HTTP server on loopback that serves a handcrafted site and remembers who asked for what, and when."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread


@dataclass(frozen=True)
class Reply:
    """What the server answers to one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True)
class Hit:
    """One request that came in."""

    target: str
    at: float
    headers: Mapping[str, str]


Answer = Reply | Callable[[int], Reply]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up in the middle are what many tests are about."""


class LocalSite:
    """Answers by path and query; a callable answer gets how often its target was asked for before."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"/robots.txt": Reply(status=404)}
        self.hits: list[Hit] = []
        self.stopping = Event()
        self._lock = Lock()
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def page(self, path: str, *links: str, text: str = "", head: str = "", delay_s: float = 0.0) -> None:
        """Serve an HTML page with these links; each page has a text of its own unless told."""
        self.answers[path] = Reply(html(path, *links, text=text, head=head), delay_s=delay_s)

    def targets(self) -> list[str]:
        """Paths and queries asked for, in order, robots.txt and the sitemap left out."""
        return [hit.target for hit in self.hits if hit.target not in {"/robots.txt", "/sitemap.xml"}]

    @contextmanager
    def serving(self) -> Iterator["LocalSite"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _reply(self, hit: Hit) -> Reply:
        with self._lock:
            times = sum(earlier.target == hit.target for earlier in self.hits)
            self.hits.append(hit)
        answer = self.answers.get(hit.target, Reply(b"nothing here", status=404))
        reply = answer if isinstance(answer, Reply) else answer(times)
        return Reply(status=304, headers=reply.headers) if _is_as_known(hit, reply) else reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet, else each answer waits 40 ms for an acknowledgement

            def do_GET(self) -> None:
                reply = site._reply(Hit(self.path, time.monotonic(), dict(self.headers)))
                site.stopping.wait(reply.delay_s)
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Type": "text/html; charset=utf-8", **reply.headers}.items():
                        if value:
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _is_as_known(hit: Hit, reply: Reply) -> bool:
    """Tell whether who asks has the reply already (RFC 9110, 13.2.2)."""
    if "If-None-Match" in hit.headers:
        return hit.headers["If-None-Match"] == reply.headers.get("ETag")
    since = hit.headers.get("If-Modified-Since")
    return since is not None and since == reply.headers.get("Last-Modified")


def html(path: str, *links: str, text: str = "", head: str = "") -> bytes:
    """Return a page whose main text is long enough to be taken for one."""
    # Under 250 characters trafilatura takes the whole page for its main text.
    words = text or f"This is the page at {path}, and it says something of its own. " * 5
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return (
        f"<!doctype html><html><head><title>Page {path}</title>{head}</head><body><nav><ul>{anchors}</ul></nav>"
        f"<main><h1>Heading of {path}</h1><p>{words}</p></main></body></html>"
    ).encode()

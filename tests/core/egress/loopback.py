"""A real web server on loopback, told by each test what to answer."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Loopback:
    """One server: ``answers`` by path, and the ``paths`` it was asked for, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.endpoint}{path}"

    def serve(self, path: str, body: bytes, **headers: str) -> None:
        """Answer ``path`` with ``body``."""
        self.answers[path] = lambda handler: respond(handler, body, **headers)

    def redirect(self, path: str, location: str) -> None:
        """Answer ``path`` with a redirect."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer

    def drip(self, path: str, *, head: bytes, every_s: float) -> None:
        """Answer ``path`` with ``head``, then one byte at a time until the test is over."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(head)
            while not self.released.wait(every_s):
                handler.wfile.write(b"x")

        self.answers[path] = answer

    def stay_silent(self, path: str) -> None:
        """Take requests for ``path`` and say nothing until the test is over."""
        self.answers[path] = lambda _: self.wait(5)

    def wait(self, seconds: float) -> None:
        """Wait, unless the test is over."""
        self.released.wait(seconds)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            body = b""

            def do_GET(self) -> None:  # the standard library's name
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                loopback.paths.append(self.path)
                loopback.headers.append({name.lower(): value for name, value in self.headers.items()})
                try:
                    loopback.answers[self.path.partition("?")[0]](self)
                except OSError:
                    self.close_connection = True

            do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Keep the test output quiet."""

        return Handler


def respond(handler: BaseHTTPRequestHandler, body: bytes, **headers: str) -> None:
    """Send 200 with ``body``; an underscore in a header's name stands for a hyphen."""
    handler.send_response(200)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)

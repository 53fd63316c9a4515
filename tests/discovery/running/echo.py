"""A web server that keeps the exact bytes of every request."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class EchoServer:
    """Serves ``pages`` by path (Content-Type and bytes), and anything else with a short page."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.extra_headers: dict[str, str] = {}
        self.received: list[Received] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.endpoint}{path}"

    def page(self, path: str, html: str, *, charset: str = "UTF-8", codec: str | None = None) -> str:
        """Serve a page in ``charset``; return its URL."""
        self.pages[path] = (f"text/html; charset={charset}", html.encode(codec or charset, "xmlcharrefreplace"))
        return self.url(path)

    def sent(self) -> list[Received]:
        """Return what came since the last call, but for pages and icons."""
        came = [each for each in self.received if each.target.partition("?")[0] not in {*self.pages, "/favicon.ico"}]
        self.received.clear()
        return came

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.add(connection)
                thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers: dict[str, str] = {}
                while (header := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", "0")))
                self.received.append(Received(method, target, headers, body))
                connection.sendall(self._answer(target))

    def _answer(self, target: str) -> bytes:
        path = target.partition("?")[0]
        content_type, body = self.pages.get(path, ("text/html", b"<title>got it</title><p>got it"))
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.extra_headers.items())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        return head.encode("latin-1") + body

"""The proxy that other tests break the network with, against plain sockets."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.proxy import Proxy, ports_of
from tests.samples import eventually
from tests.servers import free_port


class Echo:
    """Answers each piece of data with its own name and the data."""

    def __init__(self, name: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._name = name
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(4096):
                connection.sendall(self._name + data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo(b"a:")
    yield server
    server.close()


@contextlib.contextmanager
def connected(proxy: Proxy, *, timeout_s: float = 5.0) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_s) as client:
        yield client


def asked(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(4096)


def got(connection: HTTPConnection) -> int:
    connection.request("GET", "/")
    return int(connection.getresponse().read())


def got_anew(port: int) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        return got(connection)


def test_frozen_connections_go_on_where_they_stood(echo: Echo) -> None:
    """A freeze closes nothing and loses nothing, for connections from before and from within it."""
    with Proxy(echo.port) as proxy, connected(proxy) as before:
        assert b"a:1" == asked(before, b"1")
        proxy.freeze()
        with connected(proxy) as within:
            for client in (before, within):
                client.settimeout(0.3)
                client.sendall(b"2")
                with pytest.raises(TimeoutError):
                    client.recv(10)
                client.settimeout(5)
            proxy.forward()
            assert [b"a:2", b"a:2"] == [before.recv(10), within.recv(10)]


def test_stranded_connections_stay_silent_while_new_ones_work(echo: Echo) -> None:
    """Half-open sockets: neither closed nor answered, also after `forward`."""
    with Proxy(echo.port) as proxy, connected(proxy) as old:
        asked(old, b"1")
        proxy.strand()
        proxy.forward()
        with connected(proxy) as new:
            assert b"a:2" == asked(new, b"2")
        old.settimeout(0.3)
        old.sendall(b"3")
        with pytest.raises(TimeoutError):
            old.recv(10)


def test_cut_resets_old_and_new_connections(echo: Echo) -> None:
    """Everybody gets a reset until the proxy forwards again."""
    with Proxy(echo.port) as proxy, connected(proxy) as old:
        asked(old, b"1")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            old.recv(10)
        with pytest.raises(ConnectionResetError), connected(proxy) as new:
            asked(new, b"2")
        assert eventually(lambda: proxy.open_connections == 0)
        proxy.forward()
        with connected(proxy) as new:
            assert b"a:3" == asked(new, b"3")


def test_latency_is_added_in_each_direction(echo: Echo) -> None:
    """A round trip takes at least twice the latency."""
    with Proxy(echo.port, latency_ms=60) as proxy, connected(proxy) as client:
        began = time.monotonic()
        assert b"a:1" == asked(client, b"1")
        assert time.monotonic() - began >= 0.12


def test_large_data_and_its_end_pass_whole(echo: Echo) -> None:
    """A client that ends its side still gets everything, in order."""
    sent = b"0123456789" * 300_000
    with Proxy(echo.port, latency_ms=1) as proxy, connected(proxy, timeout_s=20) as client:
        got = bytearray()

        def read() -> None:
            while data := client.recv(65536):
                got.extend(data)

        reading = threading.Thread(target=read)
        reading.start()
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        reading.join(timeout=30)
    assert sent == bytes(got).replace(b"a:", b"")


def test_refused_backend_is_counted_and_seen() -> None:
    """Nothing hides a backend that is taken for ready and does not listen."""
    with Proxy(free_port()) as proxy:
        with pytest.raises(ConnectionResetError), connected(proxy) as client:
            asked(client, b"1")
        assert eventually(lambda: proxy.refused == 1)


def test_new_connections_follow_readiness() -> None:
    """A backend that answers 503 gets no new connection, and keeps those that it has."""
    ready = {1: True, 2: True}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = servers[self.server.server_port]
            self.send_response(200 if ready[number] or self.path != "/health/ready" else 503)
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b"%d" % number)

        def log_message(self, *args: object) -> None:
            pass

    made = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    servers = dict(zip([server.server_port for server in made], itertools.count(1), strict=False))
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}) for server in made]
    for thread in threads:
        thread.start()
    try:
        with Proxy(*servers, follow_ready=True, ready_every_s=0.05) as proxy:
            assert eventually(lambda: ports_of(proxy.ready) == set(servers))
            with contextlib.closing(HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as kept:
                first = got(kept)
                ready[first] = False
                assert eventually(lambda: len(proxy.ready) == 1)
                assert {3 - first} == {got_anew(proxy.port) for _ in range(4)}
                assert first == got(kept)
            ready[1] = ready[2] = False
            assert eventually(lambda: not proxy.ready)
    finally:
        for server in made:
            server.shutdown()
            server.server_close()

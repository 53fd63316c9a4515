"""The proxy, spoken to by hand: who is served, what is judged, what goes on to the server."""

import socket
from collections.abc import Iterator, Sequence

import httpcore
import pytest
from structlog.testing import capture_logs

from tests.core.egress.loopback import Loopback
from tests.core.egress.proxy_client import RunningProxy, everything, status_of, until
from tests.core.egress.raw_server import RawServer
from tests.samples import eventually

PUBLIC = "93.184.216.34"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nX-Odd: kept\r\n\r\nhello"


@pytest.fixture
def origin() -> Iterator[RawServer]:
    """An allowed server."""
    server = RawServer(HELLO)
    yield server
    server.close()


@pytest.fixture
def denied() -> Iterator[RawServer]:
    """A server that nobody allows: it must never be reached."""
    server = RawServer(HELLO)
    yield server
    assert 0 == server.arrivals
    server.close()


@pytest.fixture
def proxy(origin: RawServer, denied: RawServer) -> Iterator[RunningProxy]:
    """Allows ``origin``; the port of ``denied`` would do, its address does not."""
    running = RunningProxy(origin.endpoint, ports=[denied.port], head_timeout_s=0.5, idle_timeout_s=1.0)
    with capture_logs():
        yield running
    running.close()


def test_plain_request_is_carried(proxy: RunningProxy, origin: RawServer) -> None:
    """The server gets path, host and headers as to itself; the client gets the answer."""
    answer = proxy.ask(f"GET http://{origin.endpoint}/a?b=c", "X-Custom: 1", "Proxy-Connection: keep-alive")
    assert (200, b"hello") == (status_of(answer), answer[-5:])
    assert b"X-Odd: kept" in answer
    expected = f"GET /a?b=c HTTP/1.1\r\nHost: {origin.endpoint}\r\nX-Custom: 1\r\nConnection: close\r\n\r\n"
    assert expected.encode() == bytes(origin.connections[0])


def test_body_is_carried(proxy: RunningProxy, origin: RawServer) -> None:
    """A form's body arrives whole."""
    answer = proxy.ask(f"POST http://{origin.endpoint}/", "Content-Length: 7", body=b"a=1&b=2")
    assert 200 == status_of(answer)
    # This server answers to the first bytes, before it has all.
    assert eventually(lambda: origin.connections[0].endswith(b"\r\n\r\na=1&b=2"))


def test_requests_share_a_connection_and_each_is_judged(
    proxy: RunningProxy, origin: RawServer, denied: RawServer
) -> None:
    """A connection that was once used for an allowed server opens no other."""
    with proxy.connect() as sock:
        for endpoint, status in ((origin.endpoint, 200), (denied.endpoint, 403), (origin.endpoint, 200)):
            sock.sendall(f"GET http://{endpoint}/ HTTP/1.1\r\nHost: x\r\n".encode() + proxy.credentials() + b"\r\n")
            head = until(sock, b"\r\n\r\n")
            assert status == status_of(head)
            if status == 200:
                until(sock, b"hello")
    assert {denied.endpoint: 1} == proxy.holder.refused


def test_tunnel_carries_both_ways(proxy: RunningProxy, origin: RawServer) -> None:
    """After CONNECT, bytes pass as they are, also those sent together with the request."""
    with proxy.connect() as sock:
        request = f"CONNECT {origin.endpoint} HTTP/1.1\r\nHost: {origin.endpoint}\r\n".encode()
        sock.sendall(request + proxy.credentials() + b"\r\n" + b"\x16\x03early")
        assert 200 == status_of(until(sock, b"\r\n\r\n"))
        assert HELLO == until(sock, b"hello")
        sock.sendall(b"late")
        assert eventually(lambda: bytes(origin.connections[0]) == b"\x16\x03earlylate")


@pytest.mark.parametrize("method", ["GET http://{}/", "CONNECT {}"])
def test_denied_address_is_refused(proxy: RunningProxy, denied: RawServer, method: str) -> None:
    """A literal address of this machine is not reached, and the job can tell which."""
    assert 403 == status_of(proxy.ask(method.format(denied.endpoint)))
    assert {denied.endpoint: 1} == proxy.holder.refused


@pytest.mark.parametrize("line", ["GET http://127.0.0.1:{}/", "CONNECT 127.0.0.1:{}", "CONNECT localhost:{}"])
def test_proxy_does_not_lead_to_itself(proxy: RunningProxy, line: str) -> None:
    """A request through the proxy cannot use the proxy."""
    assert 403 == status_of(proxy.ask(line.format(proxy.proxy.port)))


def test_port_outside_the_list_is_refused(proxy: RunningProxy) -> None:
    """A public host does not open its other services."""
    assert 403 == status_of(proxy.ask("CONNECT example.com:6379"))


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT 127.1:{port}",  # reads as 127.0.0.1
        "CONNECT 0x7f000001:{port}",
        "CONNECT 127.0.0.1.:{port}",
        "CONNECT example.com@127.0.0.1:{port}",
        "CONNECT example.com:443@127.0.0.1:{port}",
        "CONNECT 127.0.0.1:{port}/path",
        "CONNECT 127.0.0.1:{port}?x",
        "CONNECT 127.0.0.1:{port}#x",
        "CONNECT example.com",
        "CONNECT example.com:",
        "CONNECT :443",
        "CONNECT example.com:0443",
        "CONNECT example.com:99999",
        "CONNECT http://127.0.0.1:{port}/",
        "CONNECT *",
        "GET /",
        "GET *",
        "OPTIONS *",
        "GET //127.0.0.1:{port}/",
        "GET https://127.0.0.1:{port}/",
        "GET ftp://127.0.0.1:{port}/",
        "GET file:///etc/passwd",
        "GET gopher://127.0.0.1:{port}/_x",
        "GET http://user:pw@127.0.0.1:{port}/",
        "GET http:127.0.0.1:{port}/",
        "GET http:\\\\127.0.0.1:{port}\\",
        "GET HTTP://127.0.0.1:{port}/",
        "GET http://127.0.0.1:{port}\\@example.com/",
    ],
)
def test_odd_target_opens_nothing(proxy: RunningProxy, denied: RawServer, origin: RawServer, line: str) -> None:
    """Whatever does not name its target exactly is turned away before anything is looked up or connected."""
    assert status_of(proxy.ask(line.format(port=denied.port))) in {400, 403}
    assert 0 == origin.arrivals


def test_host_header_is_replaced_by_the_target(proxy: RunningProxy, origin: RawServer, denied: RawServer) -> None:
    """RFC 9112, 3.2.2: what was judged is what the server is told, not what the request says besides."""
    proxy.ask(f"GET http://{origin.endpoint}/", host=denied.endpoint)
    assert f"Host: {origin.endpoint}\r\n".encode() in origin.connections[0]
    assert denied.endpoint.encode() not in origin.connections[0]


def test_nominated_and_hop_by_hop_headers_stay_behind(proxy: RunningProxy, origin: RawServer) -> None:
    """No credentials of the proxy, no upgrade, nothing that ``Connection`` names reaches the server."""
    proxy.ask(
        f"GET http://{origin.endpoint}/",
        "Connection: X-Secret, Upgrade",
        "X-Secret: 1",
        "Upgrade: h2c",
        "TE: trailers",
        "Keep-Alive: 5",
    )
    sent = bytes(origin.connections[0]).lower()
    assert [] == [
        name
        for name in (b"proxy-", b"x-secret", b"upgrade", b"\r\nte:", b"keep-alive", proxy.holder.user.encode())
        if name in sent
    ]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Length: 3", "Transfer-Encoding: chunked"), b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        (("Content-Length: 3", "Content-Length: 30"), b"abcGET /smuggled HTTP/1.1\r\n\r\n"),
        (("Transfer-Encoding: xchunked",), b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        (("Content-Length: -1",), b"GET /smuggled HTTP/1.1\r\n\r\n"),
        (("Host: other",), b""),
        ((" folded: yes",), b""),
        (("X-Space : 1",), b""),
        (("X-Nul: \0",), b""),
    ],
)
def test_ambiguous_head_is_refused(
    proxy: RunningProxy, origin: RawServer, headers: tuple[str, ...], body: bytes
) -> None:
    """A head that two servers could read differently goes nowhere."""
    answer = proxy.ask(f"POST http://{origin.endpoint}/", *headers, body=body)
    # Obsolete folding is legal to unfold (RFC 9112, 5.2); what arrives is one header then.
    if headers == (" folded: yes",):
        assert 1 >= len(origin.connections)
        return
    assert status_of(answer) in {400, 501}
    assert 0 == origin.arrivals


def test_request_that_follows_in_one_packet_is_judged_too(
    proxy: RunningProxy, origin: RawServer, denied: RawServer
) -> None:
    """What lies behind a body is a request to the proxy, never one to the server."""
    with proxy.connect() as sock:
        first = f"POST http://{origin.endpoint}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n".encode()
        second = f"GET http://{denied.endpoint}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        sock.sendall(first + proxy.credentials() + b"\r\n.")
        sock.sendall(second + proxy.credentials() + b"\r\n")
        answers = everything(sock)
    assert (1, 1) == (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 403"))
    assert origin.connections[0].endswith(b"\r\n\r\n.")


def test_oversized_head_is_refused(proxy: RunningProxy, origin: RawServer) -> None:
    """More headers than the limit get 431."""
    answer = proxy.ask(f"GET http://{origin.endpoint}/", *(f"X-{number}: {'x' * 1000}" for number in range(200)))
    assert (431, 0) == (status_of(answer), origin.arrivals)


def test_slow_head_is_cut_off(proxy: RunningProxy, origin: RawServer) -> None:
    """One byte now and then does not keep a connection: the whole head has one limit."""
    with proxy.connect() as sock:
        sock.settimeout(0.02)
        for byte in b"GET http://x/ HTTP/1.1\r\n" + b"X-Slow: 1\r\n" * 500:
            try:
                sock.sendall(bytes([byte]))
                assert 408 == status_of(sock.recv(1000))
            except TimeoutError:
                continue
            break
        else:
            pytest.fail("it went on")
    assert 0 == origin.arrivals


def test_silent_client_and_silent_tunnel_are_closed(proxy: RunningProxy, origin: RawServer) -> None:
    """Who says nothing loses the connection, before a request and within a tunnel."""
    origin.answer = b""
    with proxy.connect() as sock:
        assert b"" == everything(sock)
    with proxy.connect() as sock:
        sock.sendall(f"CONNECT {origin.endpoint} HTTP/1.1\r\nHost: x\r\n".encode() + proxy.credentials() + b"\r\n")
        assert everything(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("line", [b"", b"Proxy-Authorization: Basic !!!\r\n", b"Proxy-Authorization: Bearer x\r\n"])
def test_nobody_else_may_use_it(proxy: RunningProxy, origin: RawServer, line: bytes) -> None:
    """Without credentials, or with none that can be read, the answer is 407."""
    with proxy.connect() as sock:
        sock.sendall(f"CONNECT {origin.endpoint} HTTP/1.1\r\nHost: x\r\n".encode() + line + b"\r\n")
        head = until(sock, b"\r\n\r\n")
    assert 407 == status_of(head)
    assert b"Proxy-Authenticate: Basic" in head
    assert 0 == origin.arrivals


def test_guessed_and_doubled_credentials_are_refused(proxy: RunningProxy, origin: RawServer) -> None:
    """The right user with another password, and two answers to one question, are nobody."""
    for lines in (proxy.credentials(password="guess"), proxy.credentials() * 2, proxy.credentials(user="guess")):
        with proxy.connect() as sock:
            sock.sendall(f"CONNECT {origin.endpoint} HTTP/1.1\r\nHost: x\r\n".encode() + lines + b"\r\n")
            assert 407 == status_of(until(sock, b"\r\n\r\n"))
    assert 0 == origin.arrivals


def test_withdrawn_pass_ends_its_connections(proxy: RunningProxy, origin: RawServer) -> None:
    """When a job is over, so is every tunnel it opened, and its credentials are void."""
    with proxy.connect() as sock:
        sock.sendall(f"CONNECT {origin.endpoint} HTTP/1.1\r\nHost: x\r\n".encode() + proxy.credentials() + b"\r\n")
        until(sock, b"\r\n\r\n")
        proxy.withdraw()
        assert b"" == everything(sock)
    assert 407 == status_of(proxy.ask(f"GET http://{origin.endpoint}/"))


def test_bytes_of_a_pass_are_capped(server: Loopback) -> None:
    """An answer larger than what is left breaks off, and nothing more is carried."""
    server.serve("/", b"x" * 300_000)
    running = RunningProxy(server.endpoint, max_bytes=100_000)
    try:
        with capture_logs():
            assert len(running.ask(f"GET {server.url()}")) < 200_000
            assert running.holder.is_spent
            assert 403 == status_of(running.ask(f"GET {server.url()}"))
    finally:
        running.close()
    assert ["/"] == server.paths


def test_connections_are_capped(origin: RawServer) -> None:
    """One more than the limit is turned away at once; a free place is used again."""
    running = RunningProxy(origin.endpoint, max_connections=2)
    try:
        with capture_logs() as logs, running.connect(), running.connect(), running.connect() as third:
            assert b"" == everything(third)
        assert "egress_proxy_full" in [entry["event"] for entry in logs]
        assert eventually(lambda: b"200" in running.ask(f"GET http://{origin.endpoint}/")[:12])
    finally:
        running.close()


def test_name_is_looked_up_once_for_each_connection(denied: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was judged is the one connected to; answers that change later cannot matter."""
    answers = iter([[PUBLIC], [denied.host], [PUBLIC, denied.host]])
    asked: list[str] = []

    def flipping(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    connected: list[str] = []

    async def connect_tcp(_: object, address: str, *__: object, **___: object) -> None:
        connected.append(address)
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_tcp)
    running = RunningProxy(ports=[denied.port], resolver=flipping)
    try:
        with capture_logs():
            statuses = [status_of(running.ask(f"CONNECT flips.example.com:{denied.port}")) for _ in range(3)]
    finally:
        running.close()
    assert ([502, 403, 403], [PUBLIC], 3) == (statuses, connected, len(asked))


def test_server_that_breaks_off_or_talks_nonsense_is_told_as_such(proxy: RunningProxy, origin: RawServer) -> None:
    """502 before an answer has begun; afterwards the connection breaks, so that nobody takes it for complete."""
    origin.answer = b"SSH-2.0-OpenSSH\r\n\r\n"
    assert 502 == status_of(proxy.ask(f"GET http://{origin.endpoint}/"))


def test_unreachable_server_is_told_from_a_refused_one(proxy: RunningProxy) -> None:
    """Nothing listens: 502, and no refusal is noted."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint = f"127.0.0.1:{gone.getsockname()[1]}"
    running = RunningProxy(endpoint)
    try:
        assert 502 == status_of(running.ask(f"CONNECT {endpoint}"))
        assert {} == running.holder.refused
    finally:
        running.close()


def test_head_and_answers_without_a_body(server: Loopback) -> None:
    """HEAD keeps its Content-Length and sends no body."""
    server.serve("/", b"12345")
    running = RunningProxy(server.endpoint)
    try:
        answer = running.ask(f"HEAD {server.url()}")
    finally:
        running.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"content-length: 5" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")

"""The client against real servers on loopback."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, TooLarge, Transient
from tests.core.egress.loopback import Loopback, respond

PUBLIC = "93.184.216.34"


def egress_for(*servers: Loopback, **options: Any) -> Egress:
    return Egress(EgressPolicy(allow=frozenset(server.endpoint for server in servers)), **options)


@contextmanager
def client_for(*servers: Loopback, **limits: Any) -> Iterator[httpx.Client]:
    with egress_for(*servers) as egress, egress.client(**limits) as client:
        yield client


def test_allowed_server_is_reached(server: Loopback) -> None:
    """An exact host and port on the allow-list answers, on loopback or not."""
    server.serve("/a", b"hello")
    with client_for(server) as client:
        assert client.get(server.url("/a")).text == "hello"


def test_loopback_is_refused_by_default(inner: Loopback) -> None:
    """Without an allow-list nothing on this machine is reached."""
    with capture_logs(), client_for() as client, pytest.raises(EgressRefused):
        client.get(inner.url())
    assert inner.paths == []


def test_port_outside_the_list_is_refused() -> None:
    """A public host does not open its other services."""
    with capture_logs() as logs, client_for() as client, pytest.raises(EgressRefused):
        client.get("http://example.com:6379/")
    assert [log["reason"] for log in logs] == ["port is not allowed"]


def test_redirect_within_the_server_is_followed(server: Loopback) -> None:
    """A relative redirect leads where a browser would go."""
    server.redirect("/a", "b?c=d")
    server.serve("/b", b"there")
    with client_for(server) as client:
        assert client.get(server.url("/a")).text == "there"
    assert server.paths == ["/a", "/b?c=d"]


def test_redirect_inward_is_refused(server: Loopback, inner: Loopback) -> None:
    """A server we may reach cannot send us to one we may not."""
    server.redirect("/", inner.url())
    with capture_logs(), client_for(server) as client, pytest.raises(EgressRefused):
        client.get(server.url())
    assert inner.paths == []


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://0x7f.1/",
        "http://[::ffff:7f00:1]/",
        "http://localhost/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "http://user:pw@example.com/",
        "//127.0.0.1/",
    ],
)
def test_hostile_redirect_is_refused(server: Loopback, location: str) -> None:
    """Every hop is judged like a first address, whatever its spelling."""
    server.redirect("/", location)
    with capture_logs(), client_for(server) as client, pytest.raises(EgressRefused):
        client.get(server.url())


def test_redirects_are_counted(server: Loopback) -> None:
    """A loop of redirects ends at the cap."""
    server.redirect("/", "/")
    with client_for(server, max_redirects=3) as client, pytest.raises(httpx.TooManyRedirects):
        client.get(server.url())
    assert len(server.paths) == 4


def test_request_that_two_parsers_read_differently_is_refused(server: Loopback) -> None:
    """A request made around ``build_request`` is still judged by the address the connection would go to."""
    with capture_logs() as logs, client_for(server) as client, pytest.raises(EgressRefused):
        client.send(httpx.Request("GET", "http://0x08080808/"))
    assert [log["reason"] for log in logs] == ["two readings of one URL"]


def test_environment_proxies_are_never_used(server: Loopback, inner: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names for us, out of our sight."""
    monkeypatch.setenv("HTTP_PROXY", inner.url())
    monkeypatch.setenv("ALL_PROXY", inner.url())
    server.serve("/", b"direct")
    with client_for(server) as client:
        assert client.get(server.url()).text == "direct"
    assert inner.paths == []


def test_request_says_who_asks_and_what_it_can_decode(server: Loopback) -> None:
    """Servers see the operator's user agent, and no encoding that cannot be bounded."""
    server.serve("/", b"")
    policy = EgressPolicy(allow=frozenset({server.endpoint}), user_agent="Example/1")
    with Egress(policy) as egress, egress.client() as client:
        client.get(server.url())
    sent = server.headers[0]
    assert ("Example/1", "gzip, deflate", server.endpoint) == (
        sent["user-agent"],
        sent["accept-encoding"],
        sent["host"],
    )


def test_body_at_the_cap_is_read(server: Loopback) -> None:
    """The cap is the most that is allowed, not the least that is refused."""
    server.serve("/", b"x" * 1000)
    with client_for(server, max_bytes=1000) as client:
        assert len(client.get(server.url()).content) == 1000


def test_announced_body_over_the_cap_is_refused(server: Loopback) -> None:
    """A body that says it is too large is not read at all."""
    server.serve("/", b"x" * 1001)
    with client_for(server, max_bytes=1000) as client, pytest.raises(TooLarge):
        client.send(client.build_request("GET", server.url()), stream=True)


def test_unannounced_body_over_the_cap_is_refused(server: Loopback) -> None:
    """A body that never ends is read up to the cap."""
    server.drip("/", head=b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, every_s=0.01)
    with client_for(server, max_bytes=1000) as client, pytest.raises(TooLarge):
        client.get(server.url())


def test_head_of_a_large_resource_is_answered(server: Loopback) -> None:
    """A length without a body costs nothing."""
    server.serve("/", b"x" * 1001)
    with client_for(server, max_bytes=1000) as client:
        assert client.head(server.url()).headers["content-length"] == "1001"


def test_gzip_is_decoded(server: Loopback) -> None:
    """The caller reads plain bytes, and headers that describe them."""
    server.serve("/", gzip.compress(b"hello"), Content_Encoding="gzip")
    with client_for(server) as client:
        response = client.get(server.url())
    assert (response.content, "content-encoding" in response.headers) == (b"hello", False)


def test_gzip_bomb_is_refused(server: Loopback) -> None:
    """A small body that decodes to a huge one meets the same cap."""
    server.serve("/", gzip.compress(b"\0" * 10_000_000), Content_Encoding="gzip")
    with client_for(server, max_bytes=100_000) as client, pytest.raises(TooLarge):
        client.get(server.url())


def test_gzip_that_decodes_to_nothing_is_refused(server: Loopback) -> None:
    """An endless run of empty members is counted on the wire."""
    server.serve("/", gzip.compress(b"") * 100, Content_Encoding="gzip")
    with client_for(server, max_bytes=1000) as client, pytest.raises(TooLarge):
        client.get(server.url())


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["header", "body"])
def test_dripping_server_meets_the_total_limit(server: Loopback, head: bytes) -> None:
    """A server that is never silent for long is still cut off."""
    server.drip("/", head=head, every_s=0.02)
    started = time.monotonic()
    with client_for(server, total_timeout_s=0.3) as client, pytest.raises(Transient):
        client.get(server.url())
    assert time.monotonic() - started < 2


def test_redirects_share_the_total_limit(server: Loopback) -> None:
    """Each hop gets what the ones before it left."""
    hop = server.answers

    def slow(handler: Any) -> None:
        server.wait(0.2)
        redirect(handler)

    server.redirect("/", "/")
    redirect, hop["/"] = hop["/"], slow
    with client_for(server, total_timeout_s=0.5) as client, pytest.raises(Transient):
        client.get(server.url())
    assert len(server.paths) <= 3


def test_each_send_has_its_own_total_limit(server: Loopback) -> None:
    """The same request sent again starts afresh."""
    server.serve("/", b"")
    with client_for(server, total_timeout_s=0.3) as client:
        request = client.build_request("GET", server.url())
        client.send(request)
        time.sleep(0.4)
        assert client.send(request).status_code == 200


def test_silent_server_meets_the_read_limit(server: Loopback) -> None:
    """A server that says nothing is a read timeout, which names the server's fault more exactly."""
    server.stay_silent("/")
    with client_for(server, read_timeout_s=0.2) as client, pytest.raises(httpx.ReadTimeout):
        client.get(server.url())


def test_caller_may_shorten_one_request(server: Loopback) -> None:
    """httpx's own ``timeout`` lowers a limit and cannot raise it."""
    server.stay_silent("/")
    with client_for(server, read_timeout_s=0.2) as client, pytest.raises(httpx.ReadTimeout):
        client.get(server.url(), timeout=None)


def test_connection_is_kept_for_the_next_request(server: Loopback) -> None:
    """Guarding costs no connection: the second request finds the first one's."""
    peers = []

    def answer(handler: Any) -> None:
        peers.append(handler.client_address)
        respond(handler, b"")

    server.answers["/"] = answer
    with client_for(server) as client:
        client.get(server.url())
        client.get(server.url())
    assert peers[0] == peers[1]


class Names:
    """A resolver that gives each lookup the next of ``rounds``, and counts."""

    def __init__(self, *rounds: Sequence[str]) -> None:
        self.rounds = list(rounds)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.rounds[min(len(self.asked), len(self.rounds)) - 1]


@contextmanager
def network_leading_to(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Lead every connection to loopback and collect the addresses that were meant."""
    meant: list[Any] = []
    connect = socket.create_connection

    def create_connection(address: Any, *args: Any, **kwargs: Any) -> socket.socket:
        meant.append(address)
        return connect(("127.0.0.1", port), *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", create_connection)
        yield meant


def test_connection_goes_to_the_checked_address(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time is never asked a second time."""
    names = Names([PUBLIC], ["127.0.0.1"])
    server.serve("/", b"public")
    with (
        Egress(resolver=names) as egress,
        egress.client() as client,
        network_leading_to(server.port, monkeypatch) as meant,
    ):
        assert client.get("http://example.com/").text == "public"
    assert (names.asked, meant) == ([("example.com", 80)], [(PUBLIC, 80)])


def test_one_denied_answer_condemns_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public and a private address is refused before any connection."""
    with (
        capture_logs() as logs,
        Egress(resolver=Names([PUBLIC, "10.0.0.7"])) as egress,
        egress.client() as client,
        network_leading_to(9, monkeypatch) as meant,
        pytest.raises(EgressRefused) as caught,
    ):
        client.get("http://example.com/")
    assert meant == []
    assert "10.0.0.7" not in caught.value.message
    assert [(log["address"], log["reason"]) for log in logs] == [("10.0.0.7", "private use")]


def test_answer_that_is_no_address_is_refused() -> None:
    """A resolver that answers with a name would move the lookup out of sight."""
    with (
        capture_logs(),
        Egress(resolver=Names(["localhost"])) as egress,
        egress.client() as client,
        pytest.raises(EgressRefused),
    ):
        client.get("http://example.com/")


def test_next_address_is_tried_when_one_is_dead(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with one dead server is still reached."""
    connect = socket.create_connection

    def create_connection(address: Any, *args: Any, **kwargs: Any) -> socket.socket:
        if address[0] == PUBLIC:
            raise ConnectionRefusedError
        return connect(("127.0.0.1", server.port), *args, **kwargs)

    server.serve("/", b"second")
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with Egress(resolver=Names([PUBLIC, "93.184.216.35"])) as egress, egress.client() as client:
        assert client.get("http://example.com/").text == "second"


def test_unreachable_server_is_reported_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the host that the caller named, nothing more."""

    def create_connection(address: Any, *_: Any, **__: Any) -> socket.socket:
        raise ConnectionRefusedError(f"refused by {address}")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with (
        Egress(resolver=Names([PUBLIC])) as egress,
        egress.client() as client,
        pytest.raises(httpx.ConnectError) as caught,
    ):
        client.get("http://example.com/")
    assert str(caught.value) == "Could not connect to example.com."


def test_unknown_name_is_a_connection_error() -> None:
    """A name that does not exist is the network's answer, not a refusal."""

    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with (
        Egress(resolver=unknown) as egress,
        egress.client() as client,
        pytest.raises(httpx.ConnectError, match="resolved"),
    ):
        client.get("http://example.com/")


def test_slow_lookup_meets_the_connect_limit() -> None:
    """A name server cannot hold us longer than a web server may."""
    released = threading.Event()

    def slow(host: str, port: int) -> Sequence[str]:
        released.wait(5)
        return [PUBLIC]

    with (
        Egress(resolver=slow) as egress,
        egress.client(connect_timeout_s=0.1) as client,
        pytest.raises(httpx.ConnectTimeout),
    ):
        client.get("http://example.com/")
    released.set()


def test_tls_is_done_under_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to an address, the certificate is asked for by name."""
    names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def shake_hands(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_hands, args=(listener,))
        thread.start()
        with (
            Egress(resolver=Names([PUBLIC])) as egress,
            egress.client() as client,
            network_leading_to(listener.getsockname()[1], monkeypatch),
            pytest.raises(httpx.ConnectError),
        ):
            client.get("https://example.com/", extensions={"sni_hostname": "other.example.com"})
        thread.join()
    assert names == ["example.com"]


def test_addresses_are_looked_up_once_and_checked() -> None:
    """What speaks another protocol gets addresses that it may connect to."""
    names = Names([PUBLIC])
    with Egress(resolver=names) as egress:
        assert (egress.addresses(egress.check("https://example.com/")), names.asked) == (
            [PUBLIC],
            [("example.com", 443)],
        )


def test_addresses_of_a_private_name_are_refused() -> None:
    """A public-looking name with a private address gives none."""
    with capture_logs(), Egress(resolver=Names(["192.168.1.1"])) as egress, pytest.raises(EgressRefused):
        egress.addresses(egress.check("https://example.com/"))

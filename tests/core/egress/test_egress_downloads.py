"""Downloads over libcurl: the promises of the other clients, kept by other means."""

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
from structlog.testing import capture_logs

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.egress import downloads as downloads_module
from tasks.core.egress import transfers as transfers_module
from tasks.core.egress.downloads import Downloads
from tasks.core.egress.judged_addresses import JudgedAddresses
from tasks.core.errors import EgressRefused, TooLarge
from tests.core.egress.downloading import PUBLIC, egress_for, get, run
from tests.core.egress.loopback import Loopback


def test_answer_has_status_headers_and_body(server: Loopback) -> None:
    """Names of headers are in lower case; one that comes twice keeps both values."""

    def answer(handler: Any) -> None:
        handler.send_response(404)
        for name, value in (("X-Robots-Tag", "a"), ("x-robots-tag", "b, c"), ("Content-Length", "5")):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"hello")

    server.answers["/a"] = answer
    found = get(egress_for(server.endpoint), server.url("/a?b=c%20d"))
    assert (found.head.status, found.body, found.is_cut) == (404, b"hello", False)
    assert (found.head.all("x-robots-tag"), found.head.get("x-robots-tag")) == (["a", "b, c"], "a, b, c")
    assert server.paths == ["/a?b=c%20d"]


def test_request_says_who_asks_and_what_it_can_decode(server: Loopback) -> None:
    """As the policy has it, unless the caller says otherwise; what is added nobody can take away."""
    server.serve("/", b"")
    egress = egress_for(server.endpoint, user_agent="Example/1")

    async def work(web: Downloads) -> None:
        for headers in ({}, {"User-Agent": "Other/2", "Accept-Encoding": "br", "If-None-Match": '"é"'}):
            await web.get(server.url(), headers, wants=lambda _head: 1)

    run(egress, work)
    said = [(sent["user-agent"], sent["accept-encoding"], sent["host"]) for sent in server.headers]
    assert said == [("Example/1", "gzip, deflate", server.endpoint), ("Other/2", "gzip, deflate", server.endpoint)]
    assert server.headers[1]["if-none-match"] == '"é"'


def test_header_with_a_line_break_is_not_sent(server: Loopback) -> None:
    """It would be two headers, or a second request."""
    with pytest.raises(httpx.LocalProtocolError, match="User-Agent"):
        get(egress_for(server.endpoint), server.url(), headers={"User-Agent": "x\r\nHost: other"})
    assert server.paths == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/", "loopback"),
        ("http://[::ffff:7f00:1]/", None),
        ("http://0x7f.1/", "loopback"),
        ("http://169.254.169.254/latest/meta-data/", "link local"),
        ("http://localhost/", None),
        ("http://example.com:6379/", "port is not allowed"),
        ("file:///etc/passwd", None),
        ("gopher://127.0.0.1:6379/_INFO", None),
        ("http://user:pw@example.com/", None),
    ],
)
def test_forbidden_address_is_refused(url: str, reason: str | None) -> None:
    """By its text, before anything is looked up."""
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC]

    egress = Egress(resolver=resolve)
    with capture_logs() as logs, pytest.raises(EgressRefused):
        get(egress, url)
    assert asked == []
    assert reason is None or [log["reason"] for log in logs] == [reason]


def test_one_denied_answer_condemns_the_name() -> None:
    """A name with a public and a private address is refused before any connection."""
    with capture_logs() as logs, pytest.raises(EgressRefused) as caught:
        get(egress_for(answers=(PUBLIC, "10.0.0.7")), "http://example.com/")
    assert "10.0.0.7" not in caught.value.message
    assert [(log["address"], log["reason"]) for log in logs] == [("10.0.0.7", "private use")]


def test_connection_goes_to_a_judged_address_and_none_else(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if libcurl were led elsewhere: here it is told another address than the one that was judged."""
    server.serve("/", b"secret")
    monkeypatch.setattr(transfers_module, "_written", lambda _address: "127.0.0.1")
    egress = egress_for(f"example.com:{server.port}", answers=(PUBLIC,))
    with capture_logs() as logs, pytest.raises(EgressRefused):
        get(egress, f"http://example.com:{server.port}/")
    assert server.paths == []
    assert [(log["reason"], log["address"]) for log in logs] == [("address was not judged", "127.0.0.1")]


def test_name_is_looked_up_once_for_many_requests(server: Loopback) -> None:
    """The server is asked by its name, at the address that was judged."""
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    server.serve("/", b"x")
    place = f"example.com:{server.port}"

    async def work(web: Downloads) -> list[int]:
        answers = [await web.get(f"http://{place}/", {}, wants=lambda _head: 9) for _ in range(3)]
        return [answer.head.status for answer in answers]

    assert run(Egress(EgressPolicy(allow=frozenset({place})), resolver=resolve), work) == [200] * 3
    assert asked == [("example.com", server.port)]
    assert server.headers[0]["host"] == place


def test_next_address_is_tried_when_one_is_dead(server: Loopback) -> None:
    """A site with one dead server is still reached: nobody listens on 127.0.0.2."""
    server.serve("/", b"second")
    egress = egress_for(f"example.com:{server.port}", answers=("127.0.0.2", "127.0.0.1"))
    assert get(egress, f"http://example.com:{server.port}/").body == b"second"


def test_request_that_waited_may_connect_to_what_was_judged_meanwhile(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits for a connection a later request brings other addresses, and libcurl goes by those."""
    monkeypatch.setattr(downloads_module, "_LOOKUP_COUNTS_S", -1.0)
    is_asked, is_looked_up = asyncio.Event(), asyncio.Event()
    answers = iter(["127.0.0.1", "127.0.0.2"])

    def resolve(_host: str, _port: int) -> Sequence[str]:
        return [next(answers)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if asked.startswith(b"GET /first"):
            is_asked.set()
            await is_looked_up.wait()
        place = writer.get_extra_info("sockname")[0].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n" + place)
        await writer.drain()
        writer.close()

    async def main() -> list[bytes]:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        second = await asyncio.start_server(serve, "127.0.0.2", port)
        allowed = frozenset({f"127.0.0.1:{port}", f"example.com:{port}"})
        with Egress(EgressPolicy(allow=allowed), resolver=resolve) as egress:
            async with listener, second, egress.downloads(max_connections=1) as web:

                async def ask(url: str) -> bytes:
                    return (await web.get(url, {}, wants=lambda _head: 9)).body

                asking = [asyncio.create_task(ask(f"http://127.0.0.1:{port}/first"))]
                await is_asked.wait()
                for n in range(2):
                    asking.append(asyncio.create_task(ask(f"http://example.com:{port}/{n}")))
                    await asyncio.sleep(0.1)
                is_looked_up.set()
                return await asyncio.gather(*asking)

    assert set(asyncio.run(main())) <= {b"127.0.0.1", b"127.0.0.2"}


def test_judged_address_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged for one host and port is judged for no other, and not for ever."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    judged, place, address = JudgedAddresses(counts_s=5, kept_s=20), ("a.example.org", 80), ip_address("1.1.1.1")
    judged.keep(place, ["1.1.1.1"])
    assert (judged.current(place), judged.holds(place, address)) == (["1.1.1.1"], True)
    assert not any(judged.holds(other, address) for other in [("a.example.org", 443), ("b.example.org", 80)])
    now = 106.0
    assert (judged.current(place), judged.holds(place, address)) == ((), True)
    judged.keep(place, ["2.2.2.2"])
    assert (judged.current(place), judged.holds(place, address)) == (["2.2.2.2"], True)
    now = 121.0
    assert (judged.holds(place, address), judged.holds(place, ip_address("2.2.2.2"))) == (False, True)


@pytest.mark.parametrize("host", ["-a.example.org", "a_b.example.org", "a.example.org."])
def test_name_of_any_look_is_led_where_it_was_judged(server: Loopback, host: str) -> None:
    """libcurl looks up none of them, although a hyphen in front means something in its list of addresses."""
    server.serve("/", b"x")
    assert get(egress_for(f"{host}:{server.port}"), f"http://{host}:{server.port}/").body == b"x"


def test_name_that_libcurl_takes_for_none_is_an_invalid_url(server: Loopback) -> None:
    """WHATWG's URLs allow more; the error is the address's, and trying again does not help."""
    with pytest.raises(httpx.InvalidURL, match=r"a!b\.example\.org"):
        get(egress_for(f"a!b.example.org:{server.port}"), f"http://a!b.example.org:{server.port}/")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize(
    ("head", "is_whole"), [(b"", True), (b"Content-Length: 99\r\n", False), (b"Transfer-Encoding: chunked\r\n", False)]
)
def test_server_that_ends_tls_without_a_word_has_answered(
    head: bytes, is_whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body without a length ends with the connection; where a length was told, it is one that ended early."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    name_of_it = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *key, *name_of_it], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            talk = context.wrap_socket(listener.accept()[0], server_side=True)
            talk.recv(65536)
            talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n" + head + b"\r\n5\r\nhello\r\n")
            os.close(talk.detach())

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        try:
            if is_whole:
                assert get(egress_for(endpoint), f"https://{endpoint}/").body == b"5\r\nhello\r\n"
            else:
                with pytest.raises(httpx.TransportError):
                    get(egress_for(endpoint), f"https://{endpoint}/")
        finally:
            thread.join()


def test_unreachable_server_is_reported_without_its_address() -> None:
    """The error names the host that the caller named, nothing more."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(httpx.ConnectError) as caught:
        get(egress_for(f"example.com:{port}"), f"http://example.com:{port}/")
    assert str(caught.value) == "Could not connect to example.com."


def test_unknown_name_is_a_connection_error() -> None:
    """A name that does not exist is the network's answer; its cause says so."""

    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(httpx.ConnectError, match="resolved"):
        get(Egress(resolver=unknown), "http://example.com/")


def test_environment_proxies_are_never_used(server: Loopback, inner: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names for us, out of our sight."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, inner.url())
    server.serve("/", b"direct")
    assert get(egress_for(server.endpoint), server.url()).body == b"direct"
    assert inner.paths == []


def test_redirect_is_told_and_not_followed(server: Loopback, inner: Loopback) -> None:
    """Whoever asks judges where it leads."""
    server.redirect("/", inner.url())
    found = get(egress_for(server.endpoint, inner.endpoint), server.url())
    assert (found.head.status, found.head.get("location"), inner.paths) == (302, inner.url(), [])


def test_no_more_than_wanted_is_kept(server: Loopback) -> None:
    """Up to the very byte; and whether there was more is known."""
    server.serve("/", b"x" * 200_000)
    found = [get(egress_for(server.endpoint), server.url(), wants=size) for size in (199_999, 200_000)]
    assert [(len(answer.body), answer.is_cut) for answer in found] == [(199_999, True), (200_000, False)]


def test_body_that_nobody_wants_is_not_waited_for(server: Loopback) -> None:
    """The head is enough; a body far over the cap costs nothing, and is no error."""
    server.drip("/", head=b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 99999999999\r\n\r\n", every_s=9)
    found = get(egress_for(server.endpoint), server.url(), wants=0)
    assert (found.head.get("content-type"), found.body, found.is_cut) == ("a/b", b"", True)


@pytest.mark.parametrize("size", [1000, 1001])
def test_announced_body_is_held_against_the_cap(server: Loopback, size: int) -> None:
    """One that says it is too large is not read; one of just that size is."""
    server.serve("/", b"x" * size)
    if size > 1000:
        with pytest.raises(TooLarge):
            get(egress_for(server.endpoint), server.url(), max_bytes=1000)
    else:
        assert len(get(egress_for(server.endpoint), server.url(), max_bytes=1000).body) == 1000


def test_unannounced_body_over_the_cap_is_refused(server: Loopback) -> None:
    """A body that never ends is read up to the cap."""
    server.drip("/", head=b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, every_s=0.01)
    with pytest.raises(TooLarge):
        get(egress_for(server.endpoint), server.url(), max_bytes=1000)


@pytest.mark.parametrize("body", [gzip.compress(b"\0" * 10_000_000), gzip.compress(b"") * 10_000])
def test_gzip_bomb_is_refused(server: Loopback, body: bytes) -> None:
    """One that decodes to much, and one that decodes to nothing and goes on and on."""
    server.serve("/", body, Content_Encoding="gzip")
    with pytest.raises(TooLarge):
        get(egress_for(server.endpoint), server.url(), max_bytes=100_000)


def test_compressed_body_is_decoded_and_counted_decoded(server: Loopback) -> None:
    """What is wanted is counted in bytes of the page, not of the wire."""
    server.serve("/", gzip.compress(b"hello" * 100), Content_Encoding="gzip")
    assert get(egress_for(server.endpoint), server.url(), wants=499).body == (b"hello" * 100)[:499]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_broken_or_unasked_encoding_is_an_error(server: Loopback, encoding: str) -> None:
    """Nothing is guessed."""
    server.serve("/", b"not that", Content_Encoding=encoding)
    with pytest.raises(httpx.DecodingError):
        get(egress_for(server.endpoint), server.url())

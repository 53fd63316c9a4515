"""Downloads over libcurl from servers that answer wrongly, slowly or too much, and from callers that give up."""

import asyncio
import os
import resource
import signal
import socket
import threading
from typing import Any

import httpx
import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from tasks.core.egress import Answer, Egress, Head
from tasks.core.egress.downloads import Downloads
from tasks.core.errors import AppError, TooLarge, Transient
from tests.core.egress.downloading import PUBLIC, egress_for, get, run
from tests.core.egress.loopback import Loopback, respond
from tests.core.egress.raw_server import RawServer


def test_what_is_said_in_the_meantime_is_not_the_answer() -> None:
    """A 103 has headers of its own; a trailer after the body is no header."""
    raw = RawServer(
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nETag: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nETag: b\r\n\r\n"
    )
    try:
        found = get(egress_for(raw.endpoint), f"http://{raw.endpoint}/")
    finally:
        raw.close()
    assert found == Answer(Head(200, (("etag", "a"), ("transfer-encoding", "chunked"))), b"ok", is_cut=False)


def get_raw(answer: bytes, *, before: bytes = b"", **policy: Any) -> Answer:
    """Return what is made of an answer of just these bytes, whose sender then hangs up.

    Args:
        before: another answer that came first, by the same handle.
    """
    answers = [said for said in (before, answer) if said]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for said in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(said)

        async def work(web: Downloads) -> Answer:
            for _ in answers[1:]:
                await web.get(f"http://{endpoint}/", {}, wants=lambda _head: 9)
            return await web.get(f"http://{endpoint}/", {}, wants=lambda _head: 9)

        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            found: Answer = run(egress_for(endpoint, **policy), work)
        finally:
            thread.join()
    return found


_GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"


@pytest.mark.parametrize("before", [b"", _GOOD], ids=["new", "again"])
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nbody",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    ],
    ids=["protocol", "short body", "status", "half a head", "101", "103"],
)
def test_broken_answer_is_a_protocol_error(answer: bytes, before: bytes) -> None:
    """On a handle of its own, and on one that has read a good answer."""
    with pytest.raises(httpx.RemoteProtocolError):
        get_raw(answer, before=before)


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1: 1", b"HTTP/x: 9 302", b"HTTP/x: " + b"9" * 5000, b"\rfoo: bar"],
    ids=["none", "redirect", "long", "cr"],
)
def test_field_is_no_second_status(line: bytes) -> None:
    """Only the first line of a head is one; a line that begins with CR ends the head, as it does for libcurl."""
    found = get_raw(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\nbody")
    assert found.head.status == 200
    assert found.body.endswith(b"body")


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 19], ids=["5000", "19"])
def test_length_of_any_size_is_held_against_the_cap(length: bytes) -> None:
    """Python reads no number of more than 4,300 digits, and libcurl none of more than 19."""
    with pytest.raises(TooLarge):
        get_raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nbody")


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"total_timeout_s": 0.3}, Transient), ({"read_timeout_s": 2}, httpx.ReadTimeout)],
    ids=["total", "silence"],
)
def test_silent_server_meets_a_limit(server: Loopback, limits: dict[str, float], error: type[Exception]) -> None:
    """Of the whole request, or of silence; which of them is told apart."""
    server.stay_silent("/")
    with pytest.raises(error):
        get(egress_for(server.endpoint), server.url(), **limits)


def test_dripping_server_meets_the_total_limit(server: Loopback) -> None:
    """A server that is never silent for long is still cut off."""
    server.drip("/", head=b"HTTP/1.1 200 OK\r\n\r\n", every_s=0.02)
    with pytest.raises(Transient):
        get(egress_for(server.endpoint), server.url(), total_timeout_s=0.3)


def test_slow_lookup_meets_the_connect_limit() -> None:
    """A name server cannot hold us longer than a web server may."""
    released = threading.Event()
    egress = Egress(resolver=lambda _host, _port: (released.wait(5) and []) or [PUBLIC])
    with pytest.raises(httpx.ConnectTimeout):
        get(egress, "http://example.com/", connect_timeout_s=0.1)
    released.set()


def test_connections_are_used_again_and_are_no_more_than_asked_for(server: Loopback) -> None:
    """Forty requests at once over four connections."""
    peers = set()

    def answer(handler: Any) -> None:
        peers.add(handler.client_address)
        respond(handler, b"x")

    server.answers["/"] = answer

    async def work(web: Downloads) -> list[int]:
        found = await asyncio.gather(*(web.get(server.url(f"/?{n}"), {}, wants=lambda _: 9) for n in range(40)))
        return [one.head.status for one in found]

    assert run(egress_for(server.endpoint), work, max_connections=4) == [200] * 40
    assert 1 <= len(peers) <= 4


def test_connection_that_died_idle_costs_nothing(server: Loopback) -> None:
    """The request is made again on another."""

    def answer(handler: Any) -> None:
        respond(handler, b"x")
        handler.close_connection = True  # without a word to the client

    server.answers["/"] = answer

    async def work(web: Downloads) -> list[int]:
        found = [await web.get(server.url(), {}, wants=lambda _head: 9) for _ in range(3)]
        return [one.head.status for one in found]

    assert run(egress_for(server.endpoint), work) == [200] * 3


def test_cancelled_download_leaves_the_others_alone(server: Loopback) -> None:
    """It ends at once; the next one works."""
    server.stay_silent("/silent")
    server.serve("/", b"x")

    async def work(web: Downloads) -> bytes:
        silent = asyncio.create_task(web.get(server.url("/silent"), {}, wants=lambda _head: 9))
        await asyncio.sleep(0.05)
        silent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await silent
        return (await web.get(server.url(), {}, wants=lambda _head: 9)).body

    assert run(egress_for(server.endpoint), work) == b"x"


def test_cookies_go_back_to_where_they_are_from(server: Loopback, inner: Loopback) -> None:
    """Whichever handle asks next; and to no other host."""
    server.serve("/", b"x", Set_Cookie="seen=1")
    inner.serve("/", b"x")
    place = f"other.example.com:{inner.port}"

    async def work(web: Downloads) -> None:
        await web.get(server.url(), {}, wants=lambda _head: 9)
        urls = [server.url(), server.url(), f"http://{place}/"]
        await asyncio.gather(*(web.get(url, {}, wants=lambda _head: 9) for url in urls))

    run(egress_for(server.endpoint, place), work)
    assert [sent.get("cookie") for sent in server.headers] == [None, "seen=1", "seen=1"]
    assert [sent.get("cookie") for sent in inner.headers] == [None]


def test_cookies_go_back_to_the_path_they_are_for(server: Loopback) -> None:
    """The one that is named, or the folder of the page that set them; the address goes over the wire as it is."""
    server.serve("/a/page", b"x", Set_Cookie="folder=1")
    server.serve("/login", b"x", Set_Cookie="named=1; Path=/a")
    for path in ("/a/b|[]%7F", "/b"):
        server.serve(path, b"x")

    async def work(web: Downloads) -> None:
        for path in ("/a/page", "/login", "/a/b|[]%7F?c=/../d", "/b"):
            await web.get(server.url(path), {}, wants=lambda _head: 9)

    run(egress_for(server.endpoint), work)
    assert server.paths[2:] == ["/a/b|[]%7F?c=/../d", "/b"]
    sent = [sorted(headers.get("cookie", "").split("; ")) for headers in server.headers]
    assert sent == [[""], [""], ["folder=1", "named=1"], [""]]


def test_cookies_are_bounded(server: Loopback) -> None:
    """A server that sets ever new ones does not fill the memory: all are forgotten, and it begins anew."""
    count = 0

    def answer(handler: Any) -> None:
        nonlocal count
        count += 1
        respond(handler, b"x", Set_Cookie=f"c{count}={'v' * 3000}")

    server.answers["/"] = answer

    async def work(web: Downloads) -> None:
        for _ in range(100):
            await web.get(server.url(), {}, wants=lambda _head: 9)

    run(egress_for(server.endpoint), work)
    sent = [len(headers.get("cookie", "").split(";")) for headers in server.headers]
    assert 0 in [len(headers.get("cookie", "")) for headers in server.headers[10:]]
    assert max(sent) < 100


@pytest.mark.parametrize("way", ["too large", "cut off", "in the meantime", "cancelled"])
def test_cookies_of_transfers_that_fail_are_bounded_too(way: str) -> None:
    """Whatever becomes of the transfer, its cookies have been kept; those of a 103 as well."""
    count = 0
    cookies = 50
    heads = {
        "too large": b"HTTP/1.1 200 OK\r\n%sContent-Length: 99999999999\r\n\r\n",
        "cut off": b"HTTP/1.1 200 OK\r\n%sContent-Length: 10\r\n\r\nx",
        "in the meantime": b"HTTP/1.1 103 Early Hints\r\n%s\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "cancelled": b"HTTP/1.1 200 OK\r\n%sContent-Length: 10\r\n\r\nx",
    }
    sent: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        asked = await reader.readuntil(b"\r\n\r\n")
        sent.append(asked.count(b"=v"))
        said = b"".join(b"Set-Cookie: c%d=%s\r\n" % (count + n, b"v" * 3000) for n in range(cookies))
        count += cookies
        writer.write(heads[way] % said)
        await writer.drain()
        if way == "cancelled":
            await reader.read()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        endpoint = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        with egress_for(endpoint) as egress:
            async with listener, egress.downloads() as web:
                heard = asyncio.Event()

                def wants(_head: object) -> int:
                    heard.set()
                    return 9

                for _ in range(6):
                    heard.clear()
                    asking = asyncio.create_task(web.get(f"http://{endpoint}/", {}, wants=wants))
                    if way == "cancelled":
                        await heard.wait()
                        asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(main())
    assert sent[1] > 0
    assert sent == [0, sent[1]] * 3


def test_time_limit_of_the_process_comes_through_a_callback(server: Loopback) -> None:
    """A signal's exception is raised wherever Python is, and it may be in a callback of libcurl."""

    def strike(*_: object) -> None:
        raise SoftTimeLimitExceeded

    def wants(_head: Head) -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        return sum(range(1000))

    server.serve("/", b"x")
    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            run(egress_for(server.endpoint), lambda web: web.get(server.url(), {}, wants=wants))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_socket_that_cannot_be_made_is_a_connection_error(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    """Here no descriptor is left; the next request, when there are some again, works."""
    server.serve("/", b"x")

    async def work(web: Downloads) -> bytes:
        await web.get(server.url(), {"Connection": "close"}, wants=lambda _head: 9)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Below it are only those of stdin, stdout and stderr; the server's thread may close others meanwhile.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(httpx.ConnectError):
                await web.get(server.url(), {}, wants=lambda _head: 9)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        return (await web.get(server.url(), {}, wants=lambda _head: 9)).body

    assert run(egress_for(server.endpoint), work) == b"x"
    assert capsys.readouterr().err == ""


def test_error_of_whoever_wants_comes_through(server: Loopback) -> None:
    """What the judgement of a head raises is not lost in a callback."""

    class Odd(AppError):
        """Ours."""

    def wants(_head: Head) -> int:
        raise Odd("no")

    server.serve("/", b"x")
    with pytest.raises(Odd):
        run(egress_for(server.endpoint), lambda web: web.get(server.url(), {}, wants=wants))

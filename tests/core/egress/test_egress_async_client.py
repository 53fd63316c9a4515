"""The asyncio client: the same promises, kept the other way."""

import asyncio
import gzip
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpcore
import httpx
import pytest
from structlog.testing import capture_logs

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.egress.backends import AsyncGuardedBackend, GuardedBackend
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups, system_resolver
from tasks.core.errors import EgressRefused, TooLarge, Transient
from tests.core.egress.loopback import Loopback

PUBLIC = "93.184.216.34"
Work = Callable[[httpx.AsyncClient], Awaitable[Any]]


def run(egress: Egress, work: Work, **limits: Any) -> Any:
    """Return what ``work`` returns for a client of ``egress``."""

    async def main() -> Any:
        async with egress.async_client(**limits) as client:
            return await work(client)

    with egress:
        return asyncio.run(main())


def egress_for(*servers: Loopback) -> Egress:
    return Egress(EgressPolicy(allow=frozenset(server.endpoint for server in servers)))


def test_allowed_server_is_reached(server: Loopback) -> None:
    """An exact host and port on the allow-list answers."""
    server.serve("/", gzip.compress(b"hello"), Content_Encoding="gzip")
    response = run(egress_for(server), lambda client: client.get(server.url()))
    assert response.text == "hello"


def test_many_requests_run_at_once(server: Loopback) -> None:
    """The crawler's case: more requests than connections."""
    server.serve("/", b"x")

    async def work(client: httpx.AsyncClient) -> list[int]:
        responses = await asyncio.gather(*(client.get(server.url(f"/?{n}")) for n in range(40)))
        return [response.status_code for response in responses]

    assert run(egress_for(server), work, max_connections=4) == [200] * 40


def test_redirect_inward_is_refused(server: Loopback, inner: Loopback) -> None:
    """A server we may reach cannot send us to one we may not."""
    server.redirect("/", inner.url())
    with capture_logs(), pytest.raises(EgressRefused):
        run(egress_for(server), lambda client: client.get(server.url()))
    assert inner.paths == []


def test_gzip_bomb_is_refused(server: Loopback) -> None:
    """A small body that decodes to a huge one meets the cap."""
    server.serve("/", gzip.compress(b"\0" * 10_000_000), Content_Encoding="gzip")
    with pytest.raises(TooLarge):
        run(egress_for(server), lambda client: client.get(server.url()), max_bytes=100_000)


def test_announced_body_over_the_cap_is_refused(server: Loopback) -> None:
    """A body that says it is too large is not read, and its connection is given up."""
    server.serve("/big", b"x" * 1001)
    server.serve("/small", b"x")

    async def work(client: httpx.AsyncClient) -> int:
        with pytest.raises(TooLarge):
            await client.get(server.url("/big"))
        return (await client.get(server.url("/small"))).status_code

    assert run(egress_for(server), work, max_bytes=1000, max_connections=1) == 200


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["header", "body"])
def test_dripping_server_meets_the_total_limit(server: Loopback, head: bytes) -> None:
    """A server that is never silent for long is still cut off."""
    server.drip("/", head=head, every_s=0.02)
    started = time.monotonic()
    with pytest.raises(Transient):
        run(egress_for(server), lambda client: client.get(server.url()), total_timeout_s=0.3)
    assert time.monotonic() - started < 2


def test_silent_server_meets_the_read_limit(server: Loopback) -> None:
    """A server that says nothing is a read timeout."""
    server.stay_silent("/")
    with pytest.raises(httpx.ReadTimeout):
        run(egress_for(server), lambda client: client.get(server.url()), read_timeout_s=0.2)


def test_connection_goes_to_the_checked_address(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time is never asked a second time."""
    asked: list[str] = []
    meant: list[str] = []
    connect = anyio.connect_tcp

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    async def connect_tcp(remote_host: str, **_: Any) -> Any:
        meant.append(remote_host)
        return await connect("127.0.0.1", server.port)

    server.serve("/", b"public")
    monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
    response = run(Egress(resolver=resolver), lambda client: client.get("http://example.com/"))
    assert (response.text, asked, meant) == ("public", ["example.com"], [PUBLIC])


def test_one_denied_answer_condemns_the_name() -> None:
    """A name with a public and a private address is refused."""
    egress = Egress(resolver=lambda host, port: [PUBLIC, "fd00::1"])
    with capture_logs() as logs, pytest.raises(EgressRefused):
        run(egress, lambda client: client.get("http://example.com/"))
    assert [log["address"] for log in logs] == ["fd00::1"]


def test_slow_lookup_meets_the_connect_limit(server: Loopback) -> None:
    """A name server cannot hold us longer than a web server may."""

    def slow(host: str, port: int) -> list[str]:
        server.wait(1)
        return [PUBLIC]

    with pytest.raises(httpx.ConnectTimeout):
        run(Egress(resolver=slow), lambda client: client.get("http://example.com/"), connect_timeout_s=0.1)


def test_unix_sockets_are_refused() -> None:
    """A socket on this machine is never public, whoever asks httpcore for it."""
    guard, lookups = Guard(EgressPolicy()), Lookups(system_resolver)
    with capture_logs(), pytest.raises(EgressRefused):
        GuardedBackend(guard, lookups).connect_unix_socket("/run/docker.sock")
    with capture_logs(), pytest.raises(EgressRefused):
        asyncio.run(AsyncGuardedBackend(guard, lookups).connect_unix_socket("/run/docker.sock"))


def test_backends_are_what_httpcore_expects() -> None:
    """The guard sits in httpcore's own place for a network."""
    guard, lookups = Guard(EgressPolicy()), Lookups(system_resolver)
    assert isinstance(GuardedBackend(guard, lookups), httpcore.NetworkBackend)
    assert isinstance(AsyncGuardedBackend(guard, lookups), httpcore.AsyncNetworkBackend)


def test_importing_the_guard_loads_no_broker_and_no_database() -> None:
    """Engines import the guard, and engines know neither."""
    code = "import sys, tasks.core.egress; print({'celery', 'flask', 'redis', 'sqlalchemy'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"

"""A server of the client's own: found or started where none answers, shared, gone when nobody needs it."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from flask import Response

from client import AsyncSwitchyard, ConfigurationRefused, ConnectionFailed, Limits, Notice, Switchyard
from client.command import cli
from client.command.session import Session
from client.local_server import LocalServer, default_folder
from tests.client.scripted_server import KEY, ScriptedServer
from tests.integration.processes import await_true

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200), pytest.mark.xdist_group("local_server")]

NOBODY = "http://127.0.0.1:1"
LIMITS = Limits(local_idle_s=1.0)
PING = "maintenance.ping"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this module's own server is kept; it is stopped at the end."""
    folder = tmp_path_factory.mktemp("own") / "local"
    yield folder
    LocalServer(folder, LIMITS).stop()


@pytest.fixture(autouse=True)
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every client of a test finds it there."""
    monkeypatch.setenv("SWITCHYARD_LOCAL_DIR", str(home))
    assert home == default_folder()
    return home


def pid_of(folder: Path) -> int:
    return int(json.loads((folder / "server.json").read_text())["pid"])


def test_clients_that_begin_at_once_share_one_server(folder: Path) -> None:
    """One of them starts it; each is told, and each one's job is run there, once."""
    notices: list[list[Notice]] = [[] for _ in range(3)]

    def use(told: list[Notice]) -> tuple[str, str | None]:
        with Switchyard(NOBODY, backend="auto", limits=LIMITS, on_notice=told.append) as client:
            job = client.run(PING, {"message": "hi"}, run_timeout_s=60)
            return client.url, job.backend

    with ThreadPoolExecutor() as pool:
        used = list(pool.map(use, notices))
    ((url, backend),) = set(used)
    assert (True, "local") == (url.startswith("http://127.0.0.1:"), backend)
    details = [told[0].detail for told in notices]
    assert [1, 3] == [
        sum(words in one for one in details) for words in ("started a server", f"no server answers at {NOBODY}")
    ]
    assert {"local"} == {told[0].name for told in notices}
    assert 0o700 == folder.stat().st_mode & 0o777


def test_asyncio_and_the_command_find_it(folder: Path) -> None:
    """What was done before is there; the command says what it does on stderr, and once."""

    async def listed() -> int:
        async with AsyncSwitchyard(NOBODY, backend="local", limits=LIMITS) as client:
            return len([job async for job in client.jobs(kind=PING)])

    assert asyncio.run(listed()) >= 1
    arguments = ["--url", NOBODY, "submit", PING, "--param", "message=hi", "--backend", "auto", "--wait", "60"]
    done = CliRunner().invoke(cli, arguments, obj=Session(limits=LIMITS), standalone_mode=False)
    assert 0 == done.return_value, done.output
    assert 1 == done.stderr.count("a server of its own")
    shown = CliRunner().invoke(cli, ["local", "--json"], obj=Session(), standalone_mode=False)
    assert (True, str(folder)) == tuple(json.loads(shown.stdout)[name] for name in ("running", "folder"))
    with Switchyard(NOBODY, backend="local", limits=LIMITS) as client:
        (queue, local) = client.backends()
        assert ("queue", False, "local", True) == (queue.name, queue.live, local.name, local.live)
        assert PING in local.kinds


def test_a_killed_server_takes_its_parts_along_and_is_replaced(folder: Path) -> None:
    """Nothing of the old one stays, what it knew does, and no dead address is believed."""
    with Switchyard(NOBODY, backend="local", limits=LIMITS) as client:
        job = client.run(PING, {"message": "kept"}, run_timeout_s=60)
        first = client.url
        family = [psutil.Process(pid_of(folder)), *psutil.Process(pid_of(folder)).children(recursive=True)]
        os.kill(family[0].pid, signal.SIGKILL)
        await_true(lambda: not any(is_alive(one) for one in family), what="nothing of it is left")
    with Switchyard(NOBODY, backend="local", limits=LIMITS) as client:
        assert {"message": "kept"} == client.job(job.id).result
        assert first != client.url


def test_it_ends_when_nobody_needs_it(folder: Path) -> None:
    """A while after the last client has gone, not before; the next client starts another."""
    with Switchyard(NOBODY, backend="local", limits=LIMITS) as client:
        client.kinds()
        family = [psutil.Process(pid_of(folder)), *psutil.Process(pid_of(folder)).children(recursive=True)]
    await_true(lambda: not any(is_alive(one) for one in family), what="it has ended")
    assert LocalServer(folder, LIMITS).running() is None
    assert not LocalServer(folder, LIMITS).stop()


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_server_that_cannot_start_is_told_with_its_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, rather than after the time to wait."""
    monkeypatch.setenv("SWITCHYARD_LOG_LEVEL", "nonsense")
    with Switchyard(NOBODY, backend="local") as client, pytest.raises(ConnectionFailed, match="LOG_LEVEL"):
        client.kinds()


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold a key."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("SWITCHYARD_LOCAL_DIR", str(tmp_path))
    with Switchyard(NOBODY, backend="local") as client, pytest.raises(ConfigurationRefused, match="closed to others"):
        client.kinds()


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_no_server_is_started_where_one_answers(server: ScriptedServer, status: int) -> None:
    """Whatever it says: it may be wrong, but it is there. It is asked once."""
    server.faults = [Response(status=status)]
    with Switchyard(server.url, KEY, backend="auto") as client:
        assert "crawling.site" == client.kinds()[0].kind
        client.queues()
        assert server.url == client.url
    assert 1 == server.count("GET", "/health/live")


def test_a_proxy_without_a_server_behind_it_is_none(server: ScriptedServer) -> None:
    """Its own answers are not the server's."""
    server.faults = [Response(status=502)]
    with Switchyard(server.url, KEY, backend="auto", limits=LIMITS) as client:
        assert PING in {kind.kind for kind in client.kinds()}
        assert server.url != client.url


@pytest.mark.parametrize("backend", [None, "queue"])
def test_no_server_is_started_unasked(backend: Any) -> None:
    """The error is that of the address."""
    limits = Limits(reconnects=0)
    with Switchyard(NOBODY, backend=backend, limits=limits) as client, pytest.raises(ConnectionFailed, match=":1/"):
        client.kinds()


def test_queue_goes_with_every_submit(server: ScriptedServer) -> None:
    """Unless one says otherwise."""
    with Switchyard(server.url, KEY, backend="queue") as client:
        client.submit(PING)
        client.submit(PING, backend="auto")
    assert ["queue", "auto"] == [body["backend"] for _, body in server.submits]

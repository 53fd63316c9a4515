"""The asyncio client does what the blocking one does, and a cancelled task leaves nothing behind."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from client import AsyncSwitchyard, JobFailed, Switchyard, WaitTimedOut
from client.modes import Choice
from tests.client.conftest import FAST
from tests.client.results import RESULT
from tests.client.scripted_server import KEY, ScriptedServer

T = TypeVar("T")


def run(server: ScriptedServer, use: Callable[[AsyncSwitchyard], Awaitable[T]]) -> T:
    async def main() -> T:
        async with AsyncSwitchyard(server.url, KEY, limits=FAST) as client:
            return await use(client)

    return asyncio.run(main())


def public(cls: type) -> dict[str, list[str]]:
    methods = inspect.getmembers(cls, inspect.isfunction)
    return {name: list(inspect.signature(one).parameters) for name, one in methods if not name.startswith("_")}


def test_both_clients_offer_the_same() -> None:
    """Same methods, same parameters."""
    assert public(AsyncSwitchyard) == public(Switchyard)


def test_run_returns_the_result(server: ScriptedServer) -> None:
    """Submit and wait."""
    server.on_submit = lambda job: job.succeed(pages=3)
    assert run(server, lambda client: client.run("crawling.site", {"url": "http://a"})).result == {"pages": 3}


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_dropped_stream_resumes(server: ScriptedServer, transport: Choice) -> None:
    """No gap, no repeat."""
    job = server.job()
    server.drop_stream_every = 2

    async def follow(client: AsyncSwitchyard) -> list[int | None]:
        stream = client.events("job-1", transport=transport)
        await anext(stream)
        job.run(6).succeed()
        return [event.seq async for event in stream]

    assert run(server, follow) == [*range(1, 9)]


def test_transport_falls_back_to_polling(server: ScriptedServer) -> None:
    """SSE and WebSocket refused."""
    server.sse, server.websocket = "html", "refused"
    server.job().succeed()

    async def follow(client: AsyncSwitchyard) -> tuple[list[str], str]:
        async with client.events("job-1") as stream:
            return [event.type async for event in stream], stream.transport

    assert run(server, follow) == (["snapshot", "state"], "polling")


def test_wait_times_out(server: ScriptedServer) -> None:
    """The limit holds."""
    server.job()
    with pytest.raises(WaitTimedOut):
        run(server, lambda client: client.wait("job-1", 0.3))
    assert server.is_idle()


def test_failed_job_raises(server: ScriptedServer) -> None:
    """Typed errors here too."""
    server.job().fail()
    with pytest.raises(JobFailed):
        run(server, lambda client: client.result("job-1"))


@pytest.mark.parametrize("transport", ["sse", "websocket", "polling"])
def test_cancelled_follower_leaves_nothing_open(server: ScriptedServer, transport: Choice) -> None:
    """A task cancelled while it waits for an event closes its connection."""
    job = server.job()

    async def follow(client: AsyncSwitchyard) -> None:
        async with client.events("job-1", transport=transport) as stream:
            async for _ in stream:
                pass

    async def cancelled(client: AsyncSwitchyard) -> int:
        task = asyncio.create_task(follow(client))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert run(server, cancelled) == 1
    job.succeed()
    assert server.is_idle()


def test_iterators_and_files_work(server: ScriptedServer, tmp_path: Path) -> None:
    """Pages, log lines and a download."""
    for number in range(3):
        server.job(f"job-{number}")
    server.logs["job-1"] = [{"line": str(n), "level": "info"} for n in range(5)]
    server.files["job-1", "a.txt"] = b"abc"

    async def read(client: AsyncSwitchyard) -> tuple[int, int, bytes]:
        jobs = [job async for job in client.jobs()]
        lines = [line async for line in client.logs("job-1")]
        return len(jobs), len(lines), (await client.download("job-1", "a.txt", tmp_path)).read_bytes()

    assert run(server, read) == (3, 5, b"abc")


def test_retry_and_many(server: ScriptedServer) -> None:
    """The acts on one job and on many are those of the blocking client."""
    server.job().run().fail()

    async def act(client: AsyncSwitchyard) -> tuple[str, int, int, int]:
        state = (await client.retry("job-1")).state
        changes = [await act(confirm=True) for act in (client.retry_many, client.cancel_many, client.erase_many)]
        return (state, *(change.changed for change in changes))

    assert run(server, act) == ("queued", 1, 1, 1)


def test_a_calibration_is_awaited(server: ScriptedServer, tmp_path: Path) -> None:
    """Submitted as by the blocking client; table, notes and files wait for the end."""
    server.on_submit = lambda job: job.run().succeed(**RESULT)
    for name in ("report.html", "figures/csmf.svg"):
        server.files["job-1", name] = name.encode()

    async def act(client: AsyncSwitchyard) -> tuple[int, tuple[str, ...], bytes, list[str]]:
        fit = await client.calibrate({"malaria": 3, "other": 2}, algorithm="eava", age_group="child", draws=500)
        frame = await fit.csmf()
        report = (await fit.report(tmp_path / "out.html")).read_bytes()
        saved = await fit.figures(tmp_path / "pictures")
        assert "<td>60.0 (55.0, 65.0)</td>" in fit._repr_html_()
        return len(frame), await fit.notes(), report, [path.name for path in saved]

    found = run(server, act)
    assert (6, ("something a reader must know",), b"report.html", ["csmf.svg"]) == found
    ((_, body),) = server.submits
    assert {
        "va_data": {"eava": {"counts": {"malaria": 3, "other": 2}}},
        "age_group": "child",
        "draws": 500,
    } == body["params"]


def test_a_failed_calibration_raises_when_it_is_awaited(server: ScriptedServer) -> None:
    """Submitting it does not."""
    server.on_submit = lambda job: job.run().fail()

    async def act(client: AsyncSwitchyard) -> None:
        fit = await client.calibrate({"malaria": 3, "other": 2}, algorithm="eava")
        assert "AsyncCalibration job-1" in fit._repr_html_()
        with pytest.raises(JobFailed):
            await fit.rows()

    run(server, act)
